"""How long a training step takes beside the same cell in PyTorch and JAX (`python speed.py`; needs both).

A step is the output of all steps and the gradients of `Σ c · y` by weights, plasticity, biases and rate. Contestants take turns
in one process; each ratio is the median of those of its rounds. `--command PATH` adds the engine's own time, by `bench`.
"""

import argparse
import json
import os
import statistics
import subprocess
import time

import jax
import jax.numpy as jnp
import numpy as np
import torch

import metaplastic as mp
import metaplastic.jax as mpj
import metaplastic.torch as mpt

#: Neurons, steps, episodes, and whether the layer is recurrent.
PROBLEMS = [(64, 20, 256, False), (256, 50, 16, False), (100, 50, 30, True)]


def arrays(neurons, steps, batch):
    random = np.random.default_rng(0)
    normal = lambda *shape: random.standard_normal(shape, dtype=np.float32)
    scale = np.float32(0.5 / neurons**0.5)
    return {
        "input": normal(batch, steps, neurons) / 2,
        "factor": normal(batch, steps, neurons) / (batch * steps),
        "weight": normal(neurons, neurons) * scale,
        "plasticity": normal(neurons, neurons) * scale,
        "bias": np.zeros(neurons, np.float32),
        "rate": np.float32(0.1),
    }


NAMES = ("weight", "plasticity", "bias", "rate")


def settings(is_recurrent):
    return {"activation": "tanh", "rate": mp.Rate(0.1)} | (
        {"input": "identity"} if is_recurrent else {}
    )


def by_numpy(given, is_recurrent):
    kind = mp.Recurrent if is_recurrent else mp.Plastic
    neurons = len(given["bias"])
    network = mp.Network([kind(neurons, neurons, **settings(is_recurrent))])
    named = {f"layer0.{name}": given[name] for name in NAMES}

    def step():
        parameters = mp.Parameters(network, named)
        mp.gradient(network, parameters, given["input"], output_gradient=given["factor"])

    return step


def by_our_torch(given, is_recurrent):
    kind = mpt.Recurrent if is_recurrent else mpt.Plastic
    neurons = len(given["bias"])
    layer = kind(neurons, neurons, **settings(is_recurrent))
    for name in NAMES:
        getattr(layer, name).data.copy_(torch.as_tensor(given[name]))
    input, factor = torch.from_numpy(given["input"]), torch.from_numpy(given["factor"])

    def step():
        layer.zero_grad(set_to_none=True)
        (layer(input)[0] * factor).sum().backward()
        return layer.weight.grad

    return step


def by_torch(given, is_recurrent):
    w, a, b, e = (torch.tensor(given[name], requires_grad=True) for name in NAMES)
    input = torch.from_numpy(given["input"]).transpose(0, 1).contiguous()
    factor = torch.from_numpy(given["factor"]).transpose(0, 1).contiguous()
    steps, batch, neurons = input.shape

    def step():
        for parameter in (w, a, b, e):
            parameter.grad = None
        trace, loss = torch.zeros(batch, neurons, neurons), 0.0
        y = torch.zeros(batch, neurons)
        for t in range(steps):
            pre, drive = (y, input[t] + b) if is_recurrent else (input[t], b)
            y = torch.tanh(torch.bmm(w + a * trace, pre.unsqueeze(2)).squeeze(2) + drive)
            trace = (1 - e) * trace + e * torch.bmm(y.unsqueeze(2), pre.unsqueeze(1))
            loss = loss + (factor[t] * y).sum()
        loss.backward()
        return w.grad

    return step


def by_our_jax(given, is_recurrent):
    run = mpj.recurrent if is_recurrent else mpj.plastic
    parameters = {name: jnp.asarray(given[name]) for name in NAMES}
    input, factor = jnp.asarray(given["input"]), jnp.asarray(given["factor"])

    @jax.jit
    @jax.grad
    def gradient(parameters):
        return (run(parameters, input, activation="tanh")[0] * factor).sum()

    return lambda: jax.block_until_ready(gradient(parameters))["weight"]


def by_jax(given, is_recurrent):
    parameters = {name: jnp.asarray(given[name]) for name in NAMES}
    input, factor = (jnp.asarray(given[it]).swapaxes(0, 1) for it in ("input", "factor"))
    _, batch, neurons = input.shape

    @jax.jit
    @jax.grad
    def gradient(parameters):
        w, a, b, e = (parameters[name] for name in NAMES)

        def cell(carry, here):
            trace, y, total = carry
            x, c = here
            pre, drive = (y, x + b) if is_recurrent else (x, b)
            y = jnp.tanh(jnp.einsum("bij,bj->bi", w + a * trace, pre) + drive)
            trace = (1 - e) * trace + e * y[:, :, None] * pre[:, None, :]
            return (trace, y, total + (c * y).sum()), None

        start = (jnp.zeros((batch, neurons, neurons)), jnp.zeros((batch, neurons)), 0.0)
        return jax.lax.scan(cell, start, (input, factor))[0][2]

    return lambda: jax.block_until_ready(gradient(parameters))["weight"]


CONTESTANTS = {
    "NumPy": by_numpy,
    "our torch": by_our_torch,
    "our JAX": by_our_jax,
    "PyTorch, eager": by_torch,
    "JAX, scan, jit": by_jax,
}


def bench(command, neurons, steps, batch, is_recurrent):
    """Seconds of the engine's own measurement."""
    arguments = ["--steps", steps, "--episodes", batch, "--inputs", neurons, "--outputs", neurons]
    arguments += ["--engine", "cpu", "--json", *(["--recurrent"] if is_recurrent else [])]
    done = subprocess.run(
        [command, "bench", *map(str, arguments)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--command", help="the metaplastic command")
    arguments = parser.parse_args()
    for neurons, steps, batch, is_recurrent in PROBLEMS:
        given = arrays(neurons, steps, batch)
        makers = CONTESTANTS.items()
        runs = {name: make(given, is_recurrent) for name, make in makers}
        first = [np.asarray(run()) for name, run in runs.items() if name != "NumPy"]
        for other in first[1:]:
            np.testing.assert_allclose(first[0], other, rtol=2e-3, atol=1e-5)
        if arguments.command:
            sizes = (neurons, steps, batch, is_recurrent)
            runs["the engine alone"] = lambda sizes=sizes: bench(arguments.command, *sizes)
        times = {name: [] for name in runs}
        for _ in range(arguments.rounds):
            for name, run in runs.items():
                # Our calls are short: several of them, of which the median, as `bench` takes it.
                count = 7 if name in ("NumPy", "our torch", "our JAX") else 1
                taken = []
                for _ in range(count):
                    start = time.perf_counter()
                    told = run()
                    taken.append(told if isinstance(told, float) else time.perf_counter() - start)
                times[name].append(statistics.median(taken))
        kind = "recurrent " if is_recurrent else ""
        print(f"{kind}{neurons} x {neurons}, T {steps}, B {batch}; load {os.getloadavg()[0]:.1f}")
        for name, taken in times.items():
            print(f"  {name:16s} {statistics.median(taken) * 1e3:9.2f} ms")
        for theirs, ours in (
            ("PyTorch, eager", "our torch"),
            ("JAX, scan, jit", "our JAX"),
            *([("NumPy", "the engine alone")] if arguments.command else []),
        ):
            ratios = [a / b for a, b in zip(times[theirs], times[ours], strict=True)]
            listed = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            print(f"  {theirs} / {ours}: {statistics.median(ratios):.2f} ({listed})")


if __name__ == "__main__":
    main()
