"""Whether a recipe may go on in a run: asked before anything is written there, so that what is refused spoils nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from genwright import ledger
from genwright import recipe as recipes
from genwright.console import say
from genwright.errors import RequestError
from genwright.recipe import Recipe
from genwright.run import LOCK, SCRATCH, Run
from genwright.stages.collect.stage import open_sources, read_items
from genwright.stages.train.budgets import changed_keys, refuse_other_facts, refuse_other_settings
from genwright.tasks.base import BaseTask

_SAME_DATA = 0.5
"""A recipe that is no longer where it was has moved with its data where at least this share of what the run had is offered again."""
_NEEDS = {"prepare": "collect", "train": "prepare", "evaluate": "train", "export": "train", "report": "collect"}
"""What must have been made before a stage can be the first of a command."""


def accept(
    recipe: Recipe, run: Run, task: BaseTask, stages: Sequence[str], *, fresh: bool = False, offline: bool = False
) -> None:
    """Raises RequestError where the recipe is of another task, of other data or of other settings than the run, where a stage is
    missing that the first one reads, or where the folder is somebody else's. `fresh`: the stages' own results do not count."""
    _refuse_foreign(run)
    require(run, stages)
    if not run.recipe.exists() or (fresh and {"collect", "prepare", "train"} <= set(stages)):
        return
    made = recipes.load(run.recipe)
    if made.task != recipe.task:
        raise RequestError(
            f"{run.folder}: was made for the task {made.task}, and the recipe is for {recipe.task}; choose another --run-dir, or begin "
            "again with `genwright run --fresh`."
        )
    _refuse_other_data(recipe, made, run, task, offline)
    _refuse_unread(recipe, made, run, stages)
    if not (fresh and "train" in stages):
        refuse_other_settings(recipe, run.stage("train"))
    prepared = run.record("prepare")
    if prepared is not None and not {"prepare", "train"} & set(stages) and {"evaluate", "export"} & set(stages):
        refuse_other_facts(run.stage("train"), prepared.summary["facts"])


def require(run: Run, stages: Sequence[str]) -> None:
    """Raises RequestError where a stage was not run that the first of `stages` reads."""
    missing = _NEEDS.get(stages[0])
    if missing is not None and run.record(missing) is None:
        raise RequestError(
            f"{run.folder}: `{stages[0]}` needs what `{missing}` makes; run `genwright {missing}` first, or `genwright run`."
        )


def _refuse_foreign(run: Run) -> None:
    folder = run.folder
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder}: a file, and a run needs a folder; choose another --run-dir.")
    entries = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() and not run.is_one() else []
    if entries and (LOCK not in entries or len(run.owned()) < len(entries)):
        raise RequestError(
            f"{folder}: holds other files ({entries[0]}) and no run; choose another --run-dir, a new folder."
        )


def _refuse_other_data(recipe: Recipe, made: Recipe, run: Run, task: BaseTask, offline: bool) -> None:
    """A run belongs to the recipe that it was made from, wherever that went with its data, and to no other of the same name."""
    place = run.made_from()
    if place is None or recipe.file in (None, run.recipe.absolute()) or run.is_made_from(recipe.file):
        return
    if recipe.data.sources == made.data.sources:
        return
    file = run.stage("collect") / ledger.LEDGER
    had = _contents(ledger.read(file)) if file.exists() else set()
    if not had:
        return
    say(f"{run.folder}: was made from {place}; looking whether {recipe.file} has the same data ...")
    with tempfile.TemporaryDirectory(prefix=SCRATCH) as scratch:
        sources = open_sources(recipe.data, offline=offline)
        now = _contents(read_items(recipe, sources, task, Path(scratch) / "seen.jsonl"))
    same = had == now if place.exists() else len(had & now) >= _SAME_DATA * len(had)
    if not same:
        raise RequestError(
            f"{run.folder}: was made from {place}, and {recipe.file} is another recipe with other data; choose another --run-dir, or "
            "begin again with --fresh."
        )


def _refuse_unread(recipe: Recipe, made: Recipe, run: Run, stages: Sequence[str]) -> None:
    """What the stages of this command do not read must not change: the run's recipe would say what the run is not made of."""
    moved = recipe.file not in (None, run.recipe.absolute()) and not run.is_made_from(recipe.file)
    for section, reader in (("data", "collect"), ("prepare", "prepare")):
        now, then = (one.model_dump(mode="json", include={section})[section] for one in (recipe, made))
        changed = [key for key in changed_keys(then, now, section) if not (moved and key == "data.sources")]
        if changed and reader not in stages:
            keys = ", ".join(f"`{key}`" for key in changed)
            raise RequestError(
                f"{run.folder}: {keys} changed since this run was made, and `{stages[0]}` does not read it; take the change back, or use "
                "`genwright run`."
            )


def _contents(items: Sequence[ledger.Item]) -> set[str]:
    return {item.sha256 for item in items if item.kept and item.parent is None and item.sha256}
