"""A plastic layer under a loss that the package does not know; nothing runs forward twice (`python own_loss.py`).

Every episode shows one pattern with noise at ten steps. The loss asks for the same answer to the same pattern and is
hinge-like: it has a gradient only where the margin is less than 1.
"""

import numpy as np

import metaplastic as mp

BATCH, STEPS, INPUTS = 32, 10, 6


def hinge(output, label):
    """`Σ max(0, 1 − label · output)`, and its gradient on the outputs."""
    margin = 1 - label * output
    gradient = np.where(margin > 0, -label, 0) / (BATCH * STEPS)
    return np.maximum(margin, 0).sum() / (BATCH * STEPS), gradient


def episodes(random):
    """Episodes whose label is the sign of the first input's mean."""
    label = np.where(np.arange(BATCH) % 2 == 0, 1, -1)[:, None, None]
    input = random.normal(0, 0.7, (BATCH, STEPS, INPUTS))
    input[..., :1] += 0.5 * label
    return input, label


def train():
    """The loss at first and in the end."""
    network = mp.Network([mp.Plastic(INPUTS, 1, activation="tanh", rate=mp.Rate(0.1))])
    parameters = mp.Parameters.initialise(network)
    optimiser, random = mp.Optimiser("adam", 0.02), np.random.default_rng(0)
    session = mp.Session(network, parameters, BATCH, STEPS, optimiser=optimiser)
    losses = []
    for _ in range(200):
        input, label = episodes(random)
        output = session.forward(input).output[0]
        loss, gradient = hinge(output, label)
        losses.append(loss)
        session.learn(gradient)
    return losses[0], losses[-1]


if __name__ == "__main__":
    first, last = train()
    print(f"loss {first:.3f} at first, {last:.3f} in the end")
