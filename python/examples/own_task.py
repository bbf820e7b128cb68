"""A task of one's own: trained, evaluated and saved (`python own_task.py`)."""

import numpy as np

import metaplastic as mp


class Echo(mp.Task):
    """Echo: one of some tones sounds at the first step, then there is silence; the target is always that tone."""

    name, steps, loss, solved_below = "echo", 6, "softmax-cross-entropy", 0.05

    def __init__(self, tones):
        # A tone each, and one that sounds at every step.
        self.tones, self.inputs, self.outputs = tones, tones + 1, tones

    def counts(self, step):
        return step >= 1

    def fill(self, random, input, target):
        tone = random.below(self.tones)
        input[0, tone] = 1
        input[:, self.tones] = 1
        target[:, tone] = 1

    def setup(self):
        hidden = mp.Plastic(self.inputs, 8, activation="tanh", rate=0.2)
        network = mp.Network([hidden, mp.Dense(8, self.tones)], loss=self.loss)
        return {"network": network, "optimiser": mp.Optimiser("adam", 0.01), "episodes": 4_000}


def run(path="echo.safetensors", **settings):
    """Trains with a line for each tenth report; the result, and what the networks do on fresh episodes."""
    task = Echo(tones=4)
    reports = []

    def show(report):
        reports.append(report)
        if len(reports) % 10 == 0:
            print(f"episode {report.episode}: median error {np.median(report.error):.4f}")

    trained = mp.train(mp.Recipe(task, **settings), callback=show)
    trained.parameters.write(path)
    evaluation = mp.evaluate(trained.network, trained.parameters, task, episodes=1_000, seed=7)
    return trained, evaluation


if __name__ == "__main__":
    trained, evaluation = run()
    print(f"{trained.solved.sum()} of {len(trained.solved)} networks solved it")
    print("right answers at each step:", evaluation.accuracy.mean(0).round(3))
