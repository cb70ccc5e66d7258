"""Settings and request of the task `repair`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from genwright.about import About, Least, Survey, Verdict
from genwright.console import count
from genwright.request import POSITIONAL, Blob, of_medium
from genwright.settings import Section
from genwright.tasks.image import options
from genwright.tasks.image.options import SIZES, Side

_LEAST = 50
MOST_CROPS, PIXELS_A_CROP = 200, 16
"""Of a picture, by default: one for each square of four sides by four sides, at most this many."""
COUNTED = 10
"""Pieces of one picture that count towards what a model needs to learn from; more of it say little that is new."""


def crops_of(width: int, height: int, size: int, asked: int | None) -> int:
    """How many pieces are cut from a picture."""
    if min(width, height) <= size:
        return 0
    return min(width * height // (PIXELS_A_CROP * size**2), MOST_CROPS) if asked is None else asked


def _verdict(survey: Survey) -> Verdict:
    pictures, side = survey.pictures, min(survey.median_width, survey.median_height)
    if not pictures:
        return Verdict(0, False, "no pictures")
    size = 64 if side >= 4 * 64 else max([size for size in SIZES[:2] if size <= side] or [SIZES[0]])
    pieces = 1 + crops_of(survey.median_width, survey.median_height, size, None)
    enough = pictures * min(pieces, COUNTED) >= _LEAST
    text = f"{count(pictures, 'picture')}: " + (
        f"enough for repair at {size} pixels, of which larger pictures are put together"
        if enough
        else f"too few to learn from; about {-(-_LEAST // min(pieces, COUNTED))} of this size are the least"
    )
    if pieces > 1:
        text += f"; some {pieces:,} pieces are cut from each"
    return Verdict(pictures, enough, text, settings={"size": size})


ABOUT = About(
    medium="image",
    families=("flow",),
    example={"picture": "broken.png", "fix": ["noise"]},
    use='made.save("whole.png")',
    pipeline="image-to-image",
    limits="Mends pictures of the kind that it learned from: missing parts, noise, blur, JPEG blocks, low resolution. What it puts in the "
    "place of a missing part is made up: it may look likely and is no evidence of what was there.",
    verdict=_verdict,
    when_asked=True,
    least=Least("pictures, or pieces of them,", _LEAST),
)


class Prepare(options.Prepare):
    fit: Literal["auto", "crop", "pad"] = Field(
        "auto",
        description="How a whole picture becomes square: `crop` its middle, `pad` it with its border's colour; `auto` pads drawings on a plain "
        "ground.",
    )
    crops: int | None = Field(
        None,
        ge=0,
        le=10_000,
        description="How many pieces of a picture are learned from beside the whole, cut at random at scales from 1 down to an eighth; default: "
        f"by its pixels, none of a small one and at most {MOST_CROPS}. 0: whole pictures only.",
    )


class Model(Section):
    size: Side = Field(
        32, description="Side of what the network sees at once, in pixels: a power of two from 16 to 256."
    )
    from_noise: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of the examples that are learned at time 0, where all is noise: what the answer `mean` is made of.",
    )


_BOX = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*")


class Request(Section):
    picture: Annotated[Blob, of_medium("image")] = Field(
        description="The picture to mend.", json_schema_extra=POSITIONAL
    )
    mask: Annotated[Blob, of_medium("image")] | None = Field(
        None,
        description="A picture of the same size, white where something is missing: those pixels are filled, all others stay as they are. "
        "Without it the transparent pixels are filled, where nothing else is asked for. With `fix`: what is to be mended.",
    )
    box: str = Field("", description="The same as a box: x,y,width,height in pixels from the upper left corner.")
    fix: list[Literal["noise", "blur", "jpeg"]] = Field(
        [], description="What to mend; may be given twice.", max_length=2
    )
    scale: Literal[1, 2, 4] = Field(1, description="Times as wide and as high as the picture is; 1: as large as it is.")
    answer: Literal["auto", "mean", "sample"] = Field(
        "auto",
        description="`mean`: the middle of all that it could have been, nearest to the truth and soft where much is missing; `sample`: one of "
        "them, which looks real; `auto`: `sample` where something is missing, else `mean`.",
    )
    n: int = Field(1, ge=1, le=1024, description="How many pictures; more than one needs `sample`.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed, same pictures.")
    steps: int = Field(
        8, ge=1, le=256, description="Steps from noise to picture of a `sample`: more are slower and finer."
    )
    solver: Literal["leap", "euler"] = Field(
        "leap",
        description="`leap`: by steps of the length that was learned; `euler`: along the direction at each step's beginning.",
    )
    guidance: float = Field(
        1.0,
        ge=0,
        le=20,
        description="How much more than learned counts what is to be mended; 1: as learned, half the work.",
    )
    strength: float = Field(
        1.0,
        gt=0,
        le=1,
        description="How much of `fix` and `scale` is laid over the picture: 0.5 is half way from what it was.",
    )

    @field_validator("box")
    @classmethod
    def _is_a_box(cls, value: str) -> str:
        if value and not _BOX.fullmatch(value):
            raise ValueError("write it as x,y,width,height in whole pixels, as in 40,60,200,100")
        return value

    @field_validator("scale", mode="before")
    @classmethod
    def _is_a_number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @model_validator(mode="after")
    def _goes_together(self) -> Request:
        if len(set(self.fix)) + (self.scale > 1) > 2 or len(set(self.fix)) < len(self.fix):
            raise ValueError(
                "`fix` and `scale` name at most two different things to mend at once; mend the rest afterwards"
            )
        if self.mask is not None and self.box:
            raise ValueError("give either `mask` or `box`, not both")
        if self.scale > 1 and (self.mask is not None or self.box):
            raise ValueError(
                "`scale` is for the whole picture; fill its `mask` or `box` first, and scale what comes of it"
            )
        return self

    @property
    def corners(self) -> tuple[int, int, int, int]:
        """Left, top, width and height of the box."""
        found = _BOX.fullmatch(self.box)
        assert found
        left, top, width, height = map(int, found.groups())
        return left, top, width, height
