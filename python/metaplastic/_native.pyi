"""Types of the native half. `P` networks, `B` episodes, `T` steps, `I` presynaptic and `O` postsynaptic neurons."""

import os
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._settings import Bias, Dense, Optimiser, Plastic, Recurrent

_Layer: TypeAlias = Plastic | Recurrent | Dense | Bias | Mapping[str, Any]
_Optimiser: TypeAlias = Optimiser | Mapping[str, Any]
_Array: TypeAlias = NDArray[np.floating[Any]]
_Arrays: TypeAlias = Mapping[str, ArrayLike]
_Failure: TypeAlias = tuple[int, int, str]
_State: TypeAlias = Mapping[str, NDArray[Any]]
_Path: TypeAlias = str | os.PathLike[str]

class Network:
    """A stack of layers and the loss on its output: "none", "squared-error" or "softmax-cross-entropy"."""

    def __init__(self, layers: Iterable[_Layer], loss: str = "none") -> None: ...
    @staticmethod
    def from_toml(text: str, origin: str = "network") -> Network: ...
    def to_toml(self) -> str: ...
    @property
    def loss(self) -> str: ...
    @property
    def inputs(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    @property
    def synapses(self) -> int: ...
    @property
    def tensors(self) -> dict[str, tuple[tuple[int, ...], bool]]:
        """Parameter tensors in order: name, shape for one network, and whether it is learned."""
    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """What goes on from step to step (`layer0.trace`): name, and shape for one episode."""
    @property
    def given_modulators(self) -> list[str]:
        """Modulators that episodes have to be given (`layer0.modulator`)."""

class Parameters(Mapping[str, _Array]):
    """The parameters of a population, or their gradient: a mapping from names to `[P, …]`. They do not change."""

    def __init__(self, network: Network, tensors: _Arrays, dtype: DTypeLike = "float32") -> None:
        """From arrays `[P, …]`, or without `P` of one network. Rates and coefficients may be left out."""
    @staticmethod
    def initialise(
        network: Network,
        population: int = 1,
        seed: int = 0,
        *,
        dtype: DTypeLike = "float32",
        scale: float = 0.1,
        plasticity_scale: float | None = None,
        plasticity_sign: Literal["either", "positive", "negative"] = "either",
        positive_output: bool = False,
    ) -> Parameters:
        """Random ones: network `n` of seed `s` is network 0 of seed `s + n`."""
    @staticmethod
    def from_flat(network: Network, flat: ArrayLike, dtype: DTypeLike = "float32") -> Parameters:
        """From `[P, parameters of one network]`, tensor after tensor."""
    @staticmethod
    def read(path: _Path, network: Network, dtype: DTypeLike = "float32") -> Parameters:
        """From a safetensors file."""
    @staticmethod
    def from_bytes(bytes: bytes, network: Network, dtype: DTypeLike = "float32") -> Parameters: ...
    def write(self, path: _Path, metadata: dict[str, str] | None = None) -> None:
        """Into a safetensors file."""
    def to_bytes(self, metadata: dict[str, str] | None = None) -> bytes: ...
    @property
    def flat(self) -> _Array:
        """All values, `[P, parameters of one network]`."""
    @property
    def population(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def networks(self, start: int, stop: int) -> Parameters: ...
    def repeat(self, times: int) -> Parameters: ...
    def astype(self, dtype: DTypeLike) -> Parameters: ...
    def items(self) -> ItemsView[str, _Array]: ...
    def __getitem__(self, name: str) -> _Array: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...

class Engine:
    """What computes: the CPU, or a GPU (in float32 only)."""

    @staticmethod
    def cpu() -> Engine: ...
    @staticmethod
    def gpu(device: str | int | None = None) -> Engine:
        """The best hardware adapter, or the one of this index or name."""
    @staticmethod
    def choose(
        synapse_steps: int, kind: str = "auto", device: str | int | None = None
    ) -> Engine: ...
    @property
    def kind(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def reason(self) -> str: ...

class Outcome:
    """What the networks did."""

    @property
    def loss(self) -> _Array | None:
        """`[P]`: the mean over episodes of the masked sum over steps."""
    @property
    def output(self) -> _Array | None:
        """`[P, B, T, O]`, before a softmax."""
    @property
    def states(self) -> dict[str, _Array]:
        """After the last step: `layer0.trace` `[P, B, O, J]`, …; modulators that networks compute `[P, B, T]`."""

class Gradients(Outcome):
    """What the networks did, and every gradient."""

    @property
    def parameters(self) -> Parameters:
        """Of every parameter; zero for what is not learned."""
    @property
    def input(self) -> _Array | None:
        """`[P, B, T, I]`."""
    @property
    def given(self) -> dict[str, _Array]:
        """Of the states and modulators that were given."""

def forward(
    network: Network,
    parameters: Parameters,
    input: ArrayLike,
    *,
    target: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    states: _Arrays | None = None,
    output: bool = True,
    final_states: bool = False,
    engine: Engine | None = None,
) -> Outcome:
    """Runs episodes `[P, B, T, I]` forward; `[B, T, I]` are common to all networks.

    `states` may be those of the `Outcome` of the episodes' steps before.
    """

def gradient(
    network: Network,
    parameters: Parameters,
    input: ArrayLike,
    *,
    target: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    output_gradient: ArrayLike | None = None,
    states: _Arrays | None = None,
    state_gradients: _Arrays | None = None,
    output: bool = True,
    input_gradient: bool = False,
    final_states: bool = False,
    engine: Engine | None = None,
) -> Gradients:
    """Runs episodes forward and takes the gradient of the network's loss, or of `Σ output_gradient · output`.

    `target` is `[P, B, T, O]`, or classes `[P, B, T]` of a softmax; `mask` is `[T]` or `[P, B, T]`. `states` are what layers
    begin with, by name, and their modulators.
    """

class Session:
    """Networks that an engine keeps: run forward now, differentiated later, all steps at once or one by one."""

    def __init__(
        self,
        network: Network,
        parameters: Parameters,
        batch: int,
        steps: int,
        *,
        step_by_step: bool = False,
        initial_states: bool = False,
        state_gradients: bool = False,
        output: bool = True,
        input_gradient: bool = False,
        final_states: bool = False,
        keep_states: bool = False,
        optimiser: _Optimiser | Sequence[_Optimiser] | None = None,
        engine: Engine | None = None,
    ) -> None: ...
    def forward(
        self, input: ArrayLike, states: _Arrays | None = None, flat: ArrayLike | None = None
    ) -> Outcome:
        """Runs whole new episodes; with `flat`, `[P, parameters of one network]`, by these parameters from now on."""
    def begin(self, states: _Arrays | None = None) -> None:
        """Begins episodes that are run by `step`."""
    def step(self, input: ArrayLike, modulators: _Arrays | None = None) -> _Array:
        """One step of all episodes: from inputs `[P, B, I]` outputs `[P, B, O]`."""
    def backward(
        self, output_gradient: ArrayLike | None = None, state_gradients: _Arrays | None = None
    ) -> Gradients:
        """The gradients of what was run last, as often as wanted."""
    def learn(
        self, output_gradient: ArrayLike | None = None, state_gradients: _Arrays | None = None
    ) -> Gradients:
        """The same, and an update by the optimiser; `parameters` of the result are None."""
    def apply(self, gradients: Parameters) -> None:
        """An update with the caller's gradients."""
    def set_parameters(self, parameters: Parameters) -> None: ...
    def training_state(self) -> dict[str, NDArray[Any]]:
        """Everything that the networks are in training, as `Learner.training_state`; of a session with an optimiser."""
    def set_training_state(self, state: _State) -> None:
        """Goes on from there, or from a learner's. Episodes that are under way are given up."""
    def close(self) -> None: ...
    @property
    def closed(self) -> bool: ...
    @property
    def parameters(self) -> Parameters: ...
    @property
    def states(self) -> dict[str, _Array]: ...
    @property
    def batch(self) -> int: ...
    @property
    def population(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def failures(self) -> list[_Failure]: ...
    def __enter__(self) -> Session: ...  # noqa: PYI034
    def __exit__(self, *exception: object) -> None: ...

class Learner:
    """A population in training. `optimiser` is one for all networks, or a list of one for each."""

    def __init__(
        self,
        network: Network,
        parameters: Parameters,
        optimiser: _Optimiser | Sequence[_Optimiser],
        *,
        engine: Engine | None = None,
    ) -> None: ...
    def step(
        self,
        input: ArrayLike,
        target: ArrayLike,
        mask: ArrayLike | None = None,
        states: _Arrays | None = None,
    ) -> _Array:
        """One meta-step on the caller's episodes: the loss of each network, `[P]`."""
    def train(
        self, task: Task, meta_steps: int, *, first: int = 0, batch: int = 1, seed: int = 0
    ) -> NDArray[np.float64]:
        """So many meta-steps on a task's episodes: the mean loss per counted step of each network."""
    def evaluate(
        self, task: Task, meta_steps: int, *, first: int = 0, batch: int = 1, seed: int = 0
    ) -> NDArray[np.float64]:
        """The same with frozen parameters, on episodes that training never sees."""
    def apply(self, gradients: Parameters) -> None: ...
    def training_state(self) -> dict[str, NDArray[Any]]:
        """Everything that the population is: parameters by name, `first_moment.NAME` and `second_moment.NAME` `[P, …]`, `updates`
        and `losses` `[P]`, `episodes`, `loss_meta_steps`, and `failures` `[F, 3]` (network, episodes seen before, and 0 for the loss
        or the number of the tensor).
        """
    def set_training_state(self, state: _State) -> None:
        """Goes on from there with the same bits, in a learner of the same network, population and optimisers."""
    @property
    def parameters(self) -> Parameters: ...
    @property
    def failures(self) -> list[_Failure]:
        """Networks that stopped learning: index, episodes seen before, and what was not finite."""

class Random:
    """The random numbers of one episode: a function of seed, meta-step and place in the batch."""

    def bits(self) -> int: ...
    def below(self, count: int) -> int: ...
    def unit(self) -> float: ...
    def sign(self) -> float: ...

class Task:
    """A distribution of episodes. A subclass has the attributes below, `fill` and `setup`."""

    name: str
    inputs: int
    outputs: int
    steps: int
    loss: str
    solved_below: float

    def __init__(self, *arguments: Any, **settings: Any) -> None: ...
    def counts(self, step: int) -> bool:
        """Whether a step counts towards the loss."""
    def fill(self, random: Random, input: NDArray[np.float32], target: NDArray[np.float32]) -> None:
        """Writes one episode: `input` `[T, I]` and `target` `[T, O]`, which are zero before."""
    def setup(self) -> dict[str, Any]:
        """A "network", an "optimiser" and "episodes"; perhaps "initial", "batch" and "population"."""
    def episodes(
        self, batch: int = 1, *, population: int = 1, meta_step: int = 0, seed: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Input `[P, B, T, I]`, target `[P, B, T, O]` and mask `[T]` of one meta-step."""

def task(name: str, **settings: Any) -> Task:
    """A task of the library: "completion", "one-shot", "reversal" or "pattern-memory"."""

class Recipe:
    """Every setting of a run, by name: `population`, `episodes`, `batch`, `seed`, `frozen`, `optimiser`, `network`, …"""

    def __init__(self, task: Task, name: str = "paper", **settings: Any) -> None: ...
    def variation(self, **settings: Any) -> Recipe: ...
    @staticmethod
    def from_toml(text: str, task: Task, origin: str = "recipe") -> Recipe: ...
    def to_toml(self) -> str: ...
    @property
    def network(self) -> Network: ...
    @property
    def task(self) -> Task: ...
    @property
    def population(self) -> int: ...
    @property
    def episodes(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def seed(self) -> int: ...

class Report:
    """One part of a run: `error` is that of each network since the last report, `[P]`."""

    @property
    def episode(self) -> int: ...
    @property
    def phase(self) -> str: ...
    @property
    def error(self) -> NDArray[np.float64]: ...
    @property
    def failed(self) -> int: ...

class Trained:
    """What came of a run. Of its `R` reports: `episodes` `[R]`, `errors` `[R, P]` and `phases`."""

    @property
    def network(self) -> Network: ...
    @property
    def parameters(self) -> Parameters: ...
    @property
    def episodes(self) -> NDArray[np.uint64]: ...
    @property
    def errors(self) -> NDArray[np.float64]: ...
    @property
    def phases(self) -> list[str]: ...
    @property
    def final_error(self) -> NDArray[np.float64]:
        """`[P]`; NaN where the run was stopped before there was one."""
    @property
    def wrong(self) -> NDArray[np.float64]:
        """The fraction of wrong answers, `[P]`, where the task judges by that; else NaN."""
    @property
    def solved(self) -> NDArray[np.bool_]: ...
    @property
    def failures(self) -> list[_Failure]: ...
    @property
    def stopped(self) -> bool: ...
    @property
    def engine(self) -> str: ...

def train(
    recipe: Recipe,
    *,
    callback: Callable[[Report], bool | None] | None = None,
    parameters: Parameters | None = None,
    engine: Engine | None = None,
) -> Trained:
    """Trains to the end of a recipe, or until the callback, which is called for each report, returns False.

    Without an `engine`, a hardware GPU is taken where the work pays for it, else the CPU.
    """

class Evaluation:
    """Error and fraction of right answers at each step, `[P, T]`; `counted` `[T]` says which steps count."""

    @property
    def error(self) -> NDArray[np.float64]: ...
    @property
    def accuracy(self) -> NDArray[np.float64]: ...
    @property
    def counted(self) -> NDArray[np.bool_]: ...
    @property
    def episodes(self) -> int: ...

def evaluate(
    network: Network,
    parameters: Parameters,
    task: Task,
    *,
    episodes: int = 1000,
    seed: int = 0,
    engine: Engine | None = None,
) -> Evaluation:
    """What networks do on fresh episodes."""
