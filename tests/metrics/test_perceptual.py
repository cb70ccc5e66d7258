"""The perceptual distance: 0 for the same, larger for what looks more unlike, whichever comes first, in any company."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from genwright.metrics import features, perceptual
from helpers import ASSETS


def emoji(name: str, side: int = 32) -> Image.Image:
    picture = Image.open(ASSETS / "pictures" / name).convert("RGBA")
    sheet = Image.new("RGBA", picture.size, "white")
    sheet.alpha_composite(picture)
    return sheet.convert("RGB").resize((side, side), Image.Resampling.LANCZOS)


def test_the_more_unlike_the_farther():
    apple, other = emoji("1f34e.png"), emoji("1f435.png")
    shown = [apple, apple.filter(ImageFilter.GaussianBlur(0.7)), apple.filter(ImageFilter.GaussianBlur(2)), other]
    images = np.stack([np.asarray(one) for one in shown])
    found = perceptual.distances(np.repeat(images[:1], 4, axis=0), images)
    assert found[0] == 0 and list(found) == sorted(found) and found[1] > 0.01 and found[3] > 1.3 * found[2]
    assert perceptual.distances(images, np.repeat(images[:1], 4, axis=0)) == pytest.approx(found, rel=1e-4)
    assert perceptual.distances(images[3:], images[:1])[0] == pytest.approx(found[3], rel=1e-4)


def test_each_resolution_is_looked_at_once():
    maps = features.network("cpu").maps(features.prepare(np.zeros((1, 32, 32, 3), np.uint8)))
    assert [found.shape[-1] for found in maps] == [64, 32, 16, 8, 4]
