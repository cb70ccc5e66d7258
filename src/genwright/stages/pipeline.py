"""All stages in order: collect -> prepare -> train -> evaluate -> export -> report, skipping what is up to date."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright import recipe as recipes
from genwright.console import duration, held_back, progress, say
from genwright.errors import RequestError
from genwright.files import at, remove
from genwright.hardware import cards
from genwright.hardware import device as devices
from genwright.ledger import LEDGER
from genwright.model import Model
from genwright.model_folder import build_task
from genwright.recipe import Recipe
from genwright.run import STAGES, Run, write_atomic
from genwright.stages import enough
from genwright.stages.accept import accept
from genwright.stages.collect import stage as collect
from genwright.stages.copy import copy_of
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.evaluate.verdict import judge_again
from genwright.stages.export import stage as export
from genwright.stages.inputs import stage_inputs
from genwright.stages.prepare import stage as prepare
from genwright.stages.report import stage as report
from genwright.stages.train import stage as train
from genwright.stages.train.budgets import parse_more
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
    anyway: bool = False
    """Train on data that is too little for the model, too."""
    profile: bool = False
    """Show where the time of a training step goes, and keep a trace."""


def run_stages(recipe: Recipe, run: Run, options: Options, stages: Sequence[str] = STAGES) -> None:
    """Run stages in order; each one that is up to date is skipped. Raises RequestError when one before them is missing."""
    device = devices.choose(options.device)
    if options.offline:  # weights to start from are asked for deep inside a task
        os.environ[OFFLINE] = "1"
    if options.more:
        parse_more(options.more)
    task = build_task(recipe)
    if "evaluate" in stages:
        with progress("look at the recipe"):
            task.check()
    with progress("look at the recipe and the run"):
        accept(recipe, run, task, stages, fresh=options.fresh, offline=options.offline)
    if "train" in stages and options.device is None and device.type == "cpu":
        _say_unused_card()
    with _own(recipe, run), ExitStack() as aside:
        calls: dict[str, Callable[[], Any]] = {
            "collect": lambda: collect.run(recipe, run, task=task, offline=options.offline),
            "prepare": lambda: prepare.run(recipe, run, task=task, refit=refit),
            "train": lambda: train.run(
                recipe,
                run,
                task=task,
                device=device,
                fresh=options.fresh,
                more=options.more,
                refit=options.refit,
                profile=options.profile,
            ),
            "evaluate": lambda: evaluate.run(recipe, run, task=task, device=device),
            "export": lambda: export.run(recipe, run, task=task, device=device),
            "report": lambda: report.run(recipe, run),
        }
        refit = options.refit or (options.fresh and "train" in stages)
        learns = next((name for name in stages if name in ("prepare", "train")), None)
        for name in stages:
            if name == learns:
                enough.check(task, run, trains="train" in stages, anyway=options.anyway, fresh=options.fresh)
            if name == "train":  # until then a refusal brings back what was collected and prepared
                aside.close()
            if not options.fresh and _stands(name, recipe, run, task, options):
                if name == "evaluate":
                    judge_again(task, run)
                say(f"{name:9} up to date")
                continue
            if options.fresh:
                aside.enter_context(_anew(run, name))
            former = run.record(name) if name == "collect" else None
            with at(run.stage(name)), progress(name), held_back() if former else nullcontext([]) as told:
                calls[name]()
            record = run.record(name)
            if former and record and former.outputs == record.outputs:
                say(f"{name:9} up to date")  # what there is to say of the data was said when it was new
                continue
            for line in told:
                say(line)
            if record is not None:
                say(f"{name:9} done in {duration(record.seconds)}")


def _say_unused_card() -> None:
    if unused := cards.unused(reached=False):
        say(f"train: {unused}")


def _stands(name: str, recipe: Recipe, run: Run, task: Any, options: Options) -> bool:
    if name == "collect":  # only looking at the sources can tell whether they changed
        return False
    if (name == "prepare" and options.refit) or (name == "train" and (options.more or options.profile)):
        return False
    return run.up_to_date(name, stage_inputs(name, recipe, run, task))


@contextmanager
def _own(recipe: Recipe, run: Run) -> Iterator[None]:
    """The run as this command's alone, with its recipe written down. Where the work is refused, the run has the recipe that it had;
    one that was not there before is gone, but for an account of data of which nothing is usable."""
    before = {file: file.read_text(encoding="utf-8") for file in (run.recipe, run.origin) if file.exists()}
    try:
        with run.lock():
            try:
                run.note_recipe(recipe.to_yaml(), recipe.file)
                yield
            except RequestError:
                for file in (run.recipe, run.origin) if before else ():
                    write_atomic(file, before[file]) if file in before else remove(file)
                raise
    except RequestError:
        if not before and not run.busy() and not (run.stage("collect") / LEDGER).exists():
            run.erase()
        raise


@contextmanager
def _anew(run: Run, name: str) -> Iterator[None]:
    """Without what a stage made before. Of the stages that look at the data it comes back where the data is refused."""
    folder = run.stage(name)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}")
    if name in ("collect", "prepare") and folder.exists():
        folder.rename(aside)
    elif name != "report":
        remove(folder)
    run.forget(name)
    try:
        yield
    except RequestError:
        if aside.exists():
            remove(folder)
            aside.rename(folder)
        raise
    finally:
        remove(aside)


def write_report(recipe: Recipe, run: Run, *, public: bool) -> Path:
    """Write the page of what the run holds. Raises RequestError where it holds nothing yet, or was made by another recipe."""
    accept(recipe, run, build_task(recipe), ["report"])
    with run.lock(), at(run.report):
        return report.run(recipes.load(run.recipe), run, public=public)


def plan_run(recipe: Recipe, run: Run, options: Options) -> Any:
    """Collect and prepare, then time a few steps in a scratch folder. A run that stands there already is only looked at: what such a
    run would be is worked out in a copy of it."""
    device = devices.choose(options.device)
    task = build_task(recipe)

    def rest(model: Model, splits: Splits, scratch: Path) -> dict[str, float]:
        return {
            "evaluate": evaluate.foretell(recipe, task, model, splits, scratch),
            "export": export.foretell(model, splits, scratch),
        }

    with copy_of(recipe, run) if run.recipe.exists() else nullcontext(run) as looked_at:
        run_stages(recipe, looked_at, options, ["collect", "prepare"])
        return train.plan(recipe, looked_at, task=task, device=device, rest=rest)
