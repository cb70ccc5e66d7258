"""A metric from outside the package: how dark pictures are."""

from __future__ import annotations

from typing import Literal

import numpy as np


class Ink:
    name = "ink"
    title = "Ink"
    medium = "image"
    better: Literal["lower", "higher", "none"] = "none"
    description = "Mean darkness, 0 for white and 1 for black."

    def __call__(self, generated: np.ndarray, reference: np.ndarray) -> float:
        """`generated` and `reference` are uint8[N, H, W, 3]."""
        return float(1 - generated.mean() / 255)
