"""What a look at a picture tells of its damage: noise, the grid of JPEG blocks, blur. For a request that does not say what to mend.

Shapes: H W pixels. luma in 0..255.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Luma = NDArray[np.floating]

_LOOKED_AT = 1024
"""Rows and columns of a larger picture's middle."""
_NOISE, _BLOCKS, _BLUR = 3.0, 1.6, 0.6
"""From which on noise (of 255), blocks (see `blockiness`) and blur (0 to 1) are told."""
_LEAST = 24
"""A picture with a shorter side tells nothing."""


def luma_of(picture: Image.Image) -> Luma:
    """The middle of a picture, laid on white."""
    layer = picture.convert("RGBA")
    left, top = (max(0, (side - _LOOKED_AT) // 2) for side in layer.size)
    layer = layer.crop((left, top, min(left + _LOOKED_AT, layer.width), min(top + _LOOKED_AT, layer.height)))
    ground = Image.new("RGBA", layer.size, "white")
    return np.asarray(Image.alpha_composite(ground, layer).convert("L"), np.float64)


def noise(luma_HW: Luma) -> float:
    """The deviation of noise in 8-bit steps, by the median size of what a Laplacian of Laplacians leaves (Immerkaer 1996, with the
    median for the mean, so that edges do not count)."""
    rows = luma_HW[:-2] - 2 * luma_HW[1:-1] + luma_HW[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.median(np.abs(both)) / 0.6745 / 6)


def blockiness(luma_HW: Luma) -> float:
    """How much larger the jumps across the lines of an 8 x 8 grid are than those between them, at the grid's likeliest place against the next
    likely; 1: no grid. The geometric mean of both ways, since a grid runs both."""
    return math.sqrt(_grid(luma_HW) * _grid(luma_HW.T))


def _grid(luma_HW: Luma) -> float:
    steps = np.abs(np.diff(luma_HW, axis=1))
    jumps_W = (steps[:, 1:-1] - (steps[:, :-2] + steps[:, 2:]) / 2).clip(0).mean(0) + 1e-3
    by_place = np.array([jumps_W[place::8].mean() for place in range(8)])
    best = int(by_place.argmax())
    return float(by_place[best] / np.delete(by_place, best).max())


def blur(luma_HW: Luma) -> float:
    """How little of the differences between neighbours a blur of nine pixels takes away, 0 (all: sharp) to 1 (none: blurred), the larger of
    two ways (Crete and others 2007)."""
    return max(_blur(luma_HW), _blur(luma_HW.T))


def _blur(luma_HW: Luma) -> float:
    sums = np.cumsum(np.pad(luma_HW, ((5, 4), (0, 0)), mode="edge"), axis=0)
    smooth = (sums[9:] - sums[:-9]) / 9
    own, smoothed = np.abs(np.diff(luma_HW, axis=0)), np.abs(np.diff(smooth, axis=0))
    whole = own.sum()
    return float(1 - np.maximum(own - smoothed, 0).sum() / whole) if whole > 0 else 0.0


def told(picture: Image.Image) -> tuple[list[str], list[str]]:
    """What is seen of a picture's damage, as phrases, and the values of `fix` that would mend it; at most two."""
    luma_HW = luma_of(picture)
    if min(luma_HW.shape) < _LEAST:
        return [], []
    found: list[tuple[str, str]] = []
    deviation, blocks, soft = noise(luma_HW), blockiness(luma_HW), blur(luma_HW)
    if deviation > _NOISE:
        found.append((f"noise of about {deviation:.0f} in 255", "noise"))
    if blocks > _BLOCKS:
        found.append(("the blocks of a JPEG", "jpeg"))
    if soft > _BLUR and deviation <= _NOISE:
        found.append(("little that is sharp", "blur"))
    return [phrase for phrase, _ in found], [kind for _, kind in found][:2]
