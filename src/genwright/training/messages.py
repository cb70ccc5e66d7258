"""What a training says: its progress line, why it stopped, what to try."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from genwright.errors import WorkError
from genwright.families.base import Family
from genwright.training import checkpoint
from genwright.training.base import Progress, Settings
from genwright.training.journal import Window
from genwright.training.optimizers import PhaseOptimizer
from genwright.training.pace import Pace

_DIVERGED = 1000.0
"""How many times its first mean (or 1, if that is more) a loss may grow before the training is stopped."""


class Spoken(Protocol):
    """What of a trainer is spoken of."""

    title: str
    how_to_go_on: str
    family: Family
    settings: Settings
    folder: Path | None
    progress: Progress
    window: Window
    last: dict[str, float]
    pace: Pace
    optimizers: dict[str, PhaseOptimizer]

    @property
    def step(self) -> int: ...


def live(trainer: Spoken) -> str:
    losses = trainer.window.means() or trainer.last
    shown = [f"{name} {value:.4g}" for name, value in losses.items() if "grad_norm" not in name][:4]
    rate = trainer.settings.batch / max(trainer.pace.seconds_per_step, 1e-9)
    return "  ".join([f"step {trainer.step:,}", *shown, f"{rate:,.3g} examples/s"])


def interrupted(trainer: Spoken, signal_name: str) -> str:
    saved = (
        f"saved in {trainer.folder}; to go on, {trainer.how_to_go_on}" if trainer.folder else "nothing was to be saved"
    )
    return f"{trainer.title}: stopped by {signal_name} at step {trainer.step} of {trainer.settings.steps}, {saved}."


def advice(trainer: Spoken, step: int, what: str) -> str:
    good = next(iter(checkpoint.finished_in(trainer.folder / "checkpoints")), None) if trainer.folder else None
    rate = trainer.settings.learning_rate or max(o.spec.learning_rate for o in trainer.optimizers.values())
    return (
        f"{trainer.title}: at step {step} {what}; the last good checkpoint is {good or 'none yet'}. "
        f"Try half the learning rate (`--set train.learning_rate={rate / 2:.2g} --fresh`)."
    )


def check_diverged(trainer: Spoken, record: dict[str, Any]) -> None:
    """Raises WorkError when the mean loss of a phase in `record` is far above its first."""
    for phase in trainer.family.phases:
        loss = record.get(f"{phase.name}/loss")
        if loss is None:
            continue
        first = trainer.progress.first_losses.setdefault(phase.name, abs(loss))
        if abs(loss) > _DIVERGED * max(first, 1.0):
            raise WorkError(advice(trainer, trainer.step, f"the loss of `{phase.name}` grew to {loss:.3g}"))
