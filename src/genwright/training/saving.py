"""What of a training stands on the disk: its whole state in checkpoints, its best weights beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from genwright import seeds
from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.training import checkpoint, phases
from genwright.training.base import Progress, Settings
from genwright.training.journal import Journal, Window
from genwright.training.optimizers import Ema, PhaseOptimizer
from genwright.training.pace import Revision
from genwright.training.precision import Scaling
from genwright.training.stream import Stream


class Saved(Protocol):
    """The parts of a trainer that a checkpoint is made of."""

    family: Family
    settings: Settings
    device: torch.device
    folder: Path | None
    journal: Journal | None
    progress: Progress
    networks: nn.ModuleDict
    still: dict[str, Tensor]
    frozen: dict[str, str]
    stream: Stream
    window: Window
    weight: Tensor
    optimizers: dict[str, PhaseOptimizer]
    averages: dict[str, Ema]
    scaling: dict[str, Scaling]
    recipe_hash: str
    data_hash: str
    revision: Revision | None

    @property
    def step(self) -> int: ...

    def weights(self) -> dict[str, Tensor]: ...


def frozen_hashes(family: Family, networks: nn.ModuleDict, still: dict[str, Tensor]) -> dict[str, str]:
    """The hashes of the modules that no phase trains, and of the parameters that stand still in those that are trained."""
    whole = {name: checkpoint.hash_of(m) for name, m in family.modules.items() if name not in networks}
    return whole | ({"not trained": checkpoint.hash_tensors(still)} if still else {})


def save(trainer: Saved) -> None:
    """Write a checkpoint of the step, and remove those that are no longer to be kept."""
    assert trainer.folder and trainer.journal
    trainer.journal.sync()
    folder = trainer.folder / "checkpoints"
    weights = trainer.weights()
    about = {"step": trainer.step, "best": trainer.progress.best["step"]}
    checkpoint.write(folder / checkpoint.name_of(trainer.step), weights, capture(trainer), about)
    _sweep(trainer.folder, trainer.settings.keep_checkpoints)


def _sweep(folder: Path, keep: int) -> None:
    """Remove checkpoints that are no longer to be kept, and best weights that none of the others knows."""
    checkpoint.sweep(folder / "checkpoints", keep)
    kept = {checkpoint.about(place)["best"] for place in checkpoint.finished_in(folder / "checkpoints")}
    checkpoint.keep_only(folder / "best", {step for step in kept if step is not None})


def keep_best(trainer: Saved) -> None:
    """Write the weights as they stand (the averages, while they are swapped in) as the best so far."""
    if trainer.folder:
        place = trainer.folder / "best" / checkpoint.name_of(trainer.step)
        state = {"extra": trainer.family.extra_state()}
        checkpoint.write(place, trainer.weights(), state, dict(trainer.progress.best))


def capture(trainer: Saved) -> dict[str, Any]:
    """All that the next step depends on, apart from the weights; `seconds` alone comes from a clock."""
    return {
        "seed_rule": seeds.RULE,
        "step": trainer.step,
        "steps": trainer.settings.steps,
        "recipe": trainer.recipe_hash,
        "data": trainer.data_hash,
        "position": {"train": trainer.stream.position},
        "weight": trainer.weight,
        "best": trainer.progress.best,
        "first_losses": trainer.progress.first_losses,
        "borders": {name: list(span) for name, span in trainer.progress.borders.items()},
        "stopped_early": trainer.progress.stopped_early,
        "window": trainer.window.sums,
        "optimizers": {name: optimizer.state_dict() for name, optimizer in trainer.optimizers.items()},
        "averages": {name: average.state_dict() for name, average in trainer.averages.items()},
        "scaling": {name: scaling.state for name, scaling in trainer.scaling.items()},
        "extra": trainer.family.extra_state(),
        "random": checkpoint.random_states(trainer.device),
        "frozen": trainer.frozen,
        "seconds": trainer.progress.seconds,
    }


def resume(trainer: Saved) -> None:
    """Go on from the newest whole checkpoint, or from the start. Raises RequestError if it does not fit."""
    if trainer.folder is None or trainer.journal is None:
        return
    found = checkpoint.newest(trainer.folder / "checkpoints")
    if found is not None:
        restore(trainer, *found)
    trainer.journal.rewind(trainer.step)
    for name in ("checkpoints", "best", "previews"):
        checkpoint.drop_after(trainer.folder / name, trainer.step)
    if found is not None:  # a kill between the last checkpoint and its sweep would leave more than is kept
        _sweep(trainer.folder, trainer.settings.keep_checkpoints)


def restore(trainer: Saved, place: Path, weights: dict[str, Tensor], state: dict[str, Any]) -> None:
    if state["recipe"] != trainer.recipe_hash or state["frozen"] != trainer.frozen:
        raise RequestError(f"{place}: made with other settings or other frozen weights; run with --fresh.")
    finished = state["step"] >= state["steps"] or state["stopped_early"]
    if state.get("seed_rule", 1) != seeds.RULE and not finished:
        raise RequestError(
            f"{place}: begun by an older Genwright, which drew the order of the data by another rule; finish it with that version, or "
            "begin again with --fresh."
        )
    try:
        checkpoint.load_weights(trainer.networks, weights, without=trainer.still)
        for name, optimizer in trainer.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        for name, average in trainer.averages.items():
            average.load_state_dict(state["averages"][name])
        for name, scaling in trainer.scaling.items():
            scaling.state.copy_(state["scaling"][name])
        # Before phases could begin and end, all of them ran all the time.
        whole = dict.fromkeys(trainer.optimizers, (0, state["steps"]))
        borders = {name: phases.Span(*span) for name, span in state.get("borders", whole).items()}
    except (KeyError, ValueError, RuntimeError) as error:
        raise RequestError(f"{place}: does not fit this model ({error}); run with --fresh.") from error
    trainer.family.load_extra_state(state["extra"])
    checkpoint.restore_random_states(state["random"], trainer.device)
    trainer.progress.step, trainer.stream.position = state["step"], state["position"]["train"]
    trainer.weight.copy_(state["weight"])
    trainer.window.sums = {name: value.to(trainer.device) for name, value in state["window"].items()}
    trainer.progress.best, trainer.progress.first_losses, trainer.progress.seconds = (
        state["best"],
        state["first_losses"],
        state["seconds"],
    )
    trainer.progress.stopped_early = state["stopped_early"]
    planned, revision = {trainer.settings.steps}, trainer.revision
    if revision is not None and trainer.step >= revision.at:
        trainer.settings = trainer.settings.model_copy(update={"steps": revision.steps})
        planned.add(revision.steps)
    if state["steps"] != trainer.settings.steps:
        borders = phases.laid_anew(trainer.family.phases, trainer.settings.steps, borders, trainer.step)
    if state["steps"] not in planned:  # a new budget is a new chance
        trainer.progress.stopped_early, trainer.progress.best = False, {**trainer.progress.best, "stale": 0}
    trainer.progress.borders = borders
    if state["data"] != trainer.data_hash:  # losses on other held-out data can't be compared
        trainer.progress.stopped_early = False
        trainer.progress.forget_best()
