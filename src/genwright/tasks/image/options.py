"""Kinds of settings that the picture tasks have in common. Torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from genwright.settings import Section

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


class Prepare(Section):
    """How pictures are read: what every picture task has in its recipe's `prepare`."""

    background: Colour = Field("white", description="Colour that transparent pictures are laid on: a name or #rrggbb.")
    fit: Literal["auto", "crop", "pad"] = Field(
        "auto",
        description="How a picture becomes square: `crop` its middle, `pad` it with its border's colour; `auto` pads drawings on a plain ground.",
    )
    min_pixels: int = Field(8, ge=1, description="Pictures with a shorter side are dropped as too_small.")
    max_pixels: int = Field(
        50_000_000,
        ge=1,
        description="Pictures with more pixels in all are dropped as too_large, before they are decoded.",
    )
    flip: bool = Field(
        False, description="Also learn from mirrored pictures; turn it on where left and right mean nothing."
    )
    workers: int | None = Field(None, ge=1, description="Processes that encode; default: one a core.")
