"""How much an evaluation may do: all that the recipe asks for, or as much as its share of a budget in minutes is enough for.

A clock tells what an evaluation costs, by small ones: so what it tells is written down (evaluate/plan.json) before the evaluation that
counts, and read again by the next one of the same recipe. With any other budget no clock is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from genwright.console import duration, say
from genwright.recipe import EvaluateSettings, Recipe
from genwright.run import write_atomic
from genwright.scores import ScoreSheet
from genwright.stages.inputs import digest

FILE = "plan.json"
LEAST_SAMPLES = 20
"""No evaluation has fewer, unless the recipe says so."""
_LEAST_EFFORT = 0.02
_TRIAL_SHARE = 0.25
"""The second trial may take this share of the time that the first one left."""
_USED = 0.9
"""So much of the time that is left is given out: a trial foretells no better."""

Evaluate = Callable[[EvaluateSettings, Path], ScoreSheet]
"""Scores the model, with exhibits written into a folder."""


class Effort(BaseModel):
    """evaluate/plan.json."""

    effort: float
    """The share of what the recipe asks for."""
    samples: int
    of: int
    """What the recipe asks for."""
    seconds: float | None = None
    """What the evaluation may take in all, trials included; None: as long as it takes."""
    asked: str
    """A hash of the settings and the budget that this is for."""

    def text(self) -> str:
        if self.effort == 1:
            return f"up to {self.of:,} samples"
        return f"up to {self.samples:,} of {self.of:,} samples, as many as {duration(self.seconds or 0)} are enough for"


def _asked(recipe: Recipe) -> str:
    return digest(recipe.evaluate.asked(), str(recipe.train.budget))


def seconds_allowed(recipe: Recipe) -> float | None:
    """What evaluating may take in all; None where the budget is not in minutes."""
    budget = recipe.train.budget
    return budget.amount * recipe.evaluate.share if budget.unit == "seconds" else None


def least_effort(settings: EvaluateSettings) -> float:
    return min(max(LEAST_SAMPLES / settings.samples, _LEAST_EFFORT), 1.0)


def fixed(file: Path, recipe: Recipe) -> Effort | None:
    """What was written down for the same recipe, or follows from it alone; None where a clock has to tell."""
    settings, allowed = recipe.evaluate, seconds_allowed(recipe)
    asked = _asked(recipe)
    if allowed is None or least_effort(settings) == 1:
        return Effort(effort=1.0, samples=settings.samples, of=settings.samples, asked=asked)
    try:
        found = Effort.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # not there yet, or cut short by a kill
        return None
    return found if found.asked == asked else None


def evaluate(recipe: Recipe, folder: Path, score: Evaluate) -> ScoreSheet:
    """Score within the time allowed, with exhibits in `folder`. Small evaluations come first where a clock has to tell how large it may
    be; one that turns out to be as large as it may be is the evaluation."""
    started, plan, made = time.monotonic(), fixed(folder / FILE, recipe), None
    if plan is None:
        trials = _Trials(recipe.evaluate, lambda settings: score(settings, folder))
        allowed = seconds_allowed(recipe)
        assert allowed is not None
        say(f"evaluate: a small evaluation tells how large it may be in {duration(allowed)} (evaluate.share) ...")
        effort = trials.settle(allowed, lambda: time.monotonic() - started)
        settings = recipe.evaluate.at(effort)
        plan = Effort(
            effort=effort,
            samples=settings.samples,
            of=recipe.evaluate.samples,
            seconds=allowed,
            asked=_asked(recipe),
        )
        made = trials.sheets.get(effort)
    write_atomic(folder / FILE, plan.model_dump_json(indent=1) + "\n")
    if made is not None:
        return made
    say(f"evaluate: scoring {plan.text()} ...")
    return score(recipe.evaluate.at(plan.effort), folder)


def foretold(recipe: Recipe, scratch: Path, score: Evaluate) -> float:
    """Seconds that it takes at most. The first of two small evaluations also loads what all need, and counts as it is."""
    trials, allowed = _Trials(recipe.evaluate, lambda settings: score(settings, scratch)), seconds_allowed(recipe)
    small = least_effort(recipe.evaluate)
    first = trials.seconds(small)
    if small == 1 or (allowed is not None and first >= allowed):
        return first
    larger = min(2 * small, 1.0)
    whole = first + trials.seconds(larger) / larger
    return whole if allowed is None else min(whole, allowed)


class _Trials:
    """Small evaluations, each timed."""

    def __init__(self, settings: EvaluateSettings, score: Callable[[EvaluateSettings], ScoreSheet]):
        self.settings, self.score = settings, score
        self.sheets: dict[float, ScoreSheet] = {}

    def seconds(self, effort: float) -> float:
        start = time.monotonic()
        self.sheets = {effort: self.score(self.settings.at(effort))}  # only the last one's exhibits stand
        return time.monotonic() - start

    def settle(self, allowed: float, spent: Callable[[], float]) -> float:
        """The effort for the time allowed. An evaluation grows at most as fast as its effort, for part of it is always the same."""
        effort = least_effort(self.settings)
        took = self.seconds(effort)
        most = self._most(effort, took, allowed - spent())
        trial = most * _TRIAL_SHARE
        if most < 1 and trial > effort:
            effort, took = trial, self.seconds(trial)
            most = self._most(effort, took, allowed - spent())
        return max(most, effort)

    def _most(self, effort: float, took: float, left: float) -> float:
        return min(effort * left * _USED / took, 1.0)
