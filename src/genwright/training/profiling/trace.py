"""What torch's profiler recorded, read from the Chrome trace that it writes: a form that other programs know and that does not change."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WINDOW = "genwright: steps"
OPTIMIZER = "genwright: optimizer"
DATA = "genwright: data"
"""Marks in a trace (`torch.profiler.record_function`): all that was measured, the optimizer's part of it, waiting for examples."""
OPTIMIZERS = (OPTIMIZER, "Optimizer.step#")
"""What a mark of an optimizer begins with: ours, torch's own."""


@dataclass(frozen=True)
class Event:
    """One bar of a trace. Times in microseconds; `category` is Kineto's: cpu_op, kernel, gpu_memcpy, gpu_memset, user_annotation,
    gpu_user_annotation."""

    name: str
    category: str
    start: float
    duration: float
    thread: Any = 0
    about: dict[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> float:
        return self.start + self.duration


def read(file: Path) -> list[Event]:
    with gzip.open(file, "rt", encoding="utf-8") as text:
        bars = json.load(text)["traceEvents"]
    return [
        Event(bar["name"], bar["cat"], bar["ts"], bar["dur"], bar["tid"], bar.get("args", {}))
        for bar in bars
        if bar.get("ph") == "X" and "cat" in bar
    ]
