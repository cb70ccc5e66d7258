"""The Family and Session protocols: a way of learning a distribution, and that way at work.

A family owns its objective (losses, phases, noise, penalties) and its sampler. It takes its networks as arguments and knows
no task, no file and no trainer. The trainer drives `phases` and `loss`; the engine drives `open`, `start`, `step`, `release`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.given import Given
from genwright.networks.low_rank import merged_state

Batch = dict[str, Any]
"""What one micro-batch holds: tensors by name, as the part's `Batches` made them, all on the device. Tokens apart, it is
{"data": ..., **given}; see families/given.py."""


@dataclass(frozen=True)
class OptimizerSpec:
    """How the parameters of one phase are stepped; `training/optimizers.py` turns it into optimizers.

    A matrix (a weight of two or more dimensions that multiplies activations) follows Muon when `matrix_learning_rate` is
    set; everything else, and matrices when it is None, follows AdamW.
    """

    learning_rate: float = 3e-4
    matrix_learning_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.95
    """Muon's; a training of some hundred steps does better with less (0.85 to 0.9)."""
    polar_steps: int = 5
    """Iterations of Muon's orthogonalisation, at most 5."""
    orthogonal_groups: int = 1
    """Into how many groups of rows Muon cuts a square matrix (others likewise), each orthogonalised by itself, which is cheaper."""
    clip_norm: float | None = 1.0
    warmup: float = 0.02
    """Share of the phase's steps over which the rate rises from zero."""
    decay: float = 0.3
    """Share of the phase's steps, at the end, over which the rate falls linearly to `final` of itself."""
    final: float = 0.0
    ema_halflife: float | None = None
    """Steps after which a weight counts half in the exponential moving average of the phase's modules; None: no average.
    Early in the phase the half-life is shortened to a share of its steps so far, as EDM does."""


@dataclass(frozen=True)
class Phase:
    """One of the alternating moves of a training step.

    `trains` names the entries of `modules` whose parameters this phase may change. `begins` and `ends` are shares of the training's
    steps between which it runs, for one step at least; `every` runs it on every n-th of these only, the first among them. At every
    step of a training some phase must run. The first of those that run in a step is the one whose tokens or examples are counted.

    Shares become step numbers once. A longer training moves only the borders that it has not passed: a phase that has begun or
    ended stays so. Warm-up, decay and average count from the phase's own beginning to its own end.
    """

    name: str
    trains: tuple[str, ...]
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    every: int = 1
    begins: float = 0.0
    ends: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begins < self.ends <= 1:
            raise ValueError(
                f"phase `{self.name}` begins at {self.begins} and ends at {self.ends}; both are shares of the training, from 0 to 1, in order."
            )


def _no_averages(module: str) -> None:
    return None


@dataclass(frozen=True)
class Moment:
    """How far a training is when a loss is asked for. It follows from the step alone, so a resumed training meets the same ones."""

    step: int = 0
    """Steps taken before this one."""
    steps: int = 1
    """Steps of the whole training."""
    phase_step: int = 0
    """Steps since the phase began; `phase_steps` from its beginning to its end."""
    phase_steps: int = 1
    averages: Callable[[str], Mapping[str, Tensor] | None] = _no_averages

    @property
    def share(self) -> float:
        """Of the whole training, 0 at its first step."""
        return self.step / self.steps

    @property
    def phase_share(self) -> float:
        """Of the phase's own steps, 0 at its first."""
        return self.phase_step / self.phase_steps

    def average(self, module: str) -> Mapping[str, Tensor]:
        """The averaged weights of an entry of `modules`, by the names of its state, for `torch.func.functional_call`. To be read only.

        Where several phases average it, those of the phase that trained it last. Raises KeyError where none does, or none has begun.
        """
        found = self.averages(module)
        if found is None:
            raise KeyError(
                f"no phase that has begun averages `{module}`: set ema_halflife in the optimizer of one that trains it"
            )
        return found


@dataclass
class Loss:
    """The value of an objective on one micro-batch.

    `value` is the mean over what `weight` counts (tokens or examples), so that ragged micro-batches average right.
    `parts` are detached scalars worth logging; a name shown to users, units in the name ("bits_per_byte").
    """

    value: Tensor
    weight: float | Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class State:
    """One request at work in a session. The engine reads these fields; a session may subclass it with its own.

    States that share `batch_key` may be stepped together. `emitted` holds what `step` has produced and the engine has not
    yet handed out. `slot` is the place in the session's caches, if it has any.
    """

    batch_key: Hashable = None
    emitted: deque[Any] = field(default_factory=deque)
    done: bool = False
    finish: str = ""
    """Why it is done, where that is not always the same: "end" (an end of its own), "length" (as long as it may be)."""
    error: Exception | None = None
    cost_bytes: int = 0
    slot: int | None = None


class Session(Protocol):
    """A family at work: owns slots and caches. Not thread-safe; the engine is its only caller."""

    capacity: int

    def start(self, condition: Any, rng: torch.Generator, controls: BaseModel, constraint: Any = None) -> State:
        """Take a slot for a request; computes nothing yet. `condition`: token ids, or what is `Given` for one row."""
        ...

    def step(self, states: list[State]) -> None:
        """Advance each state by one unit (a chunk of prompt, a token, an ODE step, a whole picture); sets `emitted`, `done`.

        Emits token ids one by one, or once the finished data as a tensor on the CPU.
        """
        ...

    def release(self, state: State) -> None:
        """Give the state's slot back; called once, also for a state that is abandoned half way."""
        ...


@dataclass(frozen=True)
class Between:
    """Noise on the way from one random stream's (share 0) to another's (share 1), for `normal`.

    It turns along the great circle, so that its length stays likely.
    """

    start: torch.Generator
    stop: torch.Generator
    share: float


def normal(shape: tuple[int, ...], rng: torch.Generator | Between, device: torch.device) -> Tensor:
    """Standard normal noise on a device, drawn where the generator is: the same on every device."""
    if isinstance(rng, Between):
        angle = rng.share * math.pi / 2
        start, stop = (normal(shape, stream, device) for stream in (rng.start, rng.stop))
        return math.cos(angle) * start + math.sin(angle) * stop
    return torch.randn(shape, generator=rng, device=rng.device).to(device)


@runtime_checkable
class Interpolates(Protocol):
    """A session whose randomness all comes from `normal`: it may be started on the way between two streams."""

    interpolates: ClassVar[bool]

    def start(
        self, condition: Any, rng: torch.Generator | Between, controls: BaseModel, constraint: Any = None
    ) -> State: ...


@runtime_checkable
class Family(Protocol):
    """See the module's docstring. `name` is the registry's name; `Controls` (what a request may ask of the sampler) and `Opening`
    (what is fixed when it is opened) are torch-free, in the family's options. What only some families can do is declared by the
    protocols below this one.
    """

    name: ClassVar[str]
    Controls: ClassVar[type[BaseModel]]
    Opening: ClassVar[type[BaseModel]]
    modules: nn.ModuleDict
    phases: tuple[Phase, ...]

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        """The objective of one phase on one micro-batch. Only the modules that the phase trains require gradients.

        `at` says how far the training is, and gives averaged weights to read. All randomness comes from `rng` (on the batch's device), which the trainer seeds from (seed, part, step, phase,
        micro-batch); so a step is a pure function of its number.
        """
        ...

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """The held-out loss on a batch, or None where the family has none that means anything (a GAN).

        The averages stand in the modules while it is measured. Numbers of two moments are compared, so it should mean the same at
        all of them.
        """
        ...

    def extra_state(self) -> dict[str, Any]:
        """JSON-able or tensor state outside `modules` that a resumed run needs (ADA's p, a picture pool); often {}."""
        ...

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        """Floating-point operations of a training step on such a batch, for forecasts and reports: of all phases, each for the share
        of the steps that it runs in."""
        ...

    exported: ClassVar[tuple[str, ...]]
    """The modules that generating needs; the others (a discriminator) stay in the run."""

    def export_tensors(self) -> dict[str, Tensor]:
        """The exported modules' weights under the names of the model folder (Hugging Face's for a text model)."""
        ...

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """The reverse of `export_tensors`. Raises KeyError or RuntimeError when they do not fit."""
        ...

    def open(self, capacity: int, opening: Any) -> Session:
        """The family at work, with room for `capacity` requests at once; `opening` is an `Opening`."""
        ...


@runtime_checkable
class Compiles(Protocol):
    """A family that says whether torch.compile can take its objective (not, where it needs a second backward pass)."""

    compiles: ClassVar[bool]


@runtime_checkable
class Readies(Protocol):
    """A family that works out of a batch, while it is on the CPU still, what it would have to make another device wait for."""

    def ready(self, batch: Batch) -> Batch:
        """The batch with more in it, or less. `loss` gives the same without."""
        ...


@runtime_checkable
class Reconstructs(Protocol):
    def reconstruct(self, data: Tensor, given: Given) -> Tensor:
        """The data encoded and decoded again."""
        ...


@runtime_checkable
class Foresees(Protocol):
    """A family that goes from noise to data in steps, and says at each what data it foresees: so a task may take the steps itself, over
    data that is larger than a row."""

    def foresee(self, z_BX: Tensor, time: float, until: float, given: Given, guidance: float) -> Tensor:
        """The clean data_BX that a step from a time (0: noise, 1: data) until a later one points to; `until` = `time`: that the direction
        at the time itself points to."""
        ...


@runtime_checkable
class Discriminates(Protocol):
    @property
    def relativistic(self) -> bool:
        """Whether a logit means something beside another one only."""
        ...

    def discriminate(self, data: Tensor, given: Given) -> Tensor:
        """-> logit_B: above zero where a row is taken for real; relativistic, only differences count."""
        ...


@runtime_checkable
class Foreign(Protocol):
    """A family whose model folder other libraries read."""

    def foreign_config(self) -> dict[str, Any]:
        """Keys that they read from config.json."""
        ...

    def foreign_files(self) -> dict[str, dict[str, Any]]:
        """JSON files by name that stand beside the tensors; {} where the tensors are whole weights."""
        ...


def foreign_config(family: object) -> dict[str, Any]:
    """Keys that another library reads from config.json; {} where none does."""
    return family.foreign_config() if isinstance(family, Foreign) else {}


def module_tensors(modules: nn.ModuleDict, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The state of some modules, names prefixed by the module's: what most families export. Low-rank changes are merged into the weights."""
    return {f"{name}.{key}": value for name in names for key, value in merged_state(modules[name]).items()}


def load_module_tensors(modules: nn.ModuleDict, names: tuple[str, ...], tensors: dict[str, Tensor]) -> None:
    """The reverse of `module_tensors`, into plain layers. Raises RuntimeError when they do not fit."""
    for name in names:
        start = f"{name}."
        modules[name].load_state_dict({k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)})
