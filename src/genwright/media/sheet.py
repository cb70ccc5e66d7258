"""Pictures side by side with words below each, as one picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from genwright.console import say
from genwright.pages.page import typeface

_SIDE = 128
"""Pixels a picture is shown at, at least."""
_GAP, _LETTERS, _LINES, _MOST_LINES = 8, 13, 16, 3
"""Pixels between pictures, of the letters and of a line; lines of words below a picture."""
_UNKNOWN = "\uffff"
"""A letter that no font has."""


def sheet(made: Sequence[tuple[Image.Image, str]], columns: int | None = None) -> Image.Image:
    """Equally large pictures row by row on white, small ones enlarged by whole pixels. Says which letters it can't write."""
    pictures = [_enlarged(picture) for picture, _ in made]
    width, height = max(p.width for p in pictures), max(p.height for p in pictures)
    font = _font()
    words = [_wrapped(text, width) for _, text in made]
    below = _LINES * max(map(len, words)) + _GAP // 2
    columns = min(columns or max(1, round(len(made) ** 0.5)), len(made))
    rows = -(-len(made) // columns)
    whole = Image.new("RGB", (columns * (width + _GAP) + _GAP, rows * (height + below + _GAP) + _GAP), "white")
    draw = ImageDraw.Draw(whole)
    for index, (picture, lines) in enumerate(zip(pictures, words, strict=True)):
        left, top = _GAP + index % columns * (width + _GAP), _GAP + index // columns * (height + below + _GAP)
        whole.paste(picture, (left, top))
        for number, line in enumerate(lines):
            draw.text((left, top + height + _GAP // 2 + number * _LINES), line, "black", font)
    _tell_unknown(font, "".join(text for _, text in made))
    return whole


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.truetype(io.BytesIO(typeface()), _LETTERS)
    except OSError:  # a FreeType that reads no WOFF2
        return ImageFont.load_default(_LETTERS)


def _enlarged(picture: Image.Image) -> Image.Image:
    scale = max(1, -(-_SIDE // max(picture.size)))
    return picture.convert("RGB").resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)


def _wrapped(text: str, width: int) -> list[str]:
    letters = max(width * 2 // _LETTERS, 8)
    return textwrap.wrap(text, letters, max_lines=_MOST_LINES, placeholder=" ...")


def _tell_unknown(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, text: str) -> None:
    def drawn(letter: str) -> bytes:
        mask: Any = font.getmask(letter)
        return bytes(mask)

    nothing = drawn(_UNKNOWN)
    unknown = [letter for letter in dict.fromkeys(text) if letter.strip() and drawn(letter) == nothing]
    if unknown:
        say(f"The sheet's font has no letters for {''.join(unknown[:20])}; the names of the files have them.")
