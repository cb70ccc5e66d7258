"""The score sheet: what evaluate writes to scores.json, and what report and compare show. A score never stands without its protocol.

How an interval is said stands here too, for the terminal, report, card, comparison and gallery alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from genwright.console import Printed, SideBySide

ARROWS = {"lower": " ↓", "higher": " ↑", "none": ""}
"""Behind a metric's title: where better is."""
ENOUGH = 20
"""Held-out things below which no sentence tells a number: any one of them would move a mean by more than a twentieth, and the 95 %
interval of a share would be wider than 40 points."""
LOPSIDED = 0.2
"""An interval whose arms differ by more than this share of the longer one is said by its ends."""


class Score(BaseModel):
    """A number with its interval (95 %, by bootstrap unless the protocol says otherwise) and the sample it was measured on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = Field(
        None,
        description="how many samples the value was measured on",
    )


class Metric(BaseModel):
    """How a column of the sheet is to be read."""

    name: str
    title: str
    better: Literal["lower", "higher", "none"] = "none"
    unit: str = ""
    description: str = Field("", description="one sentence for the report: what it measures and how")


class Row(BaseModel):
    """One thing that was scored: `kind` is its place beside the others."""

    name: str
    title: str
    kind: Literal["floor", "baseline", "copy", "model", "real"]
    scores: dict[str, Score]

    def cell(self, metric: str) -> str:
        """What a table says of a metric; "" where the row was not scored by it."""
        score = self.scores.get(metric)
        return "" if score is None else shown(score.value, score.low, score.high)


class Exhibit(BaseModel):
    """Something to look at or listen to beside the numbers, in the evaluate folder."""

    name: str
    title: str
    caption: str = ""
    file: str = Field(description="path inside the evaluate folder; its suffix says its medium")
    words: list[str] = Field(
        default=[],
        description="of a sheet of pictures: what each shows, left to right and top to bottom; or each column",
    )
    across: int = Field(default=0, description="of a sheet with words: how many pictures stand side by side")
    shows_training_items: bool = Field(False, description="left out of `report --public`")


def beats(one: Score | None, other: Score | None, better: str = "lower") -> bool | None:
    """Whether a score is better than another beyond the intervals: each value lies outside the other's interval. None where one of
    them is missing.

    That is between two tests: that intervals do not meet asks too much of scores on the same held-out data, which are easy or hard for
    both; that the values differ asks nothing.
    """
    if one is None or other is None:
        return None
    sign = 1 if better == "lower" else -1
    worst, best = (one.high, other.low) if better == "lower" else (one.low, other.high)
    if sign * one.value >= sign * other.value:
        return False
    clear_of_other = best is None or sign * one.value < sign * best
    return clear_of_other and (worst is None or sign * worst < sign * other.value)


class Verdict(BaseModel):
    """A score sheet in plain words, for somebody who can't read it."""

    grade: Literal["good", "weak", "useless"]
    why: str = Field(description="a sentence")
    next: str = Field(description="the one thing to do next, as a sentence")


class ScoreSheet(Printed, BaseModel):
    metrics: list[Metric]
    rows: list[Row]
    protocol: dict[str, Any] = Field(description="reference set, n, split hash, extractor, resize filter, seed, ...")
    exhibits: list[Exhibit] = []
    headline: str = Field(
        default="", description="one honest sentence: where the model stands between floor and real data"
    )
    verdict: Verdict | None = None

    def row(self, kind: str) -> Row:
        return next(row for row in self.rows if row.kind == kind)

    def score(self, row: str, metric: str) -> Score | None:
        """By the row's name; None where it was not measured, or is no number."""
        scores = next((one.scores for one in self.rows if one.name == row), {})
        score = scores.get(metric)
        return score if score is not None and math.isfinite(score.value) else None

    def __rich__(self) -> SideBySide:
        """A line for each metric, an arrow for its better direction; what was scored stands side by side."""
        rows = [
            (metric.title + ARROWS[metric.better], [row.cell(metric.name) for row in self.rows])
            for metric in self.metrics
        ]
        styles = ["bold" if row.kind == "model" else "" for row in self.rows]
        return SideBySide([row.title for row in self.rows], rows, styles=styles)

    def write(self, file: Path) -> None:
        file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> ScoreSheet:
        return cls.model_validate_json(file.read_text(encoding="utf-8"))


def figure(value: float) -> str:
    """Three significant digits, written out: 0.00123, 5.29, 12,300."""
    return f"{value:.3g}" if abs(value) < 1000 or not math.isfinite(value) else f"{float(f'{value:.3g}'):,.0f}"


def span(low: float | None, high: float | None, figure: Callable[[float], str] = figure) -> str:
    """An interval by its ends, "2.07 to 5.62"; "" where there is none, or none of any width."""
    if low is None or high is None or math.isclose(low, high, rel_tol=1e-6):
        return ""
    ends = figure(low), figure(high)
    return "" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"


def shown(value: float, low: float | None, high: float | None, *, brief: bool = True) -> str:
    """A value with its interval: "5.29 (2.07 to 5.62)", or `brief` "0.031 ±0.003" where both arms are nearly of one length, so that
    it says nothing wrong."""
    ends = span(low, high)
    if not ends or low is None or high is None:
        return figure(value)
    arms = value - low, high - value
    if not brief or min(arms) < 0 or max(arms) - min(arms) > LOPSIDED * max(arms):
        return f"{figure(value)} ({ends})"
    return f"{figure(value)} ±{(high - low) / 2:.2g}"
