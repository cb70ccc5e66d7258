"""What is wrong with a picture, made on the fly: missing parts, noise, blur, JPEG blocks, low resolution, alone and two together.

A network is told what to mend: `condition` holds two ids, 0 for nothing, and where parts are missing it sees that itself.

Shapes: S side of a picture, N pictures. images 8 bits.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from torch import Tensor

from genwright.shards import Example
from genwright.tasks.image.pixels import to_network
from genwright.tasks.repair import masks

Picture = NDArray[np.uint8]
Random = np.random.Generator

KINDS = ("nothing", "noise", "blur", "jpeg", "scale")
"""What can be told to be mended, by its id."""
TOLD = 2
"""How many of them at once."""
CHANNELS = 4
"""Of what is seen beside: the damaged picture, 0 where it is not known, and 1 where it is."""
_IN_ORDER = ("scale", "blur", "noise", "jpeg")
"""As a picture meets them: lens and sensor first, the file last."""
_HOLES, _ONE, _TWO = 0.45, 0.4, 0.1
"""Shares of the examples with missing parts alone, and with one or two of the others; the rest has parts missing and one of the others."""


def noisy(image: Picture, deviation: float, rng: Random, grey: bool = False) -> Picture:
    """Normal noise of a deviation in 8-bit steps, one for all channels if `grey`."""
    shape = (*image.shape[:2], 1) if grey else image.shape
    return np.clip(image + deviation * rng.standard_normal(shape), 0, 255).round().astype(np.uint8)


def blurred(image: Picture, deviation: float) -> Picture:
    """Gaussian blur of a deviation in pixels."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(deviation)))


def compressed(image: Picture, quality: int, corner: tuple[int, int] = (0, 0), sampling: int = 2) -> Picture:
    """Through a JPEG and back; its blocks begin so many rows and columns before the picture. `sampling`: 2 halves the colours' sides."""
    top, left = corner
    padded = np.pad(image, ((top, 0), (left, 0), (0, 0)), mode="edge")
    file = io.BytesIO()
    Image.fromarray(padded).save(file, "JPEG", quality=quality, subsampling=sampling)
    return np.asarray(Image.open(file))[top:, left:]


def shrunk(image: Picture, factor: int, filtered: Image.Resampling = Image.Resampling.BOX) -> Picture:
    """Made smaller by a factor, and as large as before again (bicubic)."""
    height, width = image.shape[:2]
    picture = Image.fromarray(image)
    small = picture.resize((max(1, width // factor), max(1, height // factor)), filtered)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def _at_random(kind: str, image: Picture, rng: Random) -> Picture:
    strength, other, corner = rng.random(), rng.random(), rng.integers(0, 8, 2)
    if kind == "noise":
        return noisy(image, 3 * 25**strength, rng, grey=other < 0.2)
    if kind == "blur":
        return blurred(image, 0.5 * 6**strength)
    if kind == "jpeg":
        return compressed(image, round(5 * 16**strength), (int(corner[0]), int(corner[1])), 2 if other < 0.7 else 0)
    filtered = Image.Resampling.BOX if other < 0.5 else Image.Resampling.BICUBIC
    return shrunk(image, 2 if strength < 0.6 else 4, filtered)


def told(*kinds: str) -> np.ndarray:
    """What a network is told to mend, int32[TOLD]."""
    ids = sorted(KINDS.index(kind) for kind in kinds)
    return np.array(ids + [0] * (TOLD - len(ids)), np.int32)


def damaged(image: Picture, known: masks.Known, *kinds: str) -> Example:
    """Fields of an example beside its `image`: what is seen of it, where it is known, what is told."""
    return {"seen": image, "known": known.astype(np.uint8), "condition": told(*kinds)}


def at_random(image: Picture, rng: Random) -> Example:
    """A picture damaged in any way, as training meets it."""
    size, which = len(image), rng.random()
    others = [str(kind) for kind in rng.permutation(KINDS[1:])]
    kinds = others[: 0 if which < _HOLES else 2 if _HOLES + _ONE <= which < _HOLES + _ONE + _TWO else 1]
    holes = which < _HOLES or which >= _HOLES + _ONE + _TWO
    known = masks.any_of_them(size, rng) if holes else np.ones((size, size), np.bool_)
    for kind in _IN_ORDER:
        if kind in kinds:
            image = _at_random(kind, image, rng)
    return damaged(image, known, *kinds)


def beside(seen_NHWC: Picture, known_NHW: NDArray[np.integer]) -> Tensor:
    """What the network sees beside the noise: float32[N, CHANNELS, H, W]."""
    known_N1HW = torch.from_numpy(np.array(known_NHW)).float()[:, None]
    return torch.cat([to_network(np.array(seen_NHWC)) * known_N1HW, known_N1HW], 1)


@dataclass(frozen=True)
class Trial:
    """A damage of one strength that held-out pictures are given for the scores; `classical` is the way of old that is meant for it."""

    name: str
    title: str
    classical: str
    apply: Callable[[Picture, Random], Example]


def _missing(mask: masks.Mask) -> Callable[[Picture, Random], Example]:
    return lambda image, rng: damaged(image, mask(len(image), rng))


def _worsened(kind: str, worsen: Callable[[Picture, Random], Picture]) -> Callable[[Picture, Random], Example]:
    return lambda image, rng: damaged(worsen(image, rng), np.ones(image.shape[:2], np.bool_), kind)


TRIALS = (
    Trial("half", "half missing", "telea", _missing(masks.half)),
    Trial("brush", "painted over", "telea", _missing(masks.brush)),
    Trial("border", "border missing", "telea", _missing(masks.border)),
    Trial("noise", "noise of 25 in 255", "nlm", _worsened("noise", lambda image, rng: noisy(image, 25, rng))),
    Trial("blur", "blur of 1.5 pixels", "identity", _worsened("blur", lambda image, rng: blurred(image, 1.5))),
    Trial("jpeg", "JPEG of quality 10", "nlm", _worsened("jpeg", lambda image, rng: compressed(image, 10))),
    Trial("scale", "half the resolution", "identity", _worsened("scale", lambda image, rng: shrunk(image, 2))),
)
