"""Kinds of settings that the picture tasks have in common. Torch-free."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

SIZES = (16, 32, 64, 128, 256)


def _is_a_side(value: int) -> int:
    if value not in SIZES:
        raise ValueError(f"must be one of {', '.join(map(str, SIZES))}")
    return value


def _is_a_colour(value: str) -> str:
    from PIL import ImageColor

    try:
        ImageColor.getrgb(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no colour; write a name such as white, or #rrggbb") from error
    return value


Side = Annotated[int, AfterValidator(_is_a_side)]
"""The side of a network's pictures in pixels."""
Colour = Annotated[str, AfterValidator(_is_a_colour)]
