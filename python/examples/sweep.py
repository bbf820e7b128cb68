"""A sweep: 64 learning rates as one population, on data that is given once; the best network is saved
(`python sweep.py`)."""

import numpy as np

import metaplastic as mp

NETWORKS = 64
#: The learning rate of each network: 0.0001 to 0.5, in even factors.
RATES = np.geomspace(1e-4, 0.5, NETWORKS)


def sweep(path="best.safetensors"):
    """Trains all networks and saves the best one; which it is, and its loss."""
    hidden = mp.Plastic(5, 8, activation="tanh", rate=mp.Rate(0.05))
    network = mp.Network([hidden, mp.Dense(8, 1)], loss="squared-error")
    # All start alike.
    population = mp.Parameters.initialise(network).repeat(NETWORKS)
    learner = mp.Learner(network, population, [mp.Optimiser("adam", rate) for rate in RATES])
    # One's own data: without an axis of networks, so that it is there once for all of them.
    b, t, i = np.ogrid[:24, :15, :5]
    input = np.sin(b * 7.0 + t * 3 + i)
    target = np.zeros((24, 15, 1))
    target[:, 1:, 0] = input[:, :-1, 0]
    for _ in range(150):
        losses = learner.step(input, target)
    # A network whose loss is not a number has stopped learning.
    best = int(np.nanargmin(losses))
    learner.parameters.networks(best, best + 1).write(path)
    return best, losses[best]


if __name__ == "__main__":
    best, loss = sweep()
    print(f"learning rate {RATES[best]:.4f}: loss {loss:.4f}, saved in best.safetensors")
