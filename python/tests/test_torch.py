"""The layers for PyTorch: against the same cells written out, and against PyTorch's own checks."""

import copy
import gc
import io
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jacfwd, jacrev, stack_module_state, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

import metaplastic as mp
import metaplastic.torch as mpt

RETROACTIVE = ("h + m * e", "a * e + rate * y * x")
KINDS = {
    "hebb": lambda **kw: mpt.Plastic(3, 2, activation="tanh", rate=mpt.Rate(0.1), **kw),
    "hebb, rate per neuron": lambda **kw: mpt.Plastic(
        3, 2, activation="tanh", rate=mpt.Rate(0.1, per="neuron"), plasticity="neuron", **kw
    ),
    "oja": lambda **kw: mpt.Plastic(3, 2, activation="tanh", rule="oja", rate=mpt.Rate(0.1), **kw),
    "additive": lambda **kw: mpt.Plastic(
        3, 2, activation="logistic", rule="additive", rate=0.1, plasticity="layer", **kw
    ),
    "own": lambda **kw: mpt.Plastic(3, 2, rule="0.9 * h + rate * tanh(y) * x", **kw),
    "bounded": lambda **kw: mpt.Plastic(
        3, 2, rule="additive", bound=5.0, plastic_bias=True, bias=False, rate=mpt.Rate(0.1), **kw
    ),
    "modulated": lambda **kw: mpt.Plastic(
        3, 2, activation="tanh", modulation="episodes", rate=mpt.Rate(0.1), **kw
    ),
    "modulates": lambda **kw: mpt.Plastic(
        3, 2, activation="tanh", modulation=mpt.Modulation("network", per="neuron"), rate=0.3, **kw
    ),
    "recurrent": lambda **kw: mpt.Recurrent(3, 2, activation="tanh", rate=mpt.Rate(0.1), **kw),
    "recurrent, oja": lambda **kw: mpt.Recurrent(
        2, 2, activation="tanh", rule="oja", rate=mpt.Rate(0.1), input="identity", **kw
    ),
    "retroactive": lambda **kw: mpt.Recurrent(
        3, 2, activation="tanh", rule=RETROACTIVE, rate=mpt.Rate(0.3),
        coefficients={"a": mpt.Coefficient(0.9)}, modulation="network", **kw
    ),
    "not plastic": lambda **kw: mpt.Recurrent(3, 2, activation="tanh", plasticity="none", **kw),
}  # fmt: skip


def double(kind):
    torch.manual_seed(5)
    return KINDS[kind](dtype=torch.float64)


def episodes(layer, batch=2, steps=4):
    torch.manual_seed(6)
    input = torch.randn(batch, steps, layer.inputs, dtype=torch.float64)
    takes = layer._layer.modulation == "episodes"
    return input, torch.randn(batch, steps, dtype=torch.float64) if takes else None


def states_of(layer, input, modulator):
    _, state = layer(input, None, modulator)
    return {name: it.detach() + 0.1 for name, it in state.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    layer = double(kind)
    input, modulator = episodes(layer)
    state = states_of(layer, input, modulator)
    names = [name for name, _ in layer.named_parameters()]
    parameters = [it.detach().clone() for it in layer.parameters()]
    given = [input, *state.values(), *([] if modulator is None else [modulator])]

    def run(*tensors):
        tensors = list(tensors)
        at = {name: tensors.pop(0) for name in names}
        chunk = {name: tensors[1 + index] for index, name in enumerate(state)}
        last = tensors[-1] if modulator is not None else None
        output, after = functional_call(layer, at, (tensors[0], chunk, last))
        return output, *after.values()

    tensors = [it.requires_grad_() for it in [*parameters, *given]]
    assert torch.autograd.gradcheck(run, tensors)

    # One wrong element has to be found.
    def wrong(*tensors):
        output, *after = run(*tensors)
        return output + 1e-3 * (tensors[0].detach() - tensors[0]).sum(), *after

    assert not torch.autograd.gradcheck(wrong, tensors, raise_exception=False)


@pytest.mark.parametrize("kind", KINDS)
def test_opcheck(kind):
    layer = double(kind)
    input, modulator = episodes(layer)
    state = states_of(layer, input, modulator)
    flat = torch.cat([getattr(layer, name).detach().reshape(-1) for name in layer._tensors])
    given = [*state.values(), *([] if modulator is None else [modulator])]
    given = [it[None].requires_grad_() for it in given]
    for keep in (0, 2):
        arguments = (
            layer._description, keep, False,
            flat[None].requires_grad_(), input[None].requires_grad_(), given,
        )  # fmt: skip
        torch.library.opcheck(torch.ops.metaplastic.run.default, arguments)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("is_recurrent", [False, True])
def test_layers_are_the_cell_written_out(dtype, is_recurrent):
    torch.manual_seed(0)
    cls = mpt.Recurrent if is_recurrent else mpt.Plastic
    layer = cls(4, 3, activation="tanh", rate=mpt.Rate(0.2), dtype=dtype)
    input = torch.randn(5, 7, 4, dtype=dtype)
    output, state = layer(input)
    trace = torch.zeros(5, 3, 3 if is_recurrent else 4, dtype=dtype)
    y, outputs = torch.zeros(5, 3, dtype=dtype), []
    for step in range(7):
        pre = y if is_recurrent else input[:, step]
        drive = layer.bias + (input[:, step] @ layer.input_weight.T if is_recurrent else 0)
        effective = layer.weight + layer.plasticity * trace
        y = torch.tanh(torch.bmm(effective, pre.unsqueeze(2)).squeeze(2) + drive)
        trace = (1 - layer.rate) * trace + layer.rate * torch.bmm(y.unsqueeze(2), pre.unsqueeze(1))
        outputs.append(y)
    expected = torch.stack(outputs, 1)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {}
    torch.testing.assert_close(output, expected, **close)
    torch.testing.assert_close(state["trace"], trace, **close)
    factor = torch.randn_like(output)
    ours = torch.autograd.grad((output * factor).sum(), list(layer.parameters()))
    theirs = torch.autograd.grad((expected * factor).sum(), list(layer.parameters()))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **close)


def test_gradients_have_the_bits_of_numpys():
    layer = mpt.Plastic(4, 3, activation="tanh", rate=mpt.Rate(0.1))
    input, upstream = torch.randn(5, 7, 4), torch.randn(5, 7, 3)
    output, _ = layer(input)
    output.backward(upstream)
    network = mp.Network.from_toml(layer._description)
    named = {f"layer0.{name}": it.detach().numpy() for name, it in layer.named_parameters()}
    parameters = mp.Parameters(network, named)
    expected = mp.gradient(network, parameters, input.numpy(), output_gradient=upstream.numpy())
    assert (output.detach().numpy() == expected.output[0]).all()
    for name, parameter in layer.named_parameters():
        assert (parameter.grad.numpy() == expected.parameters[f"layer0.{name}"][0]).all()


@pytest.mark.parametrize("kind", ["hebb", "retroactive"])
def test_chunks_and_axes(kind):
    layer = double(kind)
    input, _ = episodes(layer, steps=9)
    whole, after = layer(input)
    first, state = layer(input[:, :4])
    second, last = layer(input[:, 4:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    for name in after:
        torch.testing.assert_close(last[name], after[name])
    steps_first = copy.deepcopy(layer)
    steps_first.batch_first = False
    torch.testing.assert_close(steps_first(input.transpose(0, 1))[0].transpose(0, 1), whole)
    one, state = layer(input[0])
    torch.testing.assert_close(one, whole[0])
    torch.testing.assert_close(state["trace"], after["trace"][0])


def test_gradients_go_through_states():
    layer = double("hebb")
    input, _ = episodes(layer, steps=6)
    layer(input)[0].sum().backward()
    whole = layer.weight.grad.clone()
    layer.zero_grad()
    first, state = layer(input[:, :3])
    second, _ = layer(input[:, 3:], state)
    (first.sum() + second.sum()).backward()
    torch.testing.assert_close(layer.weight.grad, whole)


def test_backward_can_run_again_and_forward_halves_are_let_go():
    layer = double("hebb")
    input, _ = episodes(layer)
    output, _ = layer(input)
    one = torch.autograd.grad(output.sum(), layer.weight, retain_graph=True)[0]
    other = torch.autograd.grad(output.sum(), layer.weight)[0]
    assert (one == other).all()
    del output, _
    gc.collect()
    assert not mpt._kept
    # With the same bits where the kept half is lost.
    output, _ = layer(input)
    mpt._kept.clear()
    lost = torch.autograd.grad(output.sum(), layer.weight, retain_graph=True)[0]
    assert (lost == one).all()
    del output, _
    gc.collect()


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_those_of_the_episodes_they_came_of_whenever_they_are_looked_at(kind):
    layer = double(kind)
    input, modulator = episodes(layer)
    with torch.no_grad():
        _, expected = layer(input, None, modulator)
    output, state = layer(input, None, modulator)
    # Other episodes run, and theirs and these are differentiated, before.
    for _ in range(3):
        layer(2 * input, None, modulator)[0].sum().backward()
    output.sum().backward()
    layer(3 * input, None, modulator)[0].sum().backward()
    assert len(state) == len(expected) and set(state) == set(expected)
    with torch.inference_mode():
        looked = dict(state)
    for name, tensor in looked.items():
        assert (tensor == expected[name]).all() and tensor.requires_grad, name
        assert tensor.shape == expected[name].shape
    # A copy that is made before anybody looked.
    copied = copy.copy(layer(input, None, modulator)[1])
    assert type(copied) is dict and copied.keys() == expected.keys()
    assert all((copied[name] == expected[name]).all() for name in expected)
    shapes = torch.utils._pytree.tree_map(lambda it: it.shape, layer(input, None, modulator)[1])
    assert shapes == {name: it.shape for name, it in expected.items()}


@pytest.mark.parametrize("kind", ["hebb", "retroactive"])
def test_gradients_of_states_that_are_looked_at_late_are_those_of_early_ones(kind):
    layer = double(kind)
    input, _ = episodes(layer)
    made = []
    for early in (True, False):
        layer.zero_grad()
        output, state = layer(input)
        if early:
            dict(state)
        layer(3 * input)
        sums = [output.sum(), *(it.square().sum() for it in state.values())]
        sum(sums).backward()
        made.append([it.grad.clone() for it in layer.parameters()])
    assert all((one == other).all() for one, other in zip(*made, strict=True))
    layer.zero_grad()
    output, state = layer(input)
    output.sum().backward()
    assert any((it.grad != made[0][n]).any() for n, it in enumerate(layer.parameters()))


def test_states_may_be_looked_at_first_in_any_mode_and_by_threads():
    layer = double("hebb")
    input, _ = episodes(layer)
    with torch.no_grad():
        _, expected = layer(input)
    ones = torch.ones(2, 2, 3, dtype=torch.float64)
    looks = [
        lambda state: grad(lambda it: (it * state["trace"].detach()).sum())(ones),
        lambda state: vmap(lambda it: it * state["trace"].detach())(ones[None]),
    ]
    for look in looks:
        _, state = layer(input)
        look(state)
        assert (state["trace"] == expected["trace"]).all() and state["trace"].requires_grad
    _, state = layer(input)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert state["trace"].shape == expected["trace"].shape
    assert type(state["trace"]) is torch.Tensor and (state["trace"] == expected["trace"]).all()
    for _ in range(20):
        _, state = layer(input)
        with ThreadPoolExecutor(4) as pool:
            seen = list(pool.map(lambda _, state=state: state["trace"], range(4)))
        assert all((it == expected["trace"]).all() for it in seen)


def test_states_of_one_layer_begin_a_compiled_one():
    layer = double("hebb")
    input, _ = episodes(layer)
    expected, _ = layer(input, layer(input)[1])
    compiled = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(input, layer(input)[1])[0], expected)


def test_memory_is_given_back_where_no_state_is_looked_at():
    gc.collect()
    layer = double("hebb")
    input, _ = episodes(layer)
    for _ in range(20):
        output, state = layer(input)
        output.sum().backward()
    assert len(mpt._kept) == 1
    del output, state
    gc.collect()
    assert not mpt._kept


def test_nothing_is_kept_without_gradients():
    layer = double("hebb")
    input, _ = episodes(layer)
    with torch.no_grad():
        output, _ = layer(input)
    assert not mpt._kept and not output.requires_grad


@pytest.mark.parametrize("kind", ["hebb", "retroactive"])
def test_compiled_layers_do_the_same(kind):
    layer = double(kind)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for steps in (4, 6):
        input, _ = episodes(layer, steps=steps)
        input.requires_grad_()
        for run in (layer, compiled):
            layer.zero_grad()
            output, state = run(input)
            (output.square().sum() + state["trace"].sum()).backward()
            if run is layer:
                expected = [output.detach(), *(it.grad.clone() for it in layer.parameters())]
        for one, other in zip(
            expected, [output, *(it.grad for it in layer.parameters())], strict=True
        ):
            torch.testing.assert_close(one, other)


def test_inductor_compiles():
    layer = double("hebb")
    input, _ = episodes(layer)
    expected = layer(input)[0].square().sum()
    got = torch.compile(lambda it: layer(it)[0].square().sum(), fullgraph=True)(input)
    torch.testing.assert_close(got, expected)
    got.backward()
    assert layer.weight.grad is not None


@pytest.mark.parametrize("kind", ["hebb", "recurrent"])
def test_vmap_over_modules_is_a_population(kind):
    layers = []
    for seed in range(3):
        torch.manual_seed(seed)
        layers.append(KINDS[kind](dtype=torch.float64))
    parameters, buffers = stack_module_state(layers)
    input, _ = episodes(layers[0])

    def run(parameters, buffers, input):
        return functional_call(layers[0], (parameters, buffers), (input,))[0]

    together = vmap(run, in_dims=(0, 0, None))(parameters, buffers, input)
    apart = torch.stack([layer(input)[0] for layer in layers])
    torch.testing.assert_close(together, apart)
    together.square().sum().backward()
    apart.square().sum().backward()
    for index, layer in enumerate(layers):
        for name, parameter in layer.named_parameters():
            torch.testing.assert_close(parameters[name].grad[index], parameter.grad)

    def loss(parameters, buffers, input):
        return run(parameters, buffers, input).square().sum()

    # Of each module, and of each episode.
    by_module = vmap(grad(loss), in_dims=(0, 0, None))(parameters, buffers, input)
    torch.testing.assert_close(by_module["weight"][1], layers[1].weight.grad)
    one = dict(layers[1].named_parameters())
    by_episode = vmap(grad(loss), in_dims=(None, None, 0))(one, {}, input.unsqueeze(1))
    torch.testing.assert_close(by_episode["weight"].sum(0), layers[1].weight.grad)


def test_many_gradients_of_one_forward_half():
    layer = double("hebb")
    input, _ = episodes(layer)

    def run(weight):
        return functional_call(layer, {"weight": weight}, (input,))[0]

    weight = layer.weight.detach()
    output, pull = torch.func.vjp(run, weight)
    upstream = torch.randn(5, *output.shape, dtype=torch.float64)
    (together,) = vmap(pull)(upstream)
    for index in range(5):
        torch.testing.assert_close(together[index], pull(upstream[index])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_in_a_batch_are_those_one_by_one(kind):
    layer = double(kind)
    input, modulator = episodes(layer)
    input.requires_grad_()
    state = {name: it.requires_grad_() for name, it in states_of(layer, input, modulator).items()}
    output, after = layer(input, state, modulator)
    results = [output, *after.values()]
    wanted = [*layer.parameters(), input, *state.values()]
    upstream = [torch.randn(5, *it.shape, dtype=torch.float64) for it in results]
    # Of the output alone, of some of the results, and of all of them.
    for some in ([0], [len(results) - 1], range(len(results))):
        given = [results[index] for index in some]
        options = {"retain_graph": True, "allow_unused": True}
        together = torch.autograd.grad(
            given, wanted, [upstream[index] for index in some], is_grads_batched=True, **options
        )
        for place in range(5):
            each = [upstream[index][place] for index in some]
            apart = torch.autograd.grad(given, wanted, each, **options)
            for one, other in zip(together, apart, strict=True):
                assert (one is None) == (other is None)
                assert one is None or torch.equal(one[place], other)
    del results, given, output, after, together, apart
    gc.collect()


def test_batches_of_gradients_take_one_forward_half(monkeypatch):
    layer = double("hebb")
    input, _ = episodes(layer)

    def run(weight):
        return functional_call(layer, {"weight": weight}, (input,))[0]

    weight = layer.weight.detach()
    expected = torch.autograd.functional.jacobian(run, weight)
    monkeypatch.setattr(mpt, "gradient", None)
    got = torch.autograd.functional.jacobian(run, weight, vectorize=True)
    assert torch.equal(got, expected)
    assert torch.autograd.gradcheck(run, weight.clone().requires_grad_(), check_batched_grad=True)


@pytest.mark.parametrize("kind", ["hebb", "retroactive"])
def test_jacobians(kind):
    layer = double(kind)
    input, _ = episodes(layer)

    def run(weight):
        output, state = functional_call(layer, {"weight": weight}, (input,))
        return output, state["trace"]

    weight = layer.weight.detach()
    expected = torch.autograd.functional.jacobian(run, weight)
    for chunk in (None, 3):
        for one, other in zip(jacrev(run, chunk_size=chunk)(weight), expected, strict=True):
            torch.testing.assert_close(one, other)
    several = torch.stack([weight, 0.5 * weight])
    for one, other in zip(vmap(jacrev(run))(several), expected, strict=True):
        torch.testing.assert_close(one[0], other)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_derivatives_that_there_are_not_are_refused():
    layer = double("hebb")
    input, _ = episodes(layer)

    def run(weight):
        return functional_call(layer, {"weight": weight}, (input,))[0].square().sum()

    weight = layer.weight.detach()
    with pytest.raises(NotImplementedError, match="no derivative in forward mode"):
        jacfwd(run)(weight)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        jacrev(jacrev(run))(weight)
    (by_weight,) = torch.autograd.grad(run(layer.weight), layer.weight, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        by_weight.sum().backward()


@pytest.mark.parametrize("with_gradient", [True, False])
def test_operators_are_called_only_where_something_looks_on(with_gradient):
    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    layer = double("retroactive")
    input, modulator = episodes(layer)
    state = states_of(layer, input, modulator)

    def run():
        layer.zero_grad()
        with torch.profiler.profile() as profile, torch.set_grad_enabled(with_gradient):
            output, after = layer(input, state, modulator)
            if with_gradient:
                (output.square().sum() + after["trace"].sum()).backward()
        gradients = [it.grad for it in layer.parameters()] if with_gradient else []
        keys = {event.key for event in profile.key_averages()}
        called = {key for key in keys if key.startswith("metaplastic::")}
        return called, [output, *dict(after).values(), *gradients]

    called, plainly = run()
    assert called == set()
    with Watching():
        called, watched = run()
    backward = {"metaplastic::run_backward"} if with_gradient else set()
    assert called == {"metaplastic::run"} | backward
    assert all(torch.equal(one, other) for one, other in zip(plainly, watched, strict=True))


def test_tensors_that_lie_in_memory_otherwise_are_taken():
    layer = double("hebb")
    input, _ = episodes(layer)
    negated = torch.complex(input, -input).conj().imag
    assert negated.is_neg()
    for given, plain in [(negated, input), (torch._efficientzerotensor(input.shape), 0 * input)]:
        for with_gradient in (True, False):
            with torch.set_grad_enabled(with_gradient):
                assert torch.equal(layer(given.double())[0], layer(plain)[0])


@pytest.mark.parametrize("with_gradient", [True, False])
def test_graphs_are_recorded_before_dispatch(with_gradient):
    layer = double("hebb")
    input, _ = episodes(layer)
    with torch.set_grad_enabled(with_gradient):
        graph = make_fx(lambda it: layer(it)[0], pre_dispatch=True)(input)
        assert "metaplastic.run" in graph.code
        assert torch.equal(graph(2 * input), layer(2 * input)[0])


def test_tensors_of_several_devices_are_refused():
    layer = double("hebb")
    input, _ = episodes(layer)
    with pytest.raises(mp.InputError, match="input: on meta, but the parameters are on cpu"):
        layer(input.to("meta"))
    with pytest.raises(mp.InputError, match="input: on cpu, but the parameters are on meta"):
        KINDS["hebb"](device="meta", dtype=torch.float64)(input)
    state = states_of(layer, input, None)
    with pytest.raises(mp.InputError, match="trace: on meta, but the parameters are on cpu"):
        layer(input, {"trace": state["trace"].to("meta")})


@pytest.mark.parametrize("with_gradient", [True, False])
def test_tangents_are_not_lost(with_gradient):
    layer = double("hebb")
    input, _ = episodes(layer)
    with forward_ad.dual_level(), torch.set_grad_enabled(with_gradient):
        dual = forward_ad.make_dual(input, input)
        with pytest.raises(NotImplementedError, match="no derivative in forward mode"):
            layer(dual)
        layer(input)


def saved_and_loaded(thing):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file)


@pytest.mark.parametrize("kind", ["hebb", "recurrent", "retroactive"])
def test_states_are_saved_and_loaded(kind):
    layer = double(kind)
    input, _ = episodes(layer)
    with torch.no_grad():
        _, expected = layer(input)
        output, _ = layer(input, expected)
    checkpoint = {"layer": layer.state_dict(), "state": layer(input)[1]}
    loaded = saved_and_loaded(checkpoint)
    again = KINDS[kind](dtype=torch.float64)
    again.load_state_dict(loaded["layer"])
    assert torch.equal(again(input, loaded["state"])[0], output)
    for state in (
        saved_and_loaded(expected),
        saved_and_loaded(layer(input)[1]),
        pickle.loads(pickle.dumps(layer(input)[1])),
        copy.deepcopy(expected),
    ):
        assert list(state) == list(expected)
        assert all(torch.equal(state[name], expected[name]) for name in expected)
    # As with tensors, what belongs to a graph cannot be copied.
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(layer(input)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_modules_are_copied_and_pickled(kind):
    layer = double(kind)
    input, modulator = episodes(layer)
    expected, _ = layer(input, None, modulator)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(again) == repr(layer)
        assert torch.equal(again(input, None, modulator)[0], expected)
        again.weight.data.zero_()
    assert torch.equal(layer(input, None, modulator)[0], expected)


def test_states_are_looked_at_while_another_thread_differentiates():
    layer = double("hebb")
    input, _ = episodes(layer, batch=8, steps=50)
    with torch.no_grad():
        expected = layer(input)[1]["trace"]
    with ThreadPoolExecutor(2) as pool:
        for _ in range(100):
            output, state = layer(input)
            backward = pool.submit(lambda output=output: output.sum().backward())
            looked = pool.submit(lambda state=state: state["trace"])
            assert torch.equal(looked.result(), expected)
            backward.result()


def test_modules_are_saved_and_named():
    layer = KINDS["retroactive"]()
    again = KINDS["retroactive"]()
    again.load_state_dict(layer.state_dict())
    input = torch.randn(2, 4, 3)
    assert torch.equal(layer(input)[0], again(input)[0])
    assert {"weight", "plasticity", "bias", "rate", "input_weight", "coefficient_a"} <= set(
        layer.state_dict()
    )
    assert "rate" not in dict(mpt.Plastic(3, 2, rate=0.1).named_parameters())
    assert "activation='tanh'" in repr(layer)


@pytest.mark.parametrize(
    ("text", "call"),
    {
        "input: shape": lambda layer, input: layer(input[0, 0]),
        "input: shape .*, 2.": lambda layer, input: layer(input[..., :2]),
        "torch.float64": lambda layer, input: layer(input.double()),
        "float16": lambda layer, input: layer.half()(input.half()),
        "is NaN": lambda layer, input: layer(input / 0 * 0),
        "state": lambda layer, input: layer(input, {"memory": input}),
        "layer0.trace: shape": lambda layer, input: layer(input, {"trace": input}),
        "modulator: given": lambda layer, input: layer(input, None, input),
        "modulator: missing": lambda layer, input: KINDS["modulated"]()(input),
        "input: a list": lambda layer, input: layer(input.tolist()),
        "input: torch.sparse_coo": lambda layer, input: layer(input.to_sparse()),
        "state: a Tensor": lambda layer, input: layer(input, input),
        "trace: a ndarray": lambda layer, input: layer(input, {"trace": np.zeros((2, 2, 3))}),
        "modulator: a float": lambda layer, input: KINDS["modulated"]()(input, None, 1.0),
        "steps: zero": lambda layer, input: layer(input[:, :0]),
        "batch: zero": lambda layer, input: layer(input[:0]),
        "sine": lambda layer, input: mpt.Plastic(3, 2, activation="sine"),
    }.items(),
)
def test_bad_input(text, call):
    layer = KINDS["hebb"]()
    with pytest.raises(mp.InputError, match=text):
        call(layer, torch.randn(2, 4, 3))
    layer = KINDS["hebb"]()
    assert torch.isfinite(layer(torch.randn(2, 4, 3))[0]).all()


def test_other_devices_go_through_the_host_with_one_warning(monkeypatch):
    # The shapes and types of a device without values: what runs there is asked for on the CPU.
    layer = KINDS["hebb"](device="meta")
    output, state = layer(torch.randn(2, 4, 3, device="meta"))
    assert output.device.type == "meta" and output.shape == (2, 4, 2)
    assert state["trace"].shape == (2, 2, 3)

    class Elsewhere:
        type = "cuda"

    class Far:
        device = Elsewhere()

        def __init__(self):
            self.here = torch.ones(2)

        def detach(self):
            return self

        def cpu(self):
            return self.here

    monkeypatch.setattr(mpt, "_warned", False)
    with pytest.warns(UserWarning, match="copied there and back"):
        assert torch.equal(mpt._on_host(Far())[0], torch.ones(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mpt._on_host(Far())


def test_a_layer_learns():
    torch.manual_seed(0)
    layer, head = mpt.Plastic(6, 12, activation="tanh", rate=mpt.Rate(0.2)), torch.nn.Linear(12, 2)
    optimiser = torch.optim.Adam([*layer.parameters(), *head.parameters()], 0.01)
    losses = []
    for _ in range(150):
        label = torch.randint(2, (32, 1)).expand(32, 6)
        input = torch.zeros(32, 6, 6)
        # The label is seen at the first step alone.
        input[:, 0, :2] = torch.nn.functional.one_hot(label[:, 0], 2).float()
        input[..., 5] = 1
        loss = torch.nn.functional.cross_entropy(head(layer(input)[0]).transpose(1, 2), label)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.5 * losses[0]
