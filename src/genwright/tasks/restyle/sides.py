"""What `restyle` learns from where it has to see both hands at once and has no pairs: a picture of each, drawn apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from genwright.families.base import Batch
from genwright.shards import ExampleStore, Selection
from genwright.tasks.base import BaseTask, ShuffledBatches


def sides(store: ExampleStore) -> tuple[ExampleStore, ExampleStore]:
    """The examples of the first hand and those of the second, of two sets."""
    style_N = np.array([int(store[row]["style"][0]) for row in range(len(store))], np.int64)
    return Selection(store, style_N == 0), Selection(store, style_N == 1)


class TwoSides:
    """Passes over two sets side by side, each in orders of its own: an example is {"image": one of b, "source": one of a, ...}, which have
    nothing to do with each other."""

    def __init__(self, task: BaseTask, store: ExampleStore, seed: int, part: str, augment: bool):
        self._task = task
        self._sides = [
            ShuffledBatches(task, side, seed, f"{part} {name}", augment)
            for name, side in zip("ab", sides(store), strict=True)
        ]
        self.pass_examples = max(side.pass_examples for side in self._sides)

    def batch(self, position: int, size: int) -> Batch:
        return self.stack(self.examples(position, size))

    def examples(self, position: int, size: int) -> list[dict[str, Any]]:
        of_a, of_b = (side.examples(position, size) for side in self._sides)
        return [{**b, "source": a["image"]} for a, b in zip(of_a, of_b, strict=True)]

    def stack(self, examples: list[dict[str, Any]]) -> Batch:
        return self._task.collate(examples)
