"""Plastic layers for PyTorch.

>>> import torch, metaplastic.torch as mpt
>>> layer = mpt.Plastic(64, 32, activation="tanh", rate=mpt.Rate(0.1))
>>> input = torch.randn(8, 20, 64)                    # [B, T, I]
>>> output, state = layer(input)                      # [B, T, O], and what the next chunk starts from
>>> output.shape, state["trace"].shape
(torch.Size([8, 20, 32]), torch.Size([8, 32, 64]))
>>> output, state = layer(input, state)
>>> output.square().mean().backward()
>>> layer.plasticity.grad.shape
torch.Size([32, 64])

Gradients are those of the engine: of parameters, input and states, in float32 or float64. The layers work under
`torch.compile` and `torch.func`; `torch.vmap` over their parameters is computed as one population. The engine computes on the
CPU, where tensors are read in place; tensors of another device go through the host.
"""

from __future__ import annotations

import copy
import os
import threading
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.utils import _pytree

from . import _settings
from ._errors import InputError
from ._native import Network, Parameters, Session, forward, gradient
from ._settings import Coefficient, Modulation, Rate

__all__ = ["Coefficient", "Modulation", "Plastic", "Rate", "Recurrent"]

State = Mapping[str, Tensor]

# What `keep` says: the forward half is kept for a backward one, which may want the gradient of the input.
_KEEP, _KEEP_FOR_INPUT = 1, 2

_NO_SECOND = "plastic layers have no second derivative"
_NO_FORWARD_MODE = "plastic layers have no derivative in forward mode: take jacrev for jacfwd"


@lru_cache(maxsize=256)
def _described(description: str) -> tuple[Network, dict[str, tuple[int, ...]], list[str]]:
    """The network, its states with their shapes for one episode, and its modulators from episodes."""
    network = Network.from_toml(description)
    return network, network.states, network.given_modulators


# Forward halves whose backward half may come, by the address of a tensor that lives as long as they may be wanted, with
# whether there may be gradients on their states. A session that is not found (the tensor was copied), or not ready for those,
# costs a second forward half, and no bit.
_kept: dict[int, tuple[Session, bool]] = {}
# Layers of which gradients on states came once, and which are made ready for them from then on.
_through_states: set[str] = set()
# Sessions that wait to be used again.
_idle: dict[tuple[Any, ...], list[Session]] = {}
_MOST_KINDS, _MOST_OF_A_KIND = 16, 4


def _open(key: tuple[Any, ...], parameters: np.ndarray) -> Session:
    try:
        return _idle[key].pop()
    except (KeyError, IndexError):
        description, dtype, _, batch, steps, with_states, keep, later, through_states, _ = key
        network = _described(description)[0]
        return Session(
            network,
            Parameters.from_flat(network, parameters, dtype),
            batch,
            steps,
            initial_states=with_states,
            state_gradients=through_states,
            final_states=not later,
            keep_states=True,
            input_gradient=keep == _KEEP_FOR_INPUT,
        )


def _release(address: int, key: tuple[Any, ...]) -> None:
    if address not in _kept:
        return
    session, _ = _kept.pop(address)
    if len(_idle) >= _MOST_KINDS and key not in _idle:
        _idle.clear()
    waiting = _idle.setdefault(key, [])
    if len(waiting) < _MOST_OF_A_KIND:
        waiting.append(session)


def _keep(session: Session, key: tuple[Any, ...]) -> Tensor:
    """A tensor for as long as which the session is kept."""
    array = np.zeros(1, np.uint8)
    address = array.ctypes.data
    _kept[address] = session, key[-2]
    weakref.finalize(array, _release, address, key).atexit = False
    return torch.from_numpy(array)


class _States(Mapping[str, Tensor]):
    """States after the last step, whose values the session brings when one of them is looked at: few are.

    The tensors are made with the output. What is done later is done to their memory, so that no mode of PyTorch has a part in it.
    """

    def __init__(
        self, states: dict[str, Tensor], memory: list[np.ndarray], session: Session, token: Tensor
    ) -> None:
        self._states, self._lock = states, threading.Lock()
        # The token keeps the session from other episodes.
        self._waiting: tuple[list[np.ndarray], Session, Tensor] | None = memory, session, token

    def _brought(self) -> dict[str, Tensor]:
        with self._lock:
            if self._waiting is not None:
                memory, session, _ = self._waiting
                arrays = session.states
                for name, array in zip(self._states, memory, strict=True):
                    np.copyto(array, arrays[f"layer0.{name}"])
                self._waiting = None
        return self._states

    def __getitem__(self, name: str) -> Tensor:
        return self._brought()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __repr__(self) -> str:
        return repr(self._brought())

    def __copy__(self) -> dict[str, Tensor]:
        return dict(self._brought())

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Tensor]:
        return copy.deepcopy(self._brought(), memo)

    def __reduce__(self) -> tuple[Any, ...]:
        # The one mapping that is made anew by a call, and that `torch.load` trusts.
        return OrderedDict, (), None, None, iter(self._brought().items())


_pytree.register_pytree_node(
    _States,
    lambda states: (list(states.values()), list(states)),
    lambda values, names: dict(zip(names, values, strict=True)),
)


_warned = False


def _on_host(*tensors: Tensor) -> list[Tensor]:
    global _warned
    if not _warned and any(tensor.device.type != "cpu" for tensor in tensors):
        _warned = True
        device = next(it.device for it in tensors if it.device.type != "cpu")
        warnings.warn(
            f"metaplastic computes on the CPU: tensors on {device} are copied there and back",
            stacklevel=2,
        )
    return [tensor.detach().cpu() for tensor in tensors]


def _check(parameters: Tensor, named: Mapping[str, Tensor]) -> None:
    if parameters.dtype not in (torch.float32, torch.float64):
        raise InputError(f"parameters: {parameters.dtype}, expected torch.float32 or torch.float64")
    for name, tensor in named.items():
        if tensor.dtype != parameters.dtype:
            raise InputError(f"{name}: {tensor.dtype}, but the parameters are {parameters.dtype}")
        if tensor.layout != torch.strided:
            raise InputError(
                f"{name}: {tensor.layout}, expected torch.strided: give its `to_dense()`"
            )
        if tensor.device != parameters.device:
            raise InputError(
                f"{name}: on {tensor.device}, but the parameters are on {parameters.device}"
            )


def _refuse_tangents(*tensors: Tensor) -> None:
    if torch.compiler.is_compiling() or forward_ad._current_level < 0:
        return
    if any(forward_ad.unpack_dual(it).tangent is not None for it in tensors):
        raise NotImplementedError(_NO_FORWARD_MODE)


def _names(description: str, given: Sequence[Any]) -> list[str]:
    """What `given` is: all states or none, and the modulators."""
    _, states, modulators = _described(description)
    return [*(states if len(given) > len(modulators) else ()), *modulators]


def _run_forward(
    description: str,
    keep: int,
    states_later: bool,
    parameters: Tensor,
    input: Tensor,
    given: Sequence[Tensor],
) -> list[Tensor]:
    """Episodes run forward: output, states after the last step, and what keeps the forward half.

    Shapes: parameters `[P, size]`, input `[P or 1, B, T, I]`, output `[P, B, T, O]`, states `[P, B, …]`. With `states_later`
    the states have no values yet, which the session has.
    """
    network, states, _ = _described(description)
    names = _names(description, given)
    device = parameters.device
    flat, episodes, *arrays = (it.numpy(force=True) for it in _on_host(parameters, input, *given))
    known = dict(zip(names, arrays, strict=True))
    if keep:
        batch, steps = episodes.shape[1:3]
        with_states = any(name in states for name in names)
        through = description in _through_states
        key = (
            description,
            flat.dtype,
            len(flat),
            batch,
            steps,
            with_states,
            keep,
            states_later,
            through,
            os.getpid(),
        )
        session = _open(key, flat)
        outcome = session.forward(episodes, known, flat)
        token = _keep(session, key)
    else:
        at = Parameters.from_flat(network, flat, flat.dtype)
        outcome = forward(network, at, episodes, states=known, final_states=True)
        token = torch.zeros(1, dtype=torch.uint8)
    output = torch.from_numpy(outcome.output).to(device)
    if keep and states_later:
        finals = [output.new_empty((*output.shape[:2], *shape)) for shape in states.values()]
    else:
        finals = [torch.from_numpy(outcome.states[name]).to(device) for name in states]
    return [output, *finals, token]


_run = torch.library.custom_op("metaplastic::run", _run_forward, mutates_args=())


@_run.register_fake
def _(description, keep, states_later, parameters, input, given):
    network, states, _ = _described(description)
    population, (_, batch, steps, _) = parameters.shape[0], input.shape
    shapes = [(batch, steps, network.outputs), *((batch, *shape) for shape in states.values())]
    results = [parameters.new_empty((population, *shape)) for shape in shapes]
    return [*results, torch.empty(1, dtype=torch.uint8)]


def _run_back(
    description: str,
    for_input: bool,
    parameters: Tensor,
    input: Tensor,
    given: Sequence[Tensor],
    token: Tensor,
    gradients: Sequence[Tensor],
    present: Sequence[bool],
) -> list[Tensor]:
    """Gradients of parameters, input (if wanted) and what was given. `present` says which outputs have a gradient."""
    network, states, _ = _described(description)
    device = parameters.device
    tensors = _on_host(parameters, input, *given, *gradients)
    flat, episodes, *others = (it.numpy(force=True) for it in tensors)
    names = _names(description, given)
    arrays, upstream = others[: len(given)], iter(others[len(given) :])
    known = {
        name: next(upstream) for name, here in zip(["", *states], present, strict=True) if here
    }
    output_gradient = known.pop("", None)
    session, through_states = _kept.get(token.data_ptr(), (None, False))
    if known and not through_states:
        _through_states.add(description)
        session = None
    if session is not None and session.population == len(flat) and session.batch == input.shape[1]:
        made = session.backward(output_gradient, known)
    else:
        if output_gradient is None:
            shape = (len(flat), *episodes.shape[1:3], network.outputs)
            output_gradient = np.zeros(shape, flat.dtype)
        made = gradient(
            network,
            Parameters.from_flat(network, flat, flat.dtype),
            episodes,
            output_gradient=output_gradient,
            states=dict(zip(names, arrays, strict=True)),
            state_gradients=known,
            output=False,
            input_gradient=for_input,
        )
    results = [made.parameters.flat, *((made.input,) if for_input else ())]
    results = [*results, *(made.given[name] for name in names)]
    return [torch.from_numpy(np.require(it, requirements="W")).to(device) for it in results]


_run_backward = torch.library.custom_op("metaplastic::run_backward", _run_back, mutates_args=())


@_run_backward.register_fake
def _(description, for_input, parameters, input, given, token, gradients, present):
    population = parameters.shape[0]
    shapes = [parameters.shape]
    if for_input:
        shapes.append((population, *input.shape[1:]))
    shapes.extend((population, *it.shape[1:]) for it in given)
    return [parameters.new_empty(shape) for shape in shapes]


def _setup_context(ctx, inputs, output):
    description, _, _, parameters, input, given = inputs
    ctx.description, ctx.count = description, len(given)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(parameters, input, *given, output[-1])


def _is_transformed() -> bool:
    """Whether `torch.func` is at work, which does not differentiate operators by their own derivative."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def _is_plain(*tensors: Tensor) -> bool:
    """Whether nothing but autograd looks on. Then states may come after the output, since nobody else sees tensors that have no
    values yet; and no operator is called, which would take a third of a millisecond."""
    return not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._ops._len_torch_dispatch_stack_pre_dispatch()
        or any(type(it) is not Tensor or it.device.type != "cpu" for it in tensors)
    )


def _call_backward(description, for_input, present, parameters, input, *others):
    count = len(others) - 1 - sum(present)
    given, token, gradients = others[:count], others[count], others[count + 1 :]
    is_plain = not torch.is_grad_enabled() and _is_plain(parameters, input, *others)
    run = _run_back if is_plain else torch.ops.metaplastic.run_backward
    return run(
        description, for_input, parameters, input, list(given), token, list(gradients), present
    )


def _is_batched(gradients: Sequence[Tensor]) -> bool:
    """Whether they are those of `is_grads_batched`, which has a `vmap` of its own: one that asks operators of lists for nothing."""
    return any(torch._C._functorch.is_legacy_batchedtensor(it) for it in gradients)


def _call_backward_on_each(description, for_input, present, *tensors):
    """`_call_backward` on each of many gradients, one after the other: the forward half that is kept serves all of them."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    first = len(tensors) - sum(present)
    # With the axis that they have in common first, of length 1 where one is the same for all.
    gradients = [torch._remove_batch_dim(it, level, 1, 0) for it in tensors[first:]]
    size = max(len(it) for it in gradients)
    gradients = [it.expand(size, *it.shape[1:]) for it in gradients]
    made = [
        _call_backward(description, for_input, present, *tensors[:first], *each)
        for each in zip(*gradients, strict=True)
    ]
    return [torch._add_batch_dim(torch.stack(it), 0, level) for it in zip(*made, strict=True)]


def _backward(ctx, gradients):
    parameters, input, *given, token = ctx.saved_tensors
    upstream = gradients[:-1]
    if all(it is None for it in upstream):
        return None, None, None, None, None, [None] * ctx.count
    for_input = ctx.needs_input_grad[4]
    present = [it is not None for it in upstream]
    there = [it for it in upstream if it is not None]
    if _is_transformed():
        call = _TransformedBackward.apply
    else:
        call = _call_backward_on_each if _is_batched(there) else _call_backward
    made = call(ctx.description, for_input, present, parameters, input, *given, token, *there)
    by_parameters, *others = made
    by_input = others.pop(0) if for_input else None
    # What was common to all networks gets the sum over them.
    if by_input is not None and input.shape[0] != by_input.shape[0]:
        by_input = by_input.sum(0, keepdim=True)
    by_given = [
        made if it.shape[0] == made.shape[0] else made.sum(0, keepdim=True)
        for it, made in zip(given, others, strict=True)
    ]
    return None, None, None, by_parameters, by_input, by_given


def _refuse_second(ctx, gradients):
    raise NotImplementedError(_NO_SECOND)


_run.register_autograd(_backward, setup_context=_setup_context)
_run_backward.register_autograd(_refuse_second)


class _Plain(torch.autograd.Function):
    """The forward half where nothing but autograd looks on."""

    @staticmethod
    def forward(description, keep, states_later, parameters, input, *given):
        return tuple(_run_forward(description, keep, states_later, parameters, input, given))

    @staticmethod
    def setup_context(ctx, inputs, output):
        *settings, parameters, input = inputs[:5]
        _setup_context(ctx, (*settings, parameters, input, inputs[5:]), output)
        ctx.mark_non_differentiable(output[-1])

    @staticmethod
    def backward(ctx, *gradients):
        *others, by_given = _backward(ctx, gradients)
        return *others, *by_given

    @staticmethod
    def jvp(ctx, *tangents):
        raise NotImplementedError(_NO_FORWARD_MODE)


class _Transformed(_Plain):
    """The forward half for `torch.func`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*arguments):
        *settings, parameters, input = arguments[:5]
        return tuple(torch.ops.metaplastic.run(*settings, parameters, input, list(arguments[5:])))


class _TransformedBackward(torch.autograd.Function):
    """The backward half for `torch.func`."""

    generate_vmap_rule = True

    @staticmethod
    def forward(*arguments):
        return tuple(_call_backward(*arguments))

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *gradients):
        raise NotImplementedError(_NO_SECOND)


def _networks(tensor: Tensor, dim: int | None, size: int, population: int) -> Tensor:
    """`[V, P or 1, …]` as `[V·P, …]`; what is not mapped is repeated."""
    tensor = tensor.movedim(dim, 0) if dim is not None else tensor.unsqueeze(0)
    return tensor.expand(size, population, *tensor.shape[2:]).flatten(0, 1)


def _apart(results: Sequence[Tensor], size: int) -> list[Tensor]:
    return [it.unflatten(0, (size, -1)) for it in results]


@_run.register_vmap
def _(info, in_dims, description, keep, states_later, parameters, input, given):
    *_, of_parameters, of_input, of_given = in_dims
    size, population = info.batch_size, _length(parameters, of_parameters)
    is_common = of_input is None and input.shape[0] == 1
    wide = [
        _networks(it, dim, size, population)
        for it, dim in zip([parameters, *given], [of_parameters, *of_given], strict=True)
    ]
    episodes = input if is_common else _networks(input, of_input, size, population)
    *results, token = torch.ops.metaplastic.run(
        description, keep, states_later, wide[0], episodes, wide[1:]
    )
    return [*_apart(results, size), token], [*([0] * len(results)), None]


def _length(tensor: Tensor, dim: int | None) -> int:
    """Networks `P` of what may be mapped."""
    return tensor.shape[0] if dim is None else tensor.movedim(dim, 0).shape[1]


@_run_backward.register_vmap
def _(info, in_dims, description, for_input, parameters, input, given, token, gradients, present):
    _, _, of_parameters, of_input, of_given, _, of_gradients, _ = in_dims
    size, population = info.batch_size, _length(parameters, of_parameters)
    dims = [of_parameters, of_input, *of_given, *of_gradients]
    wide = [
        _networks(it, dim, size, population)
        for it, dim in zip([parameters, input, *given, *gradients], dims, strict=True)
    ]
    flat, episodes, *others = wide
    if of_input is None and input.shape[0] == 1:
        episodes = input
    results = torch.ops.metaplastic.run_backward(
        description,
        for_input,
        flat,
        episodes,
        others[: len(given)],
        token,
        others[len(given) :],
        present,
    )
    return _apart(results, size), [0] * len(results)


def _require_tensors(**named: Any) -> None:
    for name, thing in named.items():
        if not isinstance(thing, Tensor):
            raise InputError(f"{name}: a {type(thing).__name__}, expected a tensor")


class _Layer(nn.Module):
    """What both layers are: a network of one layer."""

    def __init__(
        self,
        layer: _settings.Plastic | _settings.Recurrent,
        batch_first: bool,
        device: Any,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        network = Network([layer])
        self.inputs, self.outputs, self.batch_first = layer.inputs, layer.outputs, batch_first
        self._layer, self._description = layer, network.to_toml()
        self._states = [name.removeprefix("layer0.") for name in network.states]
        self._is_modulated = bool(network.given_modulators)
        # Each a tensor of the network's, in its order, by the name that it has here.
        self._tensors: list[str] = []
        factory = {"device": device, "dtype": dtype}
        for name, (shape, is_learned) in network.tensors.items():
            own = name.removeprefix("layer0.").replace(".", "_")
            self._tensors.append(own)
            tensor = torch.empty(shape, **factory)
            if is_learned:
                self.register_parameter(own, nn.Parameter(tensor))
            else:
                self.register_buffer(own, tensor)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws weights, plasticity coefficients and biases from U(−1/√J, 1/√J), `J` presynaptic neurons.

        Rates and coefficients begin at the values that were given, the modulator's fan-out at 1 and 0.
        """
        network = Network.from_toml(self._description)
        values = Parameters(network, {
            name: np.zeros(shape) for name, (shape, _) in network.tensors.items()
            if name.split(".")[1] not in ("rate", "coefficient", "fan_out_weight", "fan_out_bias")
        }, "float64")  # fmt: skip
        presynaptic = self.weight.shape[1]
        for own, value in zip(self._tensors, values.values(), strict=True):
            tensor = getattr(self, own)
            with torch.no_grad():
                if own in ("rate", "fan_out_weight", "fan_out_bias") or "coefficient" in own:
                    tensor.copy_(torch.from_numpy(np.array(value[0])))
                else:
                    tensor.uniform_(-(presynaptic**-0.5), presynaptic**-0.5)

    def extra_repr(self) -> str:
        settings = {
            name: value
            for name, value in vars(self._layer).items()
            if value != type(self._layer).__dataclass_fields__[name].default and value != {}
        }
        return ", ".join(f"{name}={value!r}" for name, value in settings.items())

    def forward(
        self, input: Tensor, state: State | None = None, modulator: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Runs episodes from `state`, or from zeros.

        `input` is `[B, T, I]` (`[T, B, I]` unless `batch_first`), or `[T, I]` of one episode. Returns the output, `[B, T, O]` in
        the same order of axes, and the state after the last step: "trace" (and "eligibility") `[B, O, J]`, "activity" of a
        recurrent layer `[B, O]`, which are brought when one of them is first looked at. A `modulator` is `[B, T]` or `[B, T, O]`, as the layer's `modulation` says.
        """
        _require_tensors(input=input, **({} if modulator is None else {"modulator": modulator}))
        if input.dim() not in (2, 3):
            raise InputError(f"input: shape {list(input.shape)}, expected [B, T, I] or [T, I]")
        is_one = input.dim() == 2
        if is_one:
            input = input.unsqueeze(0)
        elif not self.batch_first:
            input = input.transpose(0, 1)
            modulator = None if modulator is None else modulator.transpose(0, 1)
        names, given = self._states, []
        if state is not None:
            if not isinstance(state, Mapping):
                raise InputError(f"state: a {type(state).__name__}, expected a mapping of {names}")
            if set(state) != set(names):
                raise InputError(f"state: {list(state)}, expected {names}")
            _require_tensors(**state)
            given = [state[name].unsqueeze(0) if is_one else state[name] for name in names]
        if (modulator is not None) != self._is_modulated:
            expected = "one for each step" if self._is_modulated else "none: the layer takes none"
            raise InputError(
                f"modulator: {'missing' if self._is_modulated else 'given'}, expected {expected}"
            )
        if modulator is not None:
            given.append(modulator.unsqueeze(0) if is_one else modulator)
        tensors = [getattr(self, name) for name in self._tensors]
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        named = dict(zip((*(names if state is not None else ()), "modulator"), given, strict=False))
        _check(flat, {"input": input, **named})
        _refuse_tangents(flat, input, *given)
        keep = 0
        if torch.is_grad_enabled():
            if input.requires_grad:
                keep = _KEEP_FOR_INPUT
            elif flat.requires_grad or any(it.requires_grad for it in given):
                keep = _KEEP
        wide = [it.unsqueeze(0) for it in (flat, input, *given)]
        is_plain = _is_plain(*wide)
        later = bool(keep) and is_plain
        arguments = (self._description, keep, later, *wide)
        if _is_transformed():
            output, *finals, token = _Transformed.apply(*arguments)
        elif later:
            output, *finals, token = _Plain.apply(*arguments)
        else:
            run = _run_forward if is_plain else torch.ops.metaplastic.run
            output, *finals, token = run(*arguments[:5], wide[2:])
        after: State = {
            name: final[0, 0] if is_one else final[0]
            for name, final in zip(names, finals, strict=True)
        }
        if later:
            memory = [final.detach().numpy() for final in finals]
            after = _States(after, memory, _kept[token.data_ptr()][0], token)
        output = output[0]
        if is_one:
            output = output[0]
        elif not self.batch_first:
            output = output.transpose(0, 1)
        return output, after


class Plastic(_Layer):
    """A plastic layer: `y = f(b + (w + α H) x)`, then the trace `H` by its rule.

    Settings are those of `metaplastic.Plastic`. Parameters: `weight` `[O, J]`, `plasticity` `[O, J]`, `[O]` or a scalar, `bias`
    `[O]`, `rate`, a scalar or `[O]` (a buffer where it is not learned), `coefficient_NAME`, and those of a modulator. `J` are
    the inputs, and one more with a plastic bias.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        batch_first: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **settings: Any,
    ) -> None:
        layer = _settings.Plastic(inputs, outputs, **settings)
        super().__init__(layer, batch_first, device, dtype)


class Recurrent(_Layer):
    """A recurrent layer: plastic connections among its own neurons, which hear each other's last output.

    Settings are those of `metaplastic.Recurrent`. Parameters: as `Plastic`, with `J = O`, and `input_weight` `[O, I]`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        batch_first: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        **settings: Any,
    ) -> None:
        layer = _settings.Recurrent(inputs, outputs, **settings)
        super().__init__(layer, batch_first, device, dtype)
