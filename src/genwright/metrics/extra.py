"""Metrics registered from outside (`registry.METRICS`): every one for a medium appears in that medium's score sheets.

An entry loads to an object like `RegisteredMetric`, or to a class of such objects that takes no arguments. A task ends its
`score` with one call,

    extra.extend(sheet, "text", {"model": texts, "real": held_out_texts}, reference=training_texts)

where the samples stand by the names of the sheet's rows: for text lists of strings, for pictures uint8 arrays [N, H, W, 3].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Protocol

from genwright.console import say
from genwright.errors import RequestError
from genwright.registry import METRICS
from genwright.scores import Metric, Score, ScoreSheet


class RegisteredMetric(Protocol):
    """A metric from outside; `description` and `unit` (str) are shown where it has them."""

    name: str
    title: str
    medium: str
    better: Literal["lower", "higher", "none"]

    def __call__(self, generated: Any, reference: Any) -> float:
        """The score of a row's samples, given the reference samples."""
        ...


def registered(medium: str) -> list[RegisteredMetric]:
    """The metrics registered for a medium, by name. Raises RequestError naming an entry that is not one."""
    found = []
    for name in METRICS:
        loaded = METRICS[name].load()
        metric = loaded() if isinstance(loaded, type) else loaded
        lacking = [field for field in ("name", "title", "medium", "better", "__call__") if not hasattr(metric, field)]
        if lacking:
            raise RequestError(f"The metric {name!r} has no {' and no '.join(lacking)}; see docs/adding.md.")
        if metric.medium == medium:
            found.append(metric)
    return found


def extend(sheet: ScoreSheet, medium: str, samples: Mapping[str, Any], reference: Any) -> None:
    """Add a column for each registered metric of the medium. One that fails on a row costs that number, never the run."""
    for metric in registered(medium):
        title, unit = metric.title, getattr(metric, "unit", "")
        description = getattr(metric, "description", "")
        sheet.metrics.append(
            Metric(name=metric.name, title=title, better=metric.better, unit=unit, description=description)
        )
        for row in sheet.rows:
            if row.name not in samples:
                continue
            try:
                value = float(metric(samples[row.name], reference))
            except Exception as error:  # another package's code
                say(f"The metric {metric.name!r} failed on the row {row.name!r} and is left out there: {error}")
                continue
            if math.isfinite(value):
                row.scores[metric.name] = Score(value=value, n=len(samples[row.name]))
