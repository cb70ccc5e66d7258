"""The score sheet: what evaluate writes to scores.json, and what report and compare show. A score never stands without its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from genwright.console import Printed, SideBySide

ARROWS = {"lower": " ↓", "higher": " ↑", "none": ""}
"""Behind a metric's title: where better is."""


class Score(BaseModel):
    """A number with its interval (95 %, by bootstrap unless the protocol says otherwise) and the sample it was measured on."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = Field(None, description="how many samples the value was measured on")


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


class ScoreSheet(Printed, BaseModel):
    metrics: list[Metric]
    rows: list[Row]
    protocol: dict[str, Any] = Field(description="reference set, n, split hash, extractor, resize filter, seed, ...")
    exhibits: list[Exhibit] = []
    headline: str = Field("", description="one honest sentence: where the model stands between floor and real data")

    def row(self, kind: str) -> Row:
        return next(row for row in self.rows if row.kind == kind)

    def __rich__(self) -> SideBySide:
        """A line for each metric, an arrow for its better direction; what was scored stands side by side."""
        rows = [
            (metric.title + ARROWS[metric.better], [_cell(row, metric.name) for row in self.rows])
            for metric in self.metrics
        ]
        styles = ["bold" if row.kind == "model" else "" for row in self.rows]
        return SideBySide([row.title for row in self.rows], rows, styles=styles)

    def write(self, file: Path) -> None:
        file.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, file: Path) -> ScoreSheet:
        return cls.model_validate_json(file.read_text(encoding="utf-8"))


def _cell(row: Row, metric: str) -> str:
    score = row.scores.get(metric)
    return "" if score is None else format_score(score)


def format_score(score: Score) -> str:
    """ "0.031 ±0.003": three significant digits, and half the interval where there is one."""
    if score.low is None or score.high is None or score.low == score.high:
        return f"{score.value:.3g}"
    return f"{score.value:.3g} ±{(score.high - score.low) / 2:.2g}"
