"""What new data changed: the model before and after, on the held-out data that was there before and on what came since.

evaluate/
  changes.json               scores of both states, by the same examples
  before-old.*  after-new.*  what both make of the same prompts and noise
  former.json                the score sheet as it was before the newest data
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from genwright.console import say
from genwright.engine.engine import Engine
from genwright.ledger import SPLITS
from genwright.model import Model
from genwright.recipe import Recipe
from genwright.run import Run, write_atomic
from genwright.scores import Metric, Score, ScoreSheet
from genwright.shards import ExampleStore
from genwright.stages.evaluate.record import FILE, Change, Changes, Pair, headline
from genwright.stages.train import new_data
from genwright.stages.train.outcomes import load_before
from genwright.tasks.base import BaseTask, Splits
from genwright.training.base import Settings
from genwright.training.validation import held_out_loss

FORMER = "former.json"
_AT_ONCE = 32
"""Held-out examples whose loss is measured together."""
_LOSS = Metric(
    name="loss", title="held-out loss", better="lower", description="The training's own loss on held-out data."
)


def keep_former_sheet(folder: Path, split_hash: str) -> None:
    """Put a score sheet that was measured on other data aside before it is written over."""
    file = folder / "scores.json"
    if not file.exists():
        return
    try:
        sheet = ScoreSheet.read(file)
    except ValueError:  # cut short by a kill: nothing to keep
        return
    if sheet.protocol.get("split_hash") != split_hash:
        file.replace(folder / FORMER)


def measure(
    task: BaseTask, recipe: Recipe, run: Run, model: Model, splits: Splits, folder: Path, device: torch.device
) -> Changes | None:
    """Score and show the model before and after the newest data; None, and nothing written, where no new data has come."""
    held = load_before(run, device)
    if held is None:
        (folder / FILE).unlink(missing_ok=True)
        return None
    before, known, plan, learnt = held
    say("evaluate: comparing with the model before the new data ...")
    stores = {split: new_data.divided(splits[split], splits.items, known) for split in SPLITS}
    name, _ = splits.held_out()
    mixture = plan.mixture
    found = Changes(
        old={split: len(old) for split, (old, _) in stores.items()},
        new={split: len(new) for split, (_, new) in stores.items()},
        held_out=name,
        mixture=mixture.model_dump() | {"factor": mixture.factor} if mixture else None,
        mixture_text=mixture.text() if mixture else "",
        steps=plan.steps - mixture.start // plan.settings.batch if mixture else 0,
        former=ScoreSheet.read(folder / FORMER) if (folder / FORMER).exists() else None,
    )
    kinds: list[Literal["old", "new"]] = ["old", "new"]
    for data, store, own in zip(kinds, stores[name], new_data.divided(learnt[name], learnt.items, known), strict=True):
        if len(store):
            measured = _Measured(task, recipe.evaluate.seed, store, plan.settings.part, own)
            _compare(measured, found, data, (before, model), splits, folder)
    found.headline = headline(found)
    write_atomic(folder / FILE, found.model_dump_json(indent=1) + "\n")
    if found.headline:
        say(f"evaluate: {found.headline}")
    return found


@dataclass(frozen=True)
class _Measured:
    """Held-out examples that both states are scored on."""

    task: BaseTask
    seed: int
    store: ExampleStore
    part: str
    """The part that has learnt from the new data."""
    own: ExampleStore
    """The same examples as that part has them."""

    def scores(self, model: Model) -> dict[str, tuple[Metric, Score]]:
        """The task's own scores, else the loss of the part's family where it has one."""
        found = self.task.held_out_scores(model, self.store, self.seed)
        if found is not None:
            return {metric.name: (metric, score) for metric, score in found}
        batches = self.task.batches(self.own, model.facts, model.config, self.seed, self.part, training=False)
        settings = Settings(part=self.part, seed=self.seed, steps=1, batch=min(_AT_ONCE, batches.pass_examples))
        losses = held_out_loss(model.parts[self.part], batches, batches.pass_examples, settings, model.device, 1, 1)
        return {} if losses is None else {_LOSS.name: (_LOSS, Score(value=losses["loss"], n=len(self.store)))}


def _compare(
    measured: _Measured,
    found: Changes,
    data: Literal["old", "new"],
    states: tuple[Model, Model],
    splits: Splits,
    folder: Path,
) -> None:
    """Add the scores of both states on some held-out examples, and what both make of them."""
    before, after = (measured.scores(model) for model in states)
    for metric, score in after.values():
        if metric.name in before:
            found.changes.append(Change(metric=metric.name, data=data, before=before[metric.name][1], after=score))
            if metric not in found.metrics:
                found.metrics.append(metric)
    # Previews take their prompts from the validation split, so these stand in its place.
    shown = Splits({**splits.stores, "validation": measured.store}, splits.items, splits.hash)
    files = [
        measured.task.preview(model, Engine(), shown, folder / f"{when}-{data}").name
        for when, model in zip(("before", "after"), states, strict=True)
    ]
    found.pairs.append(Pair(data=data, before=files[0], after=files[1]))
