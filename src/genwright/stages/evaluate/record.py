"""What new data changed in a model: its state before and after, on held-out data of both kinds. Written by evaluate, shown by report."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from genwright.scores import ENOUGH, Metric, Score, ScoreSheet, beats

FILE = "changes.json"
"""In the folder of evaluate, beside the texts and pictures that it names."""


class Change(BaseModel):
    """One metric on one kind of held-out data, by the same examples before and after."""

    metric: str
    data: Literal["old", "new"]
    before: Score
    after: Score


class Pair(BaseModel):
    """What the two states make of the same prompts and noise: files in evaluate's folder."""

    data: Literal["old", "new"]
    before: str
    after: str


class Changes(BaseModel):
    """`old` is what was there when the training last finished before the newest data, `new` what came since."""

    old: dict[str, int]
    new: dict[str, int]
    """Examples by split."""
    held_out: str
    """The split that was scored."""
    mixture: dict[str, Any] | None = None
    """How the training drew from both (training/mixture.py)."""
    mixture_text: str = ""
    steps: int = 0
    """Steps taken since the new data came."""
    metrics: list[Metric] = []
    changes: list[Change] = []
    pairs: list[Pair] = []
    former: ScoreSheet | None = None
    """The whole score sheet of the state before, as it was measured then on the held-out data of the time."""
    headline: str = ""

    def of(self, metric: str, data: str) -> Change | None:
        return next((c for c in self.changes if c.metric == metric and c.data == data), None)


def headline(changes: Changes) -> str:
    """What was gained on the new data, and what was lost on the old; no number where too little of either is held out."""
    if not changes.metrics:
        return ""
    metric = changes.metrics[0]
    said = [_told(changes, change, metric) for data in ("new", "old") if (change := changes.of(metric.name, data))]
    return " ".join(said)


def _told(changes: Changes, change: Change, metric: Metric) -> str:
    what = "new data" if change.data == "new" else "data that was there before"
    count = {"new": changes.new, "old": changes.old}[change.data].get(changes.held_out, 0)
    if count < ENOUGH:
        return f"Of the {what} only {count:,} {'is' if count == 1 else 'are'} held out, too few to say what learning from the new did to it."
    before, after = change.before, change.after
    moved = f"{metric.title} went from {before.value:.3g} to {after.value:.3g} on {count:,} of it that the model has never seen"
    if metric.better == "none":
        return f"On the {what}: {moved}."
    for better, was, now in ((True, before, after), (False, after, before)):
        if beats(now, was, metric.better):
            outcome = "it has become better" if better else "some of it was forgotten" if change.data == "old" else "it has become worse"  # fmt: skip
            return f"On the {what} {outcome}: {moved}; {metric.better} is better."
    outcome = "nothing of it was forgotten" if change.data == "old" else "it has become neither better nor worse"
    return (
        f"On the {what} {outcome}, as far as {count:,} held-out examples can tell: {moved}; {metric.better} is better."
    )
