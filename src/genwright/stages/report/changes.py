"""What the report shows of new data: the model before and after it, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup

from genwright.media.base import show
from genwright.run import Run
from genwright.scores import Metric, Score, ScoreSheet
from genwright.stages.evaluate.record import FILE, Change, Changes

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
    """What one state made."""

    title: str
    html: Markup


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
        before, after = (
            Side(title, show(folder / file, title, public))
            for title, file in (("before", pair.before), ("after", pair.after))
        )
        view.pairs.append((f"Asked from {_KINDS[pair.data]}", before, after))
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


def _former(former: ScoreSheet, now: ScoreSheet) -> list[tuple[Metric, Score, Score]]:
    rows = [next((row for row in sheet.rows if row.kind == "model"), None) for sheet in (former, now)]
    if rows[0] is None or rows[1] is None:
        return []
    return [
        (metric, rows[0].scores[metric.name], rows[1].scores[metric.name])
        for metric in now.metrics
        if metric.name in rows[0].scores and metric.name in rows[1].scores
    ]
