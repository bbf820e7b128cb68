"""An environment whose next input depends on the network's last output: driven step by step, differentiated at the end
(`python environment.py`).

A point on a line has to be moved to 0. The network sees where it is and pushes it. How strongly a push acts differs from
episode to episode, so that it pays to remember what the last pushes did. The loss is the mean squared distance; its
gradient on each push follows from the environment's own rule.
"""

import numpy as np

import metaplastic as mp

BATCH, STEPS = 16, 12


class Line:
    """A batch of points: how strongly a push acts on each, and where each has been."""

    def __init__(self, random):
        self.strength = random.uniform(0.2, 0.8, BATCH)
        self.places = [random.uniform(-1, 1, BATCH)]

    def first(self):
        return np.stack([self.places[0], np.zeros(BATCH), np.ones(BATCH)], 1)

    def respond(self, push):
        """The next input: the place, the last push, and a 1."""
        # A point that is far out is held there.
        self.places.append(np.clip(self.places[-1] + self.strength * push, -10, 10))
        return np.stack([self.places[-1], push, np.ones(BATCH)], 1)

    def end(self):
        """The mean squared distance, and its gradient on the pushes `[B, T, 1]`."""
        places = np.stack(self.places[1:], 1)
        # A push moves the point at its step and at all that follow.
        later = np.cumsum(places[:, ::-1], 1)[:, ::-1]
        gradient = 2 * later * self.strength[:, None] / STEPS
        return (places**2).mean(), gradient[:, :, None] / BATCH


def train(meta_steps=300):
    """The mean squared distance at first and in the end."""
    hidden = mp.Plastic(3, 12, activation="tanh", rate=mp.Rate(0.1))
    network = mp.Network([hidden, mp.Dense(12, 1)])
    parameters = mp.Parameters.initialise(network)
    adam, random = mp.Optimiser("adam", 0.01), np.random.default_rng(0)
    session = mp.Session(network, parameters, BATCH, STEPS, step_by_step=True, optimiser=adam)
    distances = []
    for _ in range(meta_steps):
        line = Line(random)
        session.begin()
        input = line.first()
        for _ in range(STEPS):
            push = session.step(input)[0, :, 0]
            input = line.respond(push)
        distance, gradient = line.end()
        distances.append(distance)
        session.learn(gradient)
    return distances[0], np.mean(distances[-10:])


if __name__ == "__main__":
    first, last = train()
    print(f"mean squared distance {first:.3f} at first, {last:.3f} in the end")
