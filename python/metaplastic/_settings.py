"""What networks and optimisers are described with. What is not said is what it is in files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ._errors import InputError

#: Rules that have a name; any other text is a rule of one's own.
RULES = ("hebb", "oja", "additive", "retroactive")


class _Table:
    """A setting that knows its form in files: what is None is left out."""

    def _table(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Rate(_Table):
    """The plasticity rate of a layer: its value at first, one `per` "layer" or "neuron", learned or not."""

    value: float
    per: str = "layer"
    learned: bool = True


@dataclass(frozen=True)
class Coefficient(_Table):
    """A coefficient of a rule of one's own: one `per` "connection", "neuron" or "layer"."""

    value: float
    per: str = "connection"
    learned: bool = True


@dataclass(frozen=True)
class Modulation(_Table):
    """Where a layer's modulator comes from, "network" or "episodes", and how many there are."""

    source: str
    per: str = "layer"

    def _table(self) -> dict[str, Any]:
        return {"from": self.source, "per": self.per}


@dataclass(frozen=True, kw_only=True)
class _Synapses(_Table):
    """What plastic and recurrent layers have in common."""

    activation: str = "linear"
    rule: str | tuple[str, str] | list[str] | None = None
    plasticity: str = "connection"
    plastic_bias: bool | None = None
    bound: float | None = None
    rate: float | Rate | Mapping[str, Any] | None = None
    modulation: Modulation | str | Mapping[str, Any] | None = None
    coefficients: Mapping[str, float | Coefficient | Mapping[str, Any]] = field(
        default_factory=dict
    )
    bias: bool = True

    def _table(self) -> dict[str, Any]:
        table = super()._table()
        if isinstance(self.rule, (tuple, list)):
            if len(self.rule) != 2:
                raise InputError(
                    f"rule: {len(self.rule)} texts, expected one, or two: of the trace and of the eligibility trace"
                )
            table["rule"] = dict(zip(("trace", "eligibility"), self.rule, strict=True))
        elif self.rule is not None and self.rule not in RULES:
            table["rule"] = {"trace": self.rule}
        if isinstance(self.rate, (int, float)):
            table["rate"] = Rate(self.rate, learned=False)
        if isinstance(self.modulation, str):
            table["modulation"] = Modulation(self.modulation)
        if not isinstance(self.coefficients, Mapping):
            kind = type(self.coefficients).__name__
            raise InputError(f"coefficients: a {kind}, expected a dictionary of names and values")
        table["coefficients"] = {
            name: Coefficient(it) if isinstance(it, (int, float)) else it
            for name, it in self.coefficients.items()
        }
        return {"kind": type(self).__name__.lower(), **table}


@dataclass(frozen=True)
class Plastic(_Synapses):
    """A plastic layer: `y = f(b + (w + α H) x)`, then `H` by the rule.

    `rule` is the name of one of `RULES`, a text such as `"0.9 * h + rate * tanh(y) * x"`, or two texts, of the trace and of
    an eligibility trace. `plasticity` is one coefficient per "connection", "neuron" or "layer", or "none". A `rate` that is
    a number is fixed; `Rate(0.1)` is learned.

    >>> layer = Plastic(10, 2, activation="tanh", rate=Rate(0.1))
    """

    inputs: int
    outputs: int


@dataclass(frozen=True)
class Recurrent(_Synapses):
    """A recurrent layer: plastic connections among its own neurons. `input` is "matrix" (learned weights) or "identity".

    >>> layer = Recurrent(20, 100, activation="tanh", rule="oja", rate=Rate(0.02))
    """

    inputs: int
    outputs: int
    input: str = "matrix"


@dataclass(frozen=True)
class Dense(_Table):
    """A dense layer: `y = f(b + w x)`."""

    inputs: int
    outputs: int
    activation: str = "linear"
    bias: bool = True

    def _table(self) -> dict[str, Any]:
        return {"kind": "dense", **super()._table()}


@dataclass(frozen=True)
class Bias(_Table):
    """A learned vector that is added: `y = f(x + b)`."""

    neurons: int
    activation: str = "linear"

    def _table(self) -> dict[str, Any]:
        sizes = {"inputs": self.neurons, "outputs": self.neurons}
        return {"kind": "bias", "activation": self.activation, **sizes}


class Optimiser(_Table):
    """How parameters follow their gradients: a method, "adam", "rmsprop" or "sgd", with a learning rate.

    Settings are those of a recipe's `[optimiser]`: constants of the method (`beta1`, `mean_rate`, …), `schedule`
    (`{"kind": "cosine", "updates": 1000}`), `max_step`, `max_gradient_norm`, `l1`, `l2`, `rate_bounds`, `plasticity_min`,
    `plasticity_max`, `frozen` (`["weight", "layer0.bias"]`) and `factors` (`{"layer0.plasticity": 10}`).

    >>> optimiser = Optimiser("adam", 0.01, l2=1e-5)
    """

    #: What belongs to the method itself.
    _CONSTANTS = ("beta1", "beta2", "epsilon", "mean_rate", "momentum")

    def __init__(self, method: str, learning_rate: float, **settings: Any) -> None:
        self.method, self.learning_rate, self.settings = method, learning_rate, settings

    def __repr__(self) -> str:
        settings = "".join(f", {name}={value!r}" for name, value in self.settings.items())
        return f"Optimiser({self.method!r}, {self.learning_rate}{settings})"

    def _table(self) -> dict[str, Any]:
        of_method = {name: it for name, it in self.settings.items() if name in self._CONSTANTS}
        others = {name: it for name, it in self.settings.items() if name not in of_method}
        method = {"kind": self.method, **of_method}
        return {"method": method, "learning_rate": self.learning_rate, **others}
