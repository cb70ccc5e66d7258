"""Evaluate: score the trained model on what it never saw, beside its floor, its baselines and the real data.

evaluate/
  plan.json             how many samples, fixed before they are made (effort.py)
  scores.json           the score sheet
  ...                   its exhibits: pictures and texts
  changes.json          what new data changed, once some has come (evaluate_changes.py)
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from genwright.console import progress
from genwright.families.base import Family
from genwright.hardware import device as devices
from genwright.model import Model
from genwright.recipe import EvaluateSettings, Recipe
from genwright.run import Run, write_atomic
from genwright.scores import ScoreSheet
from genwright.stages.evaluate import effort
from genwright.stages.evaluate.changes import keep_former_sheet, measure
from genwright.stages.evaluate.verdict import verdict
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.prepare.stage import load_splits
from genwright.stages.train.stage import load_trained
from genwright.tasks.base import BaseTask, Splits, TrainJudge
from genwright.training.base import Batches, Settings
from genwright.training.trainer import Trainer

JUDGE_BATCH = 32
SAMPLES_AT_ONCE, SAMPLES_ON_A_CARD = 32, 128
"""Scores ask for many samples, so the sessions are larger than those that answer requests."""


def run(recipe: Recipe, run: Run, *, task: BaseTask, device: torch.device) -> ScoreSheet:
    """Score the run's model. The judges that a task needs are trained by the loop that trained the model."""
    started = time.monotonic()
    inputs = stage_inputs("evaluate", recipe, run, task)
    folder = run.reopen("evaluate")
    model = load_trained(run, device)
    model.capacity = SAMPLES_ON_A_CARD if model.device.type == "cuda" else SAMPLES_AT_ONCE
    splits = load_splits(run, task)
    keep_former_sheet(folder, splits.hash)
    sheet = effort.evaluate(recipe, folder, scorer(task, model, splits, _trained_steps(recipe, model)))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.evaluate.seed)
        changes = measure(task, recipe, run, model, splits, folder, device)
    sheet.protocol = {**_protocol(recipe, splits.hash), **sheet.protocol}
    sheet.verdict = verdict(task, run, sheet)
    text = sheet.model_dump_json(indent=2) + "\n"
    write_atomic(folder / "scores.json", text)
    run.complete(
        "evaluate",
        inputs=inputs,
        outputs=digest(text),
        seconds=time.monotonic() - started,
        device=devices.title(device),
        summary={
            "headline": sheet.headline,
            "verdict": sheet.verdict.grade if sheet.verdict else None,
            "model": _model_scores(sheet),
            **({"changes": changes.headline} if changes else {}),
        },
    )
    return sheet


def scorer(task: BaseTask, model: Model, splits: Splits, trained_steps: int | None = None) -> effort.Evaluate:
    """Scores the model the same way each time it is called with the same settings. `trained_steps`: see EvaluateSettings.judged."""

    def score(settings: EvaluateSettings, folder: Path) -> ScoreSheet:
        settings = settings.trained_for(trained_steps)
        with torch.random.fork_rng(devices=[model.device] if model.device.type == "cuda" else []):
            torch.manual_seed(settings.seed)
            return task.score(model, splits, settings, judge_trainer(settings.seed, model.device), folder)

    return score


def foretell(recipe: Recipe, task: BaseTask, model: Model, splits: Splits, scratch: Path) -> float:
    """Seconds that evaluating takes at most, by small evaluations of an untrained model in `scratch`."""
    model.capacity = SAMPLES_ON_A_CARD if model.device.type == "cuda" else SAMPLES_AT_ONCE
    with progress("plan: small evaluations"):
        return effort.foretold(recipe, scratch, scorer(task, model, splits, _trained_steps(recipe, model)))


def _trained_steps(recipe: Recipe, model: Model) -> int | None:
    """How many steps a judge may learn for at most: where no clock is asked, no more than the model was trained for."""
    return None if recipe.train.budget.unit == "seconds" else model.about.get("trained", {}).get("steps")


def judge_trainer(seed: int, device: torch.device) -> TrainJudge:
    """Trains a judge in memory: the same loop, no folder. The judge is left in evaluation mode with its averaged weights."""

    def train(family: Family, batches: Batches, steps: int) -> None:
        settings = Settings(part="judge", seed=seed, steps=steps, batch=JUDGE_BATCH, log_every=max(1, steps // 20))
        trainer = Trainer(family, batches, settings, device, title="evaluate: train the judge")
        trainer.run()
        trainer.finish()

    return train


def _protocol(recipe: Recipe, split_hash: str) -> dict[str, Any]:
    return {"split_hash": split_hash, "seed": recipe.evaluate.seed, "recipe": recipe.hash()}


def _model_scores(sheet: ScoreSheet) -> dict[str, float]:
    rows = [row for row in sheet.rows if row.kind == "model"]
    return {name: score.value for name, score in rows[0].scores.items()} if rows else {}
