"""All stages in order: collect -> prepare -> train -> evaluate -> export -> report, skipping what is up to date."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright import device as devices
from genwright import recipe as recipes
from genwright.console import duration, progress, say
from genwright.errors import RequestError
from genwright.model import Model
from genwright.model_folder import build_task
from genwright.recipe import Recipe
from genwright.run import STAGES, Run, write_atomic
from genwright.stages.collect import stage as collect
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.evaluate.verdict import judge_again
from genwright.stages.export import stage as export
from genwright.stages.inputs import stage_inputs
from genwright.stages.prepare import stage as prepare
from genwright.stages.report import stage as report
from genwright.stages.train import stage as train
from genwright.stages.train.budgets import refuse_other_settings
from genwright.tasks.base import Splits
from genwright.weights.opening import OFFLINE


@dataclass(frozen=True)
class Options:
    """What a user may say on the command line about how the stages are run."""

    device: str | None = None
    offline: bool = False
    fresh: bool = False
    refit: bool = False
    more: str | None = None


def run_stages(recipe: Recipe, run: Run, options: Options, stages: Sequence[str] = STAGES) -> None:
    """Run stages in order; each one that is up to date is skipped. Raises RequestError when one before them is missing."""
    device = devices.choose(options.device)
    if options.offline:  # weights to start from are asked for deep inside a task
        os.environ[OFFLINE] = "1"
    task = build_task(recipe)
    if "evaluate" in stages:
        task.check()
    with run.lock():
        if options.fresh:
            _clear(run, stages)
        else:
            _accept(recipe, run)
        _require(run, stages)
        write_atomic(run.recipe, recipe.to_yaml())
        calls: dict[str, Callable[[], Any]] = {
            "collect": lambda: collect.run(recipe, run, task=task, offline=options.offline),
            "prepare": lambda: prepare.run(recipe, run, task=task, refit=options.refit),
            "train": lambda: train.run(
                recipe, run, task=task, device=device, fresh=options.fresh, more=options.more, refit=options.refit
            ),
            "evaluate": lambda: evaluate.run(recipe, run, task=task, device=device),
            "export": lambda: export.run(recipe, run, task=task, device=device),
            "report": lambda: report.run(recipe, run),
        }
        for name in stages:
            if _stands(name, recipe, run, task, options):
                if name == "evaluate":
                    judge_again(task, run)
                say(f"{name:9} up to date")
                continue
            with progress(name):
                calls[name]()
            record = run.record(name)
            if record is not None:
                say(f"{name:9} done in {duration(record.seconds)}")


def _stands(name: str, recipe: Recipe, run: Run, task: Any, options: Options) -> bool:
    if name == "collect":  # only looking at the sources can tell whether they changed
        return False
    if (name == "prepare" and options.refit) or (name == "train" and options.more):
        return False
    return run.up_to_date(name, stage_inputs(name, recipe, run, task))


def _accept(recipe: Recipe, run: Run) -> None:
    """Nothing is written into a run before it is known to fit: what was refused must not spoil what stands there."""
    made = recipes.load(run.recipe).task if run.recipe.exists() else recipe.task
    if made != recipe.task:
        raise RequestError(
            f"{run.folder}: was made for the task {made}, and the recipe is for {recipe.task}; choose another --run-dir, or begin again "
            "with --fresh."
        )
    refuse_other_settings(recipe, run.stage("train"))


def _require(run: Run, stages: Sequence[str]) -> None:
    """The stages that the first one reads must have been run."""
    needs = {
        "prepare": ["collect"],
        "train": ["prepare"],
        "evaluate": ["train"],
        "export": ["train"],
        "report": ["collect"],
    }
    missing = [name for name in needs.get(stages[0], []) if run.record(name) is None]
    if missing:
        raise RequestError(
            f"{run.folder}: `{stages[0]}` needs what `{missing[0]}` makes; run `genwright {missing[0]}` first, or `genwright run`."
        )


def _clear(run: Run, stages: Sequence[str]) -> None:
    for name in stages:
        if name != "report":
            shutil.rmtree(run.stage(name), ignore_errors=True)
        run.forget(name)


def write_report(recipe: Recipe, run: Run, *, public: bool) -> Path:
    with run.lock():
        return report.run(recipe, run, public=public)


def plan_run(recipe: Recipe, run: Run, options: Options) -> Any:
    """Collect and prepare, then time a few steps in a scratch folder."""
    device = devices.choose(options.device)
    run_stages(recipe, run, options, ["collect", "prepare"])
    task = build_task(recipe)

    def rest(model: Model, splits: Splits, scratch: Path) -> dict[str, float]:
        return {
            "evaluate": evaluate.foretell(recipe, task, model, splits, scratch),
            "export": export.foretell(model, splits, scratch),
        }

    return train.plan(recipe, run, task=task, device=device, rest=rest)
