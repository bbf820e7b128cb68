"""The functions for JAX: against the same cell under `scan`, and against differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import metaplastic as mp
import metaplastic.jax as mpj

jax.config.update("jax_enable_x64", True)


def problem(is_recurrent=False, dtype=jnp.float64, rate=0.2):
    key = jax.random.key(0)
    parameters = mpj.init(key, 4, 3, recurrent=is_recurrent, rate=rate, dtype=dtype)
    return parameters, jax.random.normal(jax.random.key(1), (5, 7, 4), dtype)


def layer(is_recurrent):
    return mpj.recurrent if is_recurrent else mpj.plastic


def cell(is_recurrent, parameters, input):
    def step(carry, x):
        trace, y = carry
        pre = y if is_recurrent else x
        drive = parameters["bias"] + (x @ parameters["input_weight"].T if is_recurrent else 0)
        effective = parameters["weight"] + parameters["plasticity"] * trace
        y = jnp.tanh(jnp.einsum("bij,bj->bi", effective, pre) + drive)
        rate = parameters["rate"]
        trace = (1 - rate) * trace + rate * y[:, :, None] * pre[:, None, :]
        return (trace, y), y

    batch, outputs = input.shape[0], parameters["weight"].shape[0]
    shape = (batch, *parameters["weight"].shape)
    start = (jnp.zeros(shape, input.dtype), jnp.zeros((batch, outputs), input.dtype))
    (trace, _), outputs = jax.lax.scan(step, start, input.swapaxes(0, 1))
    return outputs.swapaxes(0, 1), trace


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_layers_are_the_cell_written_out(is_recurrent):
    parameters, input = problem(is_recurrent)
    factor = jnp.sin(jnp.arange(5 * 7 * 3.0)).reshape(5, 7, 3)

    def ours(parameters, input):
        output, state = layer(is_recurrent)(parameters, input, activation="tanh")
        return (output * factor).sum() + (state["trace"] ** 2).sum()

    def theirs(parameters, input):
        output, trace = cell(is_recurrent, parameters, input)
        return (output * factor).sum() + (trace**2).sum()

    for change in (lambda it: it, jax.jit):
        one = change(jax.value_and_grad(ours, (0, 1)))(parameters, input)
        other = jax.value_and_grad(theirs, (0, 1))(parameters, input)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), one, other
        )


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_gradients_are_those_of_differences(is_recurrent):
    parameters, input = problem(is_recurrent)
    run = layer(is_recurrent)
    _, state = run(parameters, input, activation="tanh")

    def whole(parameters, input, state):
        return run(parameters, input, state, activation="tanh", rule="oja")

    check_grads(whole, (parameters, input, state), order=1, modes=["rev"])


def test_gradients_have_the_bits_of_numpys():
    parameters, input = problem(dtype=jnp.float32)
    network = mp.Network([mp.Plastic(4, 3, activation="tanh", rate=mp.Rate(0.0))])
    named = {f"layer0.{name}": np.asarray(it) for name, it in parameters.items()}
    upstream = np.ones((5, 7, 3), np.float32)
    expected = mp.gradient(
        network, mp.Parameters(network, named), np.asarray(input), output_gradient=upstream
    )
    got = jax.grad(lambda p: mpj.plastic(p, input, activation="tanh")[0].sum())(parameters)
    for name, array in got.items():
        assert array.dtype == jnp.float32
        assert (np.asarray(array) == expected.parameters[f"layer0.{name}"][0]).all()


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_vmap_maps_populations_and_batches(is_recurrent):
    some = [problem(is_recurrent)[0] for _ in range(1)]
    _, input = problem(is_recurrent)
    many = jax.tree.map(lambda it: jnp.stack([it, it * 1.1, it * 0.9]), some[0])
    run = lambda p, x: layer(is_recurrent)(p, x, activation="tanh")[0]
    apart = jnp.stack([run(jax.tree.map(lambda it, n=n: it[n], many), input) for n in range(3)])
    for change in (lambda it: it, jax.jit):
        together = change(jax.vmap(run, (0, None)))(many, input)
        np.testing.assert_allclose(together, apart, rtol=1e-12)
        inputs = jnp.stack([input, -input])
        by_input = change(jax.vmap(run, (None, 0)))(some[0], inputs)
        np.testing.assert_allclose(by_input[1], run(some[0], -input), rtol=1e-12)
        both = change(jax.vmap(jax.vmap(run, (0, None)), (None, 0)))(many, inputs)
        np.testing.assert_allclose(both[1, 2], run(jax.tree.map(lambda it: it[2], many), -input))

    loss = lambda p, x: (run(p, x) ** 2).sum()
    each = jax.vmap(jax.grad(loss), (None, 0))(some[0], input[:, None])
    total = jax.grad(loss)(some[0], input)
    np.testing.assert_allclose(each["weight"].sum(0), total["weight"], rtol=1e-9)
    by_network = jax.jit(jax.vmap(jax.grad(loss), (0, None)))(many, input)
    alone = jax.grad(loss)(jax.tree.map(lambda it: it[1], many), input)
    np.testing.assert_allclose(by_network["weight"][1], alone["weight"], rtol=1e-12)


def test_chunks_and_single_episodes():
    parameters, input = problem()
    whole, after = mpj.plastic(parameters, input, activation="tanh")
    first, state = mpj.plastic(parameters, input[:, :3], activation="tanh")
    second, last = mpj.plastic(parameters, input[:, 3:], state, activation="tanh")
    np.testing.assert_allclose(jnp.concatenate([first, second], 1), whole, rtol=1e-12)
    np.testing.assert_allclose(last["trace"], after["trace"], rtol=1e-12)
    one, _ = mpj.plastic(parameters, input[2], activation="tanh")
    np.testing.assert_allclose(one, whole[2], rtol=1e-12)


def test_parameters_say_what_a_layer_has():
    parameters, input = problem()
    less = {"weight": parameters["weight"], "plasticity": jnp.float64(0.3)}
    output, state = mpj.plastic(less, input, rate=0.1, rule="0.9 * h + rate * tanh(y) * x")
    assert output.shape == (5, 7, 3) and state["trace"].shape == (5, 3, 4)
    dense = {name: parameters[name] for name in ("weight", "bias")}
    output, state = mpj.plastic(dense, input)
    expected = input @ parameters["weight"].T + parameters["bias"]
    np.testing.assert_allclose(output, expected, rtol=1e-12)
    assert state == {}
    own = {**parameters, "coefficient.a": jnp.ones((3, 4))}
    run = lambda p: mpj.plastic(p, input, rule=("h + e", "a * e + rate * y * x"))[0].sum()
    assert jax.grad(run)(own)["coefficient.a"].shape == (3, 4)


def test_modulators_are_given_and_differentiated():
    parameters, input = problem()
    run = lambda m: mpj.plastic(parameters, input, None, m, modulation="episodes")[0].sum()
    modulator = jnp.sin(jnp.arange(35.0)).reshape(5, 7)
    check_grads(run, (modulator,), order=1, modes=["rev"])


@pytest.mark.parametrize(
    ("text", "call"),
    {
        "input: shape": lambda p, x: mpj.plastic(p, x[0, 0]),
        "weight: shape": lambda p, x: mpj.plastic(p, x[..., :2]),
        "weight: missing": lambda p, x: mpj.plastic({}, x),
        "speed: unknown": lambda p, x: mpj.plastic({**p, "speed": x}, x),
        "state": lambda p, x: mpj.plastic(p, x, {"memory": x}),
        "trace: shape": lambda p, x: mpj.plastic(p, x, {"trace": x}),
        "rate: given": lambda p, x: mpj.plastic(p, x, rate=0.1),
        "modulator: given": lambda p, x: mpj.plastic(p, x, None, x),
        "sine": lambda p, x: mpj.plastic(p, x, activation="sine"),
        "int32": lambda p, x: mpj.plastic(p, x.astype(jnp.int32)),
        "batch: zero": lambda p, x: mpj.plastic(p, x[:0]),
        "steps: zero": lambda p, x: mpj.plastic(p, x[:, :0]),
        "input: a list": lambda p, x: mpj.plastic(p, [1.0]),
        "parameters: a list": lambda p, x: mpj.plastic([1], x),
        "parameters: the key 3": lambda p, x: mpj.plastic({**p, 3: x}, x),
        "weight: no array": lambda p, x: mpj.plastic({**p, "weight": [[1], [1, 2]]}, x),
        "rate: no array": lambda p, x: mpj.plastic({**p, "rate": None}, x),
        "state: a list": lambda p, x: mpj.plastic(p, x, [1]),
        "trace: no array": lambda p, x: mpj.plastic(p, x, {"trace": "x"}),
        "modulator: no array": lambda p, x: mpj.plastic(p, x, None, "x", modulation="episodes"),
        "layer0.inputs: zero": lambda p, x: mpj.init(jax.random.key(0), 0, 3),
        "integer `-1`": lambda p, x: mpj.init(jax.random.key(0), 3, -1),
        "dtype: .*int32": lambda p, x: mpj.init(jax.random.key(0), 3, 3, dtype=jnp.int32),
        "steps: zero, expected": lambda p, x: mpj.recurrent(p, x[0, :0]),
        "weight: shape .4.": lambda p, x: mpj.plastic({**p, "weight": x[0, 0]}, x),
        "plasticity: shape .5, 7, 4.": lambda p, x: mpj.plastic({**p, "plasticity": x}, x),
        "rate: shape": lambda p, x: mpj.plastic({**p, "rate": x}, x),
        "modulator: shape .5, 7, 4., expected .5, 7.": lambda p, x: mpj.plastic(
            p, x, None, x, modulation="episodes"
        ),
        "modulator: shape .5, 7., expected .5, 7, 3.": lambda p, x: mpj.plastic(
            p, x, None, x[..., 0], modulation=mpj.Modulation("episodes", per="neuron")
        ),
    }.items(),
)
def test_bad_input(text, call):
    parameters, input = problem()
    # As soon as it is traced, and in this package's words.
    for change in (lambda it: it, jax.jit, lambda it: partial(jax.eval_shape, it)):
        with pytest.raises(mp.InputError, match=text):
            change(call)(parameters, input)


def test_nan_is_refused_from_within():
    parameters, input = problem()
    with pytest.raises(Exception, match="is NaN"):
        jax.block_until_ready(jax.jit(mpj.plastic)(parameters, input * jnp.nan))
    assert np.isfinite(mpj.plastic(parameters, input)[0]).all()


@pytest.mark.parametrize("is_kept", [True, False])
@pytest.mark.parametrize("is_recurrent", [False, True])
def test_states_are_brought_where_they_are_looked_at(is_recurrent, is_kept, monkeypatch):
    parameters, input = problem(is_recurrent)
    brought = []
    on_host = mpj._states_on_host

    def counted(*arguments):
        brought.append(arguments)
        if not is_kept:
            mpj._kept.clear()
        return on_host(*arguments)

    monkeypatch.setattr(mpj, "_states_on_host", counted)

    def loss(parameters):
        output, state = layer(is_recurrent)(parameters, input, activation="tanh")
        return (output**2).sum(), state

    jax.jit(jax.grad(lambda it: loss(it)[0]))(parameters)
    assert not brought
    # Looked at beside the gradient, in which they have no part.
    alone = jax.grad(lambda it: loss(it)[0])(parameters)
    brought.clear()
    got, state = jax.jit(jax.grad(loss, has_aux=True))(parameters)
    assert len(brought) == 1
    _, expected = layer(is_recurrent)(parameters, input, activation="tanh")
    assert state.keys() == expected.keys()
    assert all((state[name] == expected[name]).all() for name in expected)
    assert all((got[name] == alone[name]).all() for name in alone)
    # Of several networks.
    several = jax.tree.map(lambda it: jnp.stack([it, 0.5 * it]), parameters)
    _, states = jax.jit(jax.vmap(jax.grad(loss, has_aux=True)))(several)
    assert all((states[name][0] == expected[name]).all() for name in expected)
    _, half = loss(jax.tree.map(lambda it: 0.5 * it, parameters))
    assert all((states[name][1] == half[name]).all() for name in expected)


def test_networks_may_change_places_between_the_halves():
    _, input = problem()
    several = jax.vmap(lambda key: mpj.init(key, 4, 3, rate=0.1))(
        jax.random.split(jax.random.key(3), 3)
    )

    def pull(parameters):
        return jax.vjp(lambda it: mpj.plastic(it, input, activation="tanh")[0], parameters)[1]

    call = jax.vmap(lambda it: it(jnp.ones((5, 7, 3)))[0]["weight"])
    right = call(jax.vmap(pull)(several))
    for places in map(jnp.array, ([2, 1, 0], [0, 0, 0], [1, 1, 2])):
        moved = jax.tree.map(lambda it, at=places: it[at], jax.vmap(pull)(several))
        for _ in range(2):
            np.testing.assert_allclose(call(moved), right[places], rtol=1e-9)


def test_forward_halves_are_let_go():
    parameters, input = problem()
    gradient = jax.grad(lambda p: mpj.plastic(p, input)[0].sum())
    for _ in range(3):
        gradient(parameters)
    assert not mpj._kept
    for _ in range(2 * mpj._MOST):
        jax.vjp(lambda p: mpj.plastic(p, input)[0].sum(), parameters)
    assert len(mpj._kept) <= mpj._MOST
