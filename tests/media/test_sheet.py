"""Pictures side by side with their words."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from genwright.media.sheet import sheet


def test_every_picture_stands_above_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    colours = ("red", "blue", "green", "gray")
    made = sheet(
        [
            (Image.new("RGB", (32, 32), colour), words)
            for colour, words in zip(colours, ("", "Müller", "", ""), strict=True)
        ]
    )
    pixels = np.asarray(made)
    assert (
        made.width == 2 * 128 + 3 * 8
        and made.getpixel((10, 10)) == (255, 0, 0)
        and made.getpixel((150, 10)) == (0, 0, 255)
    )
    below = pixels[8 + 128 : 8 + 128 + 20]
    assert (below[:, 140:] < 128).any() and (below[:, :136] == 255).all()
    assert capsys.readouterr().err == ""
    sheet([(Image.new("RGB", (32, 32)), "红心")])
    assert "no letters for 红心" in capsys.readouterr().err
