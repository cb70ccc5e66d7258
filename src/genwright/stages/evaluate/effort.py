"""How much an evaluation may do: all that the recipe asks for, or as much as its share of a budget in minutes is enough for.

A clock tells what an evaluation costs, by small ones: so what it tells is written down (evaluate/plan.json) before the evaluation that
counts, and read again by the next one of the same recipe. With any other budget no clock is asked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from genwright.console import duration, progress, say
from genwright.recipe import EvaluateSettings, Recipe
from genwright.run import write_atomic
from genwright.scores import ScoreSheet
from genwright.stages.inputs import digest

FILE = "plan.json"
_FIRST = 0.05
"""The first trial is this share of the least evaluation that says something: that alone may take longer than there is time."""
_TRIAL_SHARE = 0.25
"""A later trial may take this share of the time that is left."""
_PLAN_SECONDS = 10.0
"""`genwright plan` makes a second trial of at most about this length, where it can."""
_LARGER = 2.0
"""A later trial is at least so many times as large as the one before, and the evaluation as the last trial: less tells nothing new."""
_WARM = 2
"""The trials after so many are compared to tell what is the same for any effort."""
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
    share: float | None = None
    """The share of the budget that would be about enough to say something; None where what there is is enough."""
    least: bool = False
    """Whether even the smallest evaluation takes longer than it may, and is made all the same."""
    asked: str
    """A hash of the settings and the budget that this is for."""

    def text(self) -> str:
        if self.effort == 1:
            return f"up to {self.of:,} samples"
        allowed = duration(self.seconds or 0)
        why = (
            f"the fewest there are, for which {allowed} are too short"
            if self.least
            else f"as many as {allowed} are enough for"
        )
        said = f"up to {self.samples:,} of {self.of:,} samples, {why}"
        if self.share is None:
            return said
        return (
            f"{said}; that is too little to say much, and `--set evaluate.share={self.share:.2g}` gives time for enough"
        )


def _asked(recipe: Recipe) -> str:
    return digest(recipe.evaluate.asked(), str(recipe.train.budget))


def seconds_allowed(recipe: Recipe) -> float | None:
    """What evaluating may take in all; None where the budget is not in minutes."""
    budget = recipe.train.budget
    return budget.amount * recipe.evaluate.share if budget.unit == "seconds" else None


def fixed(file: Path, recipe: Recipe) -> Effort | None:
    """What was written down for the same recipe, or follows from it alone; None where a clock has to tell."""
    settings, allowed = recipe.evaluate, seconds_allowed(recipe)
    asked = _asked(recipe)
    if allowed is None or settings.least_effort == 1:
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
        say(f"evaluate: small evaluations tell how large it may be in {duration(allowed)} (evaluate.share) ...")
        with progress("evaluate: small evaluations"):
            effort = trials.settle(allowed, lambda: time.monotonic() - started)
        settings, enough = recipe.evaluate.at(effort), recipe.evaluate.least_effort
        plan = Effort(
            effort=effort,
            samples=settings.samples,
            of=recipe.evaluate.samples,
            seconds=allowed,
            share=trials.needed(enough) / recipe.train.budget.amount if effort < enough else None,
            least=effort == trials.first and trials.took[0][1] > allowed,
            asked=_asked(recipe),
        )
        made = trials.sheets.get(effort)
    write_atomic(folder / FILE, plan.model_dump_json(indent=1) + "\n")
    if made is None or plan.share is not None:
        say(f"evaluate: {'scoring' if made is None else 'scored'} {plan.text()}.")
    return made if made is not None else score(recipe.evaluate.at(plan.effort), folder)


def foretold(recipe: Recipe, scratch: Path, score: Evaluate) -> float:
    """Seconds that it takes at most, by two small evaluations after one that also loads what all need."""
    trials, allowed = _Trials(recipe.evaluate, lambda settings: score(settings, scratch)), seconds_allowed(recipe)
    small = trials.first
    first = trials.seconds(small)
    if small == 1 or (allowed is not None and first >= allowed):
        return first
    larger = min(max(small * _PLAN_SECONDS / first, 4 * small), 2 * recipe.evaluate.least_effort, 1.0)
    if allowed is not None and first * larger / small > allowed:
        return allowed  # it will be made as large as that has time for
    again = trials.seconds(small)
    slope = max(trials.seconds(larger) - again, 0.0) / (larger - small)
    whole = first + slope * (1 - small)
    return whole if allowed is None else min(whole, allowed)


class _Trials:
    """Small evaluations, each timed."""

    def __init__(self, settings: EvaluateSettings, score: Callable[[EvaluateSettings], ScoreSheet]):
        self.settings, self.score = settings, score
        self.sheets: dict[float, ScoreSheet] = {}
        self.took: list[tuple[float, float]] = []

    @property
    def first(self) -> float:
        """The smallest effort that is tried; all where the recipe itself asks for no more than the least."""
        least = self.settings.least_effort
        return least * _FIRST if least < 1 else 1.0

    def seconds(self, effort: float) -> float:
        start = time.monotonic()
        self.sheets = {effort: self.score(self.settings.at(effort))}  # only the last one's exhibits stand
        self.took.append((effort, time.monotonic() - start))
        return self.took[-1][1]

    def settle(self, allowed: float, spent: Callable[[], float]) -> float:
        """The effort for the time allowed. Larger trials follow, each at least twice as large as the one before, while they are a small part
        of the time that is left and it is not known yet what is the same for any effort. One that leaves too little, or took longer than
        its size explains, is made once more."""
        self.seconds(self.first)
        effort = self._larger(self.first, allowed, spent)
        most, took = self._most(allowed - spent()), self.took[-1][1]
        doubtful = max(most, effort) < self.settings.least_effort or (most < 1 and self._held_up())
        if doubtful and 2 * took <= allowed - spent():
            # What others did on the machine meanwhile may be in it, and too few samples would be the price.
            quicker = min(took, self.seconds(effort))
            self.took[-2:] = [(effort, quicker)]
            effort = self._larger(effort, allowed, spent)
            most = self._most(allowed - spent())
        return max(most, effort)

    def _larger(self, effort: float, allowed: float, spent: Callable[[], float]) -> float:
        """Trials that follow one of an effort; that of the last."""
        while (most := self._most(allowed - spent())) < 1 and not self._parts()[2]:
            larger = max(most * _TRIAL_SHARE, effort * _LARGER)
            if larger > most / _LARGER:
                break
            effort = larger
            self.seconds(effort)
        return effort

    def _held_up(self) -> bool:
        """Whether the last trial took longer than the one before by more than its size explains."""
        if len(self.took) < 2:
            return False
        (before, earlier), (tried, took) = self.took[-2:]
        return took / tried > earlier / before

    def needed(self, effort: float) -> float:
        """Seconds that an evaluation of this effort takes at most, the trials included."""
        tried, took = self.took[-1]
        _, each, _ = self._parts()
        return sum(seconds for _, seconds in self.took) + (took + each * (effort - tried)) / _USED

    def _most(self, left: float) -> float:
        fixed, each, _ = self._parts()
        tried, took = self.took[-1]
        by_parts = (left * _USED - fixed) / each
        return min(max(by_parts, tried * left * _USED / took), 1.0)

    def _parts(self) -> tuple[float, float, bool]:
        """Seconds that are the same for any effort, seconds that an effort of 1 takes beside, and whether both are known.

        By the last two trials, but for the first, which also loads what all need; a single one may have no part that is the same. Where
        the larger of two took hardly longer, a quarter of what it took is laid to its size all the same."""
        tried, took = self.took[-1]
        linear = took / tried
        if len(self.took) <= _WARM:
            return 0.0, linear, False
        before, earlier = self.took[-2]
        grew = (took - earlier) / (tried - before)
        each = min(max(grew, linear / 4), linear)
        return took - each * tried, each, grew >= each
