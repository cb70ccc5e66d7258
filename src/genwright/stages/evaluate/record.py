"""What new data changed in a model: its state before and after, on held-out data of both kinds. Written by evaluate, shown by report."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from genwright.scores import Metric, Score, ScoreSheet

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
    """One sentence: what was gained on the new data, and what was lost on the old."""
    if not changes.metrics:
        return ""
    metric = changes.metrics[0]
    parts = []
    for data in ("new", "old"):
        change = changes.of(metric.name, data)
        if change is None:
            continue
        before, after = change.before.value, change.after.value
        moved = (after - before) / abs(before) if before else 0.0
        what = "no change" if abs(moved) < 0.0005 else f"{'+' if moved > 0 else '−'}{abs(moved):.1%}"
        parts.append(f"on the {data} held-out data {metric.title} went from {before:.3g} to {after:.3g} ({what})")
    if not parts:
        return ""
    sentence = "; ".join(parts)
    forgotten = changes.of(metric.name, "old")
    if forgotten is not None and metric.better != "none":
        worse = forgotten.after.value > forgotten.before.value if metric.better == "lower" else forgotten.after.value < forgotten.before.value  # fmt: skip
        sentence += ": some of the old was forgotten" if worse else ": no forgetting of the old is seen"
    return sentence[0].upper() + sentence[1:] + "."
