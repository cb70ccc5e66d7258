"""What the trainer is handed and what it hands back. Torch-free where it can be; knows the Family protocol only."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, Field

from genwright.families.base import Batch, OptimizerSpec
from genwright.training.phases import Borders

CLOCK_COLUMNS = ("seconds", "items_per_second", "data_wait")
"""The columns of metrics.jsonl that a clock wrote; every other one is the same however often a training was resumed."""


class Batches(Protocol):
    """An endless stream of examples that is a pure function of the position, so that resuming costs nothing."""

    @property
    def pass_examples(self) -> int:
        """How many examples one pass over the data has."""
        ...

    def batch(self, position: int, size: int) -> Batch:
        """The `size` examples from `position` (examples drawn so far) on, as tensors on the CPU."""
        ...


class Stackable(Batches, Protocol):
    """Batches whose examples may stand in one batch with others of their kind."""

    def examples(self, position: int, size: int) -> list[Any]:
        """What `batch` makes a batch of."""
        ...

    def stack(self, examples: list[Any]) -> Batch:
        """A batch of some examples, whichever stream they come from."""
        ...


Validate = Callable[[int, int], "dict[str, float] | None"]
"""Measures the held-out loss after so many steps of so many, with the weights as they stand: {"loss": mean, other parts}; None where it means
nothing."""

Preview = Callable[[Path], Any]
"""Shows what the model makes now; is handed a path without its ending."""

Listener = Callable[[dict[str, Any]], None]
"""Is handed every record of metrics.jsonl as it is written: experiment trackers."""


NOT_PLANNED = 1_000_000
"""Steps of a training that has no plan yet: so many that what is rehearsed of it stands at the start of its schedule."""


PATIENT_STEPS = 100
"""A held-out loss that has not fallen for fewer steps says nothing yet."""


class Settings(BaseModel):
    """Everything about a training that is decided before its first step, so that each step is a function of its number."""

    part: str = "model"
    seed: int = 0
    steps: int = Field(default=NOT_PLANNED, gt=0)
    batch: int = Field(gt=0, description="Examples of one optimizer step.")
    accumulate: int = Field(default=1, gt=0, description="Micro-batches that one optimizer step is made of.")
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    deterministic: bool = Field(default=False, description="Whether it is run inside training/determinism.py.")
    compile: bool = False
    checkpoint_activations: bool = False
    learning_rate: float | None = None
    matrix_learning_rate: float | None = None
    weight_decay: float | None = None
    log_every: int = Field(default=1, gt=0)
    checkpoint_every: int = Field(default=1000, gt=0)
    keep_checkpoints: int = Field(default=2, ge=1)
    validate_times: int = Field(default=0, ge=0)
    previews: int = Field(default=0, ge=0)
    patience: int = Field(default=0, ge=0)

    def lost_patience(self, step: int, best_step: int, stale: int) -> bool:
        """Whether so many measurements without a lower held-out loss end the training at a step. Neighbouring steps differ by chance
        alone, so in a short training many measurements are no reason."""
        return 0 < self.patience <= stale and step - best_step >= PATIENT_STEPS

    def validate_steps(self) -> frozenset[int]:
        return even_steps(self.steps, self.validate_times)

    def preview_steps(self) -> frozenset[int]:
        return even_steps(self.steps, self.previews)

    def look_steps(self) -> frozenset[int]:
        """After which a record is written whatever `log_every` says."""
        return self.validate_steps() | self.preview_steps() | {self.steps}

    def overriding(self, spec: OptimizerSpec) -> OptimizerSpec:
        """A phase's optimizer with what is given here: learning rates, weight decay."""
        given = {name: getattr(self, name) for name in ("learning_rate", "matrix_learning_rate", "weight_decay")}
        return dataclasses.replace(spec, **{name: value for name, value in given.items() if value is not None})

    def micro_batches(self, accumulate: int | None = None) -> list[int]:
        """Sizes of the micro-batches: they differ by one at most and add up to `batch`. `accumulate` is how many, if not as settled."""
        parts = min(accumulate or self.accumulate, self.batch)
        return [self.batch // parts + (index < self.batch % parts) for index in range(parts)]


@dataclass
class Progress:
    """How far a training is: what of its state is neither weights nor an optimizer's. Kept in checkpoints."""

    borders: Borders
    step: int = 0
    seconds: float = 0.0
    stopped_early: bool = False
    best: dict[str, Any] = field(init=False)
    first_losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.forget_best()

    def forget_best(self) -> None:
        """What was the lowest held-out loss can't be compared with what comes."""
        self.best = {"step": None, "loss": None, "stale": 0}


class Outcome(BaseModel):
    """What came of a training."""

    steps: int
    planned_steps: int
    examples: int
    """Examples that optimizer steps were made of."""
    weight: float
    """What the losses of each step's first phase were weighted by, in all: tokens or examples."""
    seconds: float
    """Clock time, over all sittings."""
    stopped_early: bool
    best_step: int | None
    best_loss: float | None
    """The lowest held-out loss; None where the family has none."""

    @classmethod
    def of(cls, progress: Progress, settings: Settings, weight: float) -> Outcome:
        return cls(
            steps=progress.step,
            planned_steps=settings.steps,
            examples=progress.step * settings.batch,
            weight=weight,
            seconds=progress.seconds,
            stopped_early=progress.stopped_early,
            best_step=progress.best["step"],
            best_loss=progress.best["loss"],
        )


@cache
def even_steps(steps: int, times: int) -> frozenset[int]:
    """`times` step numbers at even intervals, the last one `steps`."""
    return frozenset(max(1, round(steps * index / times)) for index in range(1, times + 1))
