"""Plastic neural networks: exact gradients of Hebbian plasticity, fast.

A plastic connection has a fixed weight `w` and a Hebbian trace `H`, which follows activity during an episode:

    y(t)   = f(b + (w + α H(t)) x(t))
    H(t+1) = (1 − η) H(t) + η y(t) x(t)

Gradients reach weights, plasticity coefficients `α`, biases and rates `η`. Shapes are written with these letters: `P`
networks of a population, each with its own parameters; `B` episodes of each; `T` steps; `I` presynaptic and `O`
postsynaptic neurons. An array without its axis `P` is common to all networks.

>>> import numpy as np, metaplastic as mp
>>> network = mp.Network([mp.Plastic(5, 2, activation="tanh", rate=mp.Rate(0.1))], loss="squared-error")
>>> parameters = mp.Parameters.initialise(network, population=3, seed=0)
>>> input = np.sin(np.arange(4 * 10 * 5)).reshape(4, 10, 5)  # [B, T, I]
>>> target = np.full((4, 10, 2), 0.5)                        # [B, T, O]
>>> gradients = mp.gradient(network, parameters, input, target=target)
>>> gradients.parameters["layer0.weight"].shape              # [P, O, I]
(3, 2, 5)
>>> learner = mp.Learner(network, parameters, mp.Optimiser("adam", 0.01))
>>> first = learner.step(input, target)                      # the loss of each network
>>> last = [learner.step(input, target) for _ in range(50)][-1]
>>> bool((last < first).all())
True

`metaplastic.torch` has layers for PyTorch, `metaplastic.jax` for JAX; each imports its library when it is imported.
"""

from collections.abc import Mapping as _Mapping

from ._errors import (
    CapacityError,
    DefectError,
    DeviceError,
    Error,
    FileError,
    InputError,
    UnavailableError,
)
from ._native import (
    Engine,
    Evaluation,
    Gradients,
    Learner,
    Network,
    Outcome,
    Parameters,
    Random,
    Recipe,
    Report,
    Session,
    Task,
    Trained,
    evaluate,
    forward,
    gradient,
    task,
    train,
)
from ._settings import (
    RULES,
    Bias,
    Coefficient,
    Dense,
    Modulation,
    Optimiser,
    Plastic,
    Rate,
    Recurrent,
)

# What it has of one; `isinstance` is to know.
_Mapping.register(Parameters)

__all__ = [
    "RULES",
    "Bias",
    "CapacityError",
    "Coefficient",
    "DefectError",
    "Dense",
    "DeviceError",
    "Engine",
    "Error",
    "Evaluation",
    "FileError",
    "Gradients",
    "InputError",
    "Learner",
    "Modulation",
    "Network",
    "Optimiser",
    "Outcome",
    "Parameters",
    "Plastic",
    "Random",
    "Rate",
    "Recipe",
    "Recurrent",
    "Report",
    "Session",
    "Task",
    "Trained",
    "UnavailableError",
    "evaluate",
    "forward",
    "gradient",
    "task",
    "train",
]
