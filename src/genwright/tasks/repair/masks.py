"""Which parts of a picture are missing: what is painted over, cut out, halved, or lies beyond its border.

Each gives bool[S, S], True where the picture is known.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Known = NDArray[np.bool_]
Mask = Callable[[int, np.random.Generator], Known]


def brush(size: int, rng: np.random.Generator) -> Known:
    """Strokes of a thick brush that turn at random (the free-form masks of arXiv:1806.03589)."""
    canvas = Image.new("1", (size, size), 1)
    pen = ImageDraw.Draw(canvas)
    for _ in range(rng.integers(1, 4)):
        at, angle, width = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi), int(rng.uniform(0.06, 0.2) * size) + 1
        for _ in range(rng.integers(2, 6)):
            angle += rng.uniform(-1.2, 1.2)
            to = at + rng.uniform(0.15, 0.4) * size * np.array([np.cos(angle), np.sin(angle)])
            pen.line([*at, *to], fill=0, width=width)
            pen.ellipse([*(to - width / 2), *(to + width / 2)], fill=0)
            at = to
    return np.array(canvas)


def box(size: int, rng: np.random.Generator) -> Known:
    """A box of a fifth to two thirds of each side."""
    height, width = (int(rng.uniform(0.2, 0.67) * size) for _ in range(2))
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    known = np.ones((size, size), np.bool_)
    known[top : top + height, left : left + width] = False
    return known


def half(size: int, rng: np.random.Generator) -> Known:
    """One of the four halves."""
    known = np.ones((size, size), np.bool_)
    known[: size // 2] = False
    return np.rot90(known, int(rng.integers(4))).copy()


def border(size: int, rng: np.random.Generator) -> Known:
    """All but a window of half to four fifths of each side: to paint on beyond a picture's border."""
    height, width = (int(rng.uniform(0.5, 0.8) * size) for _ in range(2))
    top, left = rng.integers(0, size - height + 1), rng.integers(0, size - width + 1)
    known = np.zeros((size, size), np.bool_)
    known[top : top + height, left : left + width] = True
    return known


def whole(size: int, rng: np.random.Generator) -> Known:
    """Nothing is known: a picture is made up."""
    return np.zeros((size, size), np.bool_)


_OFTEN: dict[Mask, float] = {brush: 0.35, box: 0.2, half: 0.2, border: 0.15, whole: 0.1}


def any_of_them(size: int, rng: np.random.Generator) -> Known:
    chosen = rng.choice(len(_OFTEN), p=list(_OFTEN.values()))
    return list(_OFTEN)[chosen](size, rng)
