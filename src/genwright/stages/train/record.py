"""What the train stage wrote down of a training, for the pages that show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Training:
    """What the train stage recorded. None stands for what it did not say."""

    parameters: int | None = None
    seconds: float | None = None
    flops: float | None = None
    steps: int | None = None
    examples: int | None = None
    best_step: int | None = None
    title: str = ""


def read_training(summary: dict[str, Any]) -> Training:
    """Read the summary of the train stage."""
    return Training(
        parameters=summary.get("parameters"),
        seconds=summary.get("seconds"),
        flops=summary.get("flops"),
        steps=summary.get("steps"),
        examples=summary.get("examples"),
        best_step=summary.get("best_step"),
        title=str(summary.get("title", "")),
    )
