"""What the report shows of new data: the model before and after it, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genwright.pages.page import picture
from genwright.run import Run
from genwright.scores import Metric, Score, ScoreSheet
from genwright.stages.evaluate.record import FILE, Change, Changes
from genwright.stages.report.training import Passage, passages

_LARGEST_TEXT = 6000
_KINDS = {"new": "the new data", "old": "the old data"}


@dataclass
class ChangeRow:
    """A line of the table. `verdict` is "better", "worse" or "" (the intervals overlap, or the metric has no better side)."""

    title: str
    unit: str
    data: str
    before: Score
    after: Score
    moved: str
    verdict: str


@dataclass
class Side:
    """What one state made: a picture, or passages."""

    title: str
    picture: dict[str, Any] | None = None
    passages: list[Passage] | None = None


@dataclass
class ChangesView:
    about: Changes
    rows: list[ChangeRow] = field(default_factory=list)
    pairs: list[tuple[str, Side, Side]] = field(default_factory=list)
    former: list[tuple[Metric, Score, Score]] = field(default_factory=list)
    """The model's whole score sheet before and now, each on the held-out data of its time."""


def read_changes(run: Run, sheet: ScoreSheet | None, public: bool = False) -> ChangesView | None:
    """None where no data came after a training had finished, or nothing was evaluated since."""
    folder = run.stage("evaluate")
    if sheet is None or not (folder / FILE).exists():
        return None
    about = Changes.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
    view = ChangesView(about)
    for metric in about.metrics:
        found = (about.of(metric.name, data) for data in _KINDS)
        view.rows += [_row(metric, change) for change in found if change is not None]
    for pair in about.pairs:
        sides = (_side(folder / pair.before, "before", public), _side(folder / pair.after, "after", public))
        view.pairs.append((f"Asked from {_KINDS[pair.data]}", *sides))
    if about.former is not None:
        view.former = _former(about.former, sheet)
    return view


def _row(metric: Metric, change: Change) -> ChangeRow:
    before, after = change.before.value, change.after.value
    moved = (after - before) / abs(before) if before else 0.0
    verdict = ""
    if metric.better != "none" and abs(moved) >= 0.0005:
        verdict = "better" if (after < before) == (metric.better == "lower") else "worse"
    sign = "+" if moved > 0 else "−" if moved < 0 else ""
    return ChangeRow(
        metric.title, metric.unit, _KINDS[change.data], change.before, change.after, f"{sign}{abs(moved):.1%}", verdict
    )


def _side(file: Path, title: str, public: bool) -> Side:
    try:
        if file.suffix == ".txt":
            return Side(title, passages=passages(file.read_text("utf-8", "replace")[:_LARGEST_TEXT], public))
        return Side(title, picture=picture(file))
    except OSError:
        return Side(title, passages=[])


def _former(former: ScoreSheet, now: ScoreSheet) -> list[tuple[Metric, Score, Score]]:
    rows = [next((row for row in sheet.rows if row.kind == "model"), None) for sheet in (former, now)]
    if rows[0] is None or rows[1] is None:
        return []
    return [
        (metric, rows[0].scores[metric.name], rows[1].scores[metric.name])
        for metric in now.metrics
        if metric.name in rows[0].scores and metric.name in rows[1].scores
    ]
