"""Plastic layers for JAX.

>>> import jax, jax.numpy as jnp, metaplastic.jax as mpj
>>> parameters = mpj.init(jax.random.key(0), 64, 32, rate=0.1)  # a dictionary of arrays
>>> input = jax.random.normal(jax.random.key(1), (8, 20, 64))   # [B, T, I]
>>> output, state = mpj.plastic(parameters, input, activation="tanh")
>>> output.shape, state["trace"].shape                          # [B, T, O], [B, O, J]
((8, 20, 32), (8, 32, 64))
>>> def loss(parameters, input):
...     return jnp.mean(mpj.plastic(parameters, input, activation="tanh")[0] ** 2)
>>> jax.jit(jax.grad(loss))(parameters, input)["plasticity"].shape
(32, 64)

The functions are differentiable in parameters, input and state, and work under `jit`, `grad` and `vmap`. What `vmap` maps over
parameters is computed as one population; what it maps over inputs alone lies along the batch. The engine computes on the CPU,
through `jax.pure_callback`, which reads arrays in place there.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import _settings
from ._errors import InputError
from ._native import Network, Parameters, Session, forward, gradient
from ._settings import Coefficient, Modulation, Rate

__all__ = ["Coefficient", "Modulation", "Rate", "init", "plastic", "recurrent"]

Arrays = Mapping[str, jax.Array]


@lru_cache(maxsize=256)
def _described(description: str) -> tuple[Network, dict[str, tuple[int, ...]], list[str]]:
    """The network, its states with their shapes for one episode, and its modulators from episodes."""
    network = Network.from_toml(description)
    return network, network.states, network.given_modulators


# Forward halves whose backward half will come, by number: the last few. One that is no longer there costs a second forward
# half, and no bit.
_kept: dict[int, tuple[tuple[Any, ...], Session]] = {}
_idle: dict[tuple[Any, ...], list[Session]] = {}
# Layers of which gradients on states came once, and which are made ready for them from then on.
_through_states: set[str] = set()
_numbers = itertools.count(1)
_MOST = 32


def _open(key: tuple[Any, ...], parameters: np.ndarray) -> Session:
    try:
        return _idle[key].pop()
    except (KeyError, IndexError):
        description, dtype, _, batch, steps, with_states, for_input, through_states, _ = key
        network = _described(description)[0]
        return Session(
            network,
            Parameters.from_flat(network, parameters, dtype),
            batch,
            steps,
            initial_states=with_states,
            state_gradients=through_states,
            keep_states=True,
            input_gradient=for_input,
        )


def _keep(key: tuple[Any, ...], session: Session) -> int:
    number = next(_numbers) % 2**31
    _kept[number] = key, session
    while len(_kept) > _MOST:
        _kept.pop(next(iter(_kept)), None)
    return number


def _together(
    arrays: Sequence[np.ndarray], own_axes: Sequence[int]
) -> tuple[tuple[int, ...], list[np.ndarray]]:
    """The axes that `vmap` put before, and the arrays with one axis of networks in their place."""
    before = [it.shape[: it.ndim - own] for it, own in zip(arrays, own_axes, strict=True)]
    mapped = np.broadcast_shapes(*before)
    networks = int(np.prod(mapped))
    result = []
    for array, own in zip(arrays, own_axes, strict=True):
        shape = array.shape[array.ndim - own :]
        if array.size != networks * int(np.prod(shape)):
            array = np.broadcast_to(array, (*mapped, *shape))
        result.append(array.reshape(networks, *shape))
    return mapped, result


def _names(description: str, count: int) -> list[str]:
    """What so many arrays are: all states or none, and the modulators."""
    _, states, modulators = _described(description)
    return [*(states if count > len(modulators) else ()), *modulators]


def _on_host(description: str, is_kept: bool, for_input: bool, flat, input, *given):
    """Output, and for what is kept a number, with the network's place; where nothing is, the states after the last step are in
    between."""
    network, states, _ = _described(description)
    names = _names(description, len(given))
    arrays = [np.asarray(it) for it in (flat, input, *given)]
    own = [1, 3, *(_axes_of(network, states, name) for name in names)]
    mapped, together = _together(arrays, own)
    flat, input, *given = together
    of_parameters = arrays[0].shape[:-1]
    on_batch = not is_kept and len(flat) > 1 and int(np.prod(of_parameters)) == 1
    if on_batch:
        flat = flat[:1]
        input, *given = (it.reshape(1, -1, *it.shape[2:]) for it in (input, *given))
    known = dict(zip(names, given, strict=True))
    if is_kept:
        batch, steps = input.shape[1:3]
        with_states = any(name in states for name in names)
        through = description in _through_states
        sizes = (len(flat), batch, steps)
        key = (description, flat.dtype, *sizes, with_states, for_input, through, os.getpid())
        session = _open(key, flat)
        results = [session.forward(input, known, flat).output]
        number = _keep(key, session)
    else:
        at = Parameters.from_flat(network, flat, flat.dtype)
        outcome = forward(network, at, input, states=known, final_states=True)
        results = [outcome.output, *(outcome.states[name] for name in states)]
        number = 0
    if on_batch:
        results = [it.reshape(*mapped, -1, *it.shape[2:]) for it in results]
    else:
        results = [it.reshape(*mapped, *it.shape[1:]) for it in results]
    # Each network by its place, too.
    numbers = np.full((*mapped, 2), number, np.int32)
    numbers[..., 1] = np.arange(int(np.prod(mapped))).reshape(mapped)
    return (*results, numbers)


def _states_on_host(description: str, flat, input, *others):
    """States after the last step, of the forward half that is kept; `others` are what is given, and the number."""
    network, states, _ = _described(description)
    *arrays, number = (np.asarray(it) for it in (flat, input, *others))
    names = _names(description, len(arrays) - 2)
    own = [1, 3, *(_axes_of(network, states, name) for name in names)]
    mapped, (flat, input, *given) = _together(arrays, own)
    key, session = _take_kept(number, flat, input)
    if session is not None:
        made = session.states
        _kept[int(number.flat[0])] = key, session
    else:
        at = Parameters.from_flat(network, flat, flat.dtype)
        known = dict(zip(names, given, strict=True))
        made = forward(network, at, input, states=known, output=False, final_states=True).states
    return tuple(made[name].reshape(*mapped, *made[name].shape[1:]) for name in states)


def _take_kept(number: np.ndarray, flat: np.ndarray, input: np.ndarray):
    """The session that ran these episodes forward, with what it is for; None where it is not there, as while another call,
    which may run at the same time, has it, and where these are not its networks in their order."""
    numbers, places = number.reshape(-1, 2).T
    taken = [_kept.pop(int(one), (None, None)) for one in np.unique(numbers)]
    key, session = taken[0]
    sizes = (len(flat), input.shape[1])
    is_whole = np.array_equal(places, np.arange(len(flat)))
    if len(taken) > 1 or session is None or (session.population, session.batch) != sizes:
        return None, None
    return (key, session) if is_whole else (None, None)


def _axes_of(network: Network, states: Mapping[str, tuple[int, ...]], name: str) -> int:
    if name in states:
        return 1 + len(states[name])
    # `[B, T]`, or `[B, T, O]`.
    return 3 if 'per = "neuron"' in network.to_toml().split("modulation")[1] else 2


def _back_on_host(
    description: str, count: int, present: tuple[bool, ...], for_input: bool, flat, input, *others
):
    """What is given are `count` arrays; then the gradients on those of the results that have one, and a number."""
    network, states, _ = _described(description)
    names = _names(description, count)
    *arrays, number = (np.asarray(it) for it in (flat, input, *others))
    results = dict(zip(("", *states), (3, *(1 + len(it) for it in states.values())), strict=True))
    results = {
        name: own for (name, own), here in zip(results.items(), present, strict=True) if here
    }
    own = [1, 3, *(_axes_of(network, states, name) for name in names), *results.values()]
    mapped, (flat, input, *others) = _together(arrays, own)
    given, upstream = others[:count], dict(zip(results, others[count:], strict=True))
    output_gradient = upstream.pop("", None)
    key, session = _take_kept(number, flat, input)
    if session is not None and (key[-2] or not upstream):
        made = session.backward(output_gradient, upstream)
        waiting = _idle.setdefault(key, []) if len(_idle) < _MOST or key in _idle else []
        if len(waiting) < 4:
            waiting.append(session)
    else:
        if output_gradient is None:
            output_gradient = np.zeros((len(flat), *input.shape[1:3], network.outputs), flat.dtype)
        made = gradient(
            network,
            Parameters.from_flat(network, flat, flat.dtype),
            input,
            output_gradient=output_gradient,
            states=dict(zip(names, given, strict=True)),
            state_gradients=upstream,
            output=False,
            input_gradient=for_input,
        )
    results = [made.parameters.flat, *([made.input] if for_input else ())]
    results += [made.given[name] for name in names]
    return tuple(it.reshape(*mapped, *it.shape[1:]) for it in results)


def _call(description: str, is_kept: bool, for_input: bool, flat, input, given):
    """Output, states after the last step, and the number of what is kept."""
    network, states, _ = _described(description)
    batch, steps, _ = input.shape

    def shaped(shape):
        return jax.ShapeDtypeStruct(shape, flat.dtype)

    output = shaped((batch, steps, network.outputs))
    finals = tuple(shaped((batch, *shape)) for shape in states.values())
    number = jax.ShapeDtypeStruct((2,), np.int32)
    on_host = partial(_on_host, description, is_kept, for_input)
    if not is_kept:
        shapes = (output, *finals, number)
        return jax.pure_callback(on_host, shapes, flat, input, *given, vmap_method="expand_dims")
    output, number = jax.pure_callback(
        on_host, (output, number), flat, input, *given, vmap_method="expand_dims"
    )
    # By themselves, so that compilers leave them out where nothing looks at them.
    on_host = partial(_states_on_host, description)
    finals = jax.pure_callback(
        on_host, finals, flat, input, *given, number, vmap_method="expand_dims"
    )
    return (output, *finals, number)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _run(description: str, flat: jax.Array, input: jax.Array, given: tuple[jax.Array, ...]):
    return _call(description, False, False, flat, input, given)[:-1]


def _forward(description, flat, input, given):
    # That of the input costs as much as all others: it is made where it is wanted.
    for_input = input.perturbed
    flat, input, given = jax.tree.map(
        lambda it: it.value,
        (flat, input, given),
        is_leaf=lambda it: isinstance(it, jax.custom_derivatives.CustomVJPPrimal),
    )
    *results, number = _call(description, True, for_input, flat, input, given)
    # Whether it is wanted has to be known while tracing: by the length of a tuple.
    return tuple(results), (flat, input, given, number, (number,) if for_input else ())


def _backward(description, kept, upstream):
    flat, input, given, number, wanted = kept
    for_input = bool(wanted)
    is_zero = [isinstance(it, jax.custom_derivatives.SymbolicZero) for it in upstream]
    if all(is_zero):
        return None, None, tuple(None for _ in given)
    arrays = (flat, *([input] if for_input else ()), *given)
    shapes = tuple(jax.ShapeDtypeStruct(it.shape, it.dtype) for it in arrays)
    present = tuple(not zero for zero in is_zero)
    if any(present[1:]):
        _through_states.add(description)
    on_host = partial(_back_on_host, description, len(given), present, for_input)
    there = [it for it, zero in zip(upstream, is_zero, strict=True) if not zero]
    by_flat, *others = jax.pure_callback(
        on_host, shapes, flat, input, *given, *there, number, vmap_method="expand_dims"
    )
    by_input = others.pop(0) if for_input else None
    return by_flat, by_input, tuple(others)


_run.defvjp(_forward, _backward, symbolic_zeros=True)


def _array(name: str, thing: Any) -> jax.Array:
    try:
        return jnp.asarray(thing)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: no array can be made of it: {error}") from error


def _per(name: str, thing: Any) -> str:
    shape = _array(name, thing).shape
    if len(shape) > 2:
        raise InputError(f"{name}: shape {list(shape)}, expected [O, J], [O] or a scalar")
    return ("layer", "neuron", "connection")[len(shape)]


def _apply(kind, parameters: Arrays, input, state, modulator, settings):
    if not isinstance(input, (jax.Array, np.ndarray)):
        raise InputError(f"input: a {type(input).__name__}, expected an array")
    if input.ndim not in (2, 3):
        raise InputError(f"input: shape {list(input.shape)}, expected [B, T, I] or [T, I]")
    if "weight" not in parameters:
        raise InputError("weight: missing array, expected shape [O, J]")
    weight = _array("weight", parameters["weight"])
    if weight.ndim != 2:
        raise InputError(f"weight: shape {list(weight.shape)}, expected [O, J]")
    is_one = input.ndim == 2
    batch = input[None] if is_one else input
    # What tracing knows is refused then; within a callback it would be refused in XLA's words.
    for name, size in zip(("batch", "steps"), batch.shape[:2], strict=True):
        if size == 0:
            raise InputError(f"{name}: zero, expected at least 1")
    settings = dict(settings)
    # What there is, and of which shape, says what the layer has.
    if "plasticity" in parameters:
        settings["plasticity"] = _per("plasticity", parameters["plasticity"])
    else:
        settings["plasticity"] = "none"
    settings["bias"] = "bias" in parameters
    if "rate" in parameters:
        settings["rate"] = Rate(0.0, per=_per("rate", parameters["rate"]))
    settings["coefficients"] = {
        name.removeprefix("coefficient."): Coefficient(0.0, per=_per(name, it))
        for name, it in parameters.items()
        if name.startswith("coefficient.")
    }
    if kind is _settings.Recurrent:
        settings["input"] = "matrix" if "input_weight" in parameters else "identity"
    layer = kind(batch.shape[-1], weight.shape[0], **settings)
    network = Network([layer])
    description = network.to_toml()
    _, states, modulators = _described(description)
    flat = []
    for name, (shape, is_learned) in network.tensors.items():
        own = name.removeprefix("layer0.")
        if own in parameters:
            array = _array(own, parameters[own])
        elif own == "rate" and not is_learned:
            array = jnp.full(shape, settings.get("rate", 0.01))
        else:
            raise InputError(f"{own}: missing array, expected shape {list(shape)}")
        if array.shape != shape:
            raise InputError(f"{own}: shape {list(array.shape)}, expected {list(shape)}")
        flat.append(array.astype(batch.dtype).reshape(-1))
    unknown = set(parameters) - {name.removeprefix("layer0.") for name in network.tensors}
    if unknown:
        known = ", ".join(name.removeprefix("layer0.") for name in network.tensors)
        raise InputError(f"{min(unknown)}: unknown array; this layer takes {known}")
    if batch.dtype not in (jnp.float32, jnp.float64):
        raise InputError(f"input: {batch.dtype}, expected float32 or float64")
    given = []
    names = [name.removeprefix("layer0.") for name in states]
    if state is not None:
        if not isinstance(state, Mapping):
            raise InputError(f"state: a {type(state).__name__}, expected a mapping of {names}")
        if set(state) != set(names):
            raise InputError(f"state: {list(state)}, expected {names}")
        given = [_array(name, state[name]) for name in names]
        given = [it[None] for it in given] if is_one else given
        for name, array, shape in zip(names, given, states.values(), strict=True):
            expected = (batch.shape[0], *shape)
            if array.shape != expected:
                raise InputError(f"{name}: shape {list(array.shape)}, expected {list(expected)}")
    if (modulator is not None) != bool(modulators):
        expected = "one for each step" if modulators else "none: the layer takes none"
        raise InputError(f"modulator: {'missing' if modulators else 'given'}, expected {expected}")
    if modulator is not None:
        modulator = _array("modulator", modulator)
        modulator = modulator[None] if is_one else modulator
        per_neuron = _axes_of(network, states, modulators[0]) == 3
        expected = (*batch.shape[:2], *([network.outputs] if per_neuron else []))
        if modulator.shape != expected:
            shape = list(modulator.shape)
            raise InputError(f"modulator: shape {shape}, expected {list(expected)}")
        given.append(modulator)
    given = tuple(it.astype(batch.dtype) for it in given)
    output, *finals = _run(description, jnp.concatenate(flat), batch, given)
    if is_one:
        output, finals = output[0], [it[0] for it in finals]
    return output, dict(zip(names, finals, strict=True))


def plastic(
    parameters: Arrays,
    input: jax.Array,
    state: Arrays | None = None,
    modulator: jax.Array | None = None,
    *,
    activation: str = "linear",
    rule: str | tuple[str, str] = "hebb",
    rate: float | None = None,
    plastic_bias: bool = False,
    bound: float | None = None,
    modulation: Modulation | str | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Runs episodes through a plastic layer: output `[B, T, O]`, and the state after the last step.

    `parameters` are a dictionary, which says by what it has, and of which shape, what the layer has: "weight" `[O, J]`,
    "plasticity" `[O, J]`, `[O]` or a scalar (without it nothing is plastic), "bias" `[O]`, "rate", a scalar or `[O]` (without it
    the `rate` of the call, which is not learned), "coefficient.NAME" of a rule of one's own, and "modulator_weight",
    "modulator_bias", "fan_out_weight", "fan_out_bias" of a modulator from the network. `input` is `[B, T, I]`, or `[T, I]` of one
    episode. `state` is what an earlier call returned, zeros where there is none: "trace" (and "eligibility") `[B, O, J]`.
    """
    settings = _plain(activation, rule, rate, plastic_bias, bound, modulation, parameters)
    return _apply(_settings.Plastic, parameters, input, state, modulator, settings)


def recurrent(
    parameters: Arrays,
    input: jax.Array,
    state: Arrays | None = None,
    modulator: jax.Array | None = None,
    *,
    activation: str = "linear",
    rule: str | tuple[str, str] = "hebb",
    rate: float | None = None,
    plastic_bias: bool = False,
    bound: float | None = None,
    modulation: Modulation | str | None = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Runs episodes through a recurrent layer, whose neurons hear each other's last output.

    As `plastic`, with `J = O`, "input_weight" `[O, I]` among the parameters (without it the input goes to the neurons as it is),
    and "activity" `[B, O]` in the state.
    """
    settings = _plain(activation, rule, rate, plastic_bias, bound, modulation, parameters)
    return _apply(_settings.Recurrent, parameters, input, state, modulator, settings)


def _plain(activation, rule, rate, plastic_bias, bound, modulation, parameters) -> dict[str, Any]:
    if not isinstance(parameters, Mapping):
        raise InputError(f"parameters: a {type(parameters).__name__}, expected a dictionary")
    if other := [name for name in parameters if not isinstance(name, str)]:
        raise InputError(f"parameters: the key {other[0]!r}, expected names")
    settings: dict[str, Any] = {"activation": activation}
    if "plasticity" in parameters:
        settings |= {"rule": rule, "bound": bound, "modulation": modulation}
        settings["plastic_bias"] = plastic_bias or None
        if "rate" not in parameters:
            settings["rate"] = 0.01 if rate is None else rate
        elif rate is not None:
            raise InputError("rate: given, and among the parameters, too: give one of them")
    return settings


def init(
    key: jax.Array,
    inputs: int,
    outputs: int,
    *,
    recurrent: bool = False,
    bias: bool = True,
    rate: float | None = None,
    dtype: Any = jnp.float32,
) -> dict[str, jax.Array]:
    """Parameters of a layer, drawn from U(−1/√J, 1/√J); with a `rate`, which is learned from there."""
    # For what it says of the sizes.
    Network([_settings.Dense(inputs, outputs)])
    if dtype not in (jnp.float32, jnp.float64):
        raise InputError(f"dtype: {dtype}, expected float32 or float64")
    presynaptic = outputs if recurrent else inputs
    shapes: dict[str, tuple[int, ...]] = {
        "weight": (outputs, presynaptic),
        "plasticity": (outputs, presynaptic),
    }
    if bias:
        shapes["bias"] = (outputs,)
    if recurrent:
        shapes["input_weight"] = (outputs, inputs)
    most = presynaptic**-0.5
    keys = jax.random.split(key, len(shapes))
    parameters = {
        name: jax.random.uniform(key, shape, dtype, -most, most)
        for key, (name, shape) in zip(keys, shapes.items(), strict=True)
    }
    if rate is not None:
        parameters["rate"] = jnp.asarray(rate, dtype)
    return parameters
