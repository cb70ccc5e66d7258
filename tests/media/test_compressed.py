"""Pictures written as WebP and JPEG: what is kept exactly, what nearly, and what made them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright.errors import RequestError
from genwright.media.base import Media, encoded, medium

RNG = np.random.default_rng(0)
ABOUT = {"prompt": "ein rotes Herz – ♥", "seed": 3}


def opened(picture: Image.Image, suffix: str) -> Image.Image:
    found = Image.open(io.BytesIO(encoded(medium("image"), picture, ABOUT, suffix)))
    found.load()
    return found


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_keeps_every_value(channels: int) -> None:
    values = RNG.integers(0, 256, (17, 23, channels), np.uint8)
    found = opened(Image.fromarray(values), ".webp")
    assert found.format == "WEBP" and np.array_equal(np.asarray(found), values)


def test_jpeg_keeps_them_nearly_and_lays_what_is_transparent_on_white() -> None:
    values = np.full((16, 16, 4), (200, 30, 30, 255), np.uint8)
    values[:, 8:, 3] = 0
    found = opened(Image.fromarray(values), ".JPG")
    assert found.format == "JPEG" and found.mode == "RGB"
    assert np.abs(np.asarray(found)[4, 2].astype(int) - (200, 30, 30)).max() < 6
    assert np.asarray(found)[4, 13].min() > 249


@pytest.mark.parametrize("suffix", [".webp", ".jpg"])
def test_what_made_it_stands_inside(suffix: str) -> None:
    made = Image.new("L", (8, 8), 90)
    made.info["icc_profile"] = b"a profile"
    found = opened(made, suffix)
    assert json.loads(found.getexif()[0x010E]) == ABOUT
    assert found.info["icc_profile"] == b"a profile"


def test_saved_it_is_what_its_name_says(tmp_path: Path) -> None:
    made = Media("image", Image.new("RGB", (8, 8), "red"), metadata=ABOUT)
    for suffix, form in ((".png", "PNG"), (".webp", "WEBP"), (".jpeg", "JPEG")):
        made.save(tmp_path / f"a{suffix}")
        with Image.open(tmp_path / f"a{suffix}") as found:
            assert found.format == form
    with pytest.raises(RequestError, match=r"no \.gif file is"):
        made.save(tmp_path / "a.gif")
