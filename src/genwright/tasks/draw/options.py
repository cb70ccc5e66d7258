"""Settings and request of the task `draw`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from genwright.request import POSITIONAL
from genwright.settings import Section

MEDIUM = "image"
FAMILIES = ("gan", "vae")
EXAMPLE = '"a red heart" -n 16 --out pictures'
"""What to type after `genwright generate RUN`, shown at the end of a run."""
SIZES = (16, 32, 64, 128, 256)


class Prepare(Section):
    background: str = Field("white", description="Colour that transparent pictures are laid on: a name or #rrggbb.")
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

    @field_validator("background")
    @classmethod
    def _is_a_colour(cls, value: str) -> str:
        from PIL import ImageColor

        try:
            ImageColor.getrgb(value)
        except ValueError as error:
            raise ValueError(f"{value!r} is no colour; write a name such as white, or #rrggbb") from error
        return value


class Model(Section):
    size: int = Field(32, description="Side of the pictures in pixels: a power of two from 16 to 256.")
    condition: Literal["auto", "text", "label", "none"] = Field(
        "auto", description="What pictures are drawn from: `text`, `label`, `none`; `auto` takes what the data has."
    )

    @field_validator("size")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value not in SIZES:
            raise ValueError(f"must be one of {', '.join(map(str, SIZES))}")
        return value


class Request(Section):
    prompt: str = Field("", description="What to draw, in words like those of the data.", json_schema_extra=POSITIONAL)
    n: int = Field(1, ge=1, le=1024, description="How many pictures.")
    seed: int = Field(0, ge=0, description="Same seed, same pictures.")
