"""Settings and request of the task `draw`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from pydantic import Field

from genwright.recipe import Section

MEDIUM = "image"
FAMILIES = ("gan", "vae")
EXAMPLE = '"a red heart" -n 16 --out pictures'
"""What to type after `genwright generate RUN`, shown at the end of a run."""


class Prepare(Section):
    background: str = Field("white", description="Colour that transparent pictures are laid on: a name or #rrggbb.")
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


class Model(Section):
    size: int = Field(32, description="Side of the pictures in pixels: a power of two from 16 to 256.")
    condition: str = Field(
        "auto", description="What pictures are drawn from: `text`, `label`, `none`; `auto` takes what the data has."
    )


class Request(Section):
    prompt: str = Field("", description="What to draw, in words like those of the data.")
    n: int = Field(1, ge=1, le=1024, description="How many pictures.")
    seed: int = Field(0, description="Same seed, same pictures.")
