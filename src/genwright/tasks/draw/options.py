"""Settings and request of the task `draw`: torch-free, so that recipes and help are quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator

from genwright.about import About, Least, Survey, Verdict
from genwright.console import count as number
from genwright.families.codec.options import Settings as CodecSettings
from genwright.request import GOES_WITH, POSITIONAL, Blob, of_medium
from genwright.settings import UNSAID, MainSection, PartSection, Section
from genwright.tasks.image.options import SIZES, Side
from genwright.tasks.image.options import Prepare as Prepare

_PICTURES_FOR_SIZE = {16: 50, 32: 200, 64: 1_000, 128: 10_000, 256: 50_000}
"""How many pictures a generator of this size wants, so that it learns more than its examples by heart."""
_FROM_RUN = 10
"""How many pictures are enough for a model that can draw others."""


def _verdict(survey: Survey) -> Verdict:
    count, least = survey.pictures, _PICTURES_FOR_SIZE[SIZES[0]]
    unlabelled = len(survey.without_label("image"))
    count -= unlabelled
    if named := sum(table.rows for table in survey.tables if table.path is not None):
        count = min(count, named)  # pictures that no table names would be left out
    if not count:
        return Verdict(0, False, "no pictures")
    side = min(survey.median_width, survey.median_height)
    by_pixels = max([size for size in SIZES if size <= side] or [SIZES[0]])
    by_count = max([size for size, wanted in _PICTURES_FOR_SIZE.items() if count >= wanted] or [SIZES[0]])
    size = min(by_pixels, by_count)
    next_size = next((s for s in SIZES if s > size), None)
    if count < least:
        text = f"too few to learn from: a model would know these by heart and nothing else; about {least} are the least"
    else:
        text = f"enough for draw at {size} pixels"
        if next_size and by_count < next_size:
            text += f"; too few for {next_size} pixels (about {_PICTURES_FOR_SIZE[next_size]:,})"
        elif next_size and by_pixels < next_size:
            text += f"; too small for {next_size} pixels (the middle one has {side})"
    text = f"{number(count, 'picture')}: {text}"
    if unlabelled:
        text += f"; {unlabelled:,} more lie in no folder that could be their label, and are left out"
    return Verdict(count, count >= least, text, settings={"size": size})


def _larger(model: Any, count: int) -> str:
    if model.from_ is not None:
        return ""
    size = max([size for size, wanted in _PICTURES_FOR_SIZE.items() if count >= wanted] or [SIZES[0]])
    if model.size <= size:
        return ""
    return (
        f"{model.size} pixels want about {_PICTURES_FOR_SIZE[model.size]:,} pictures, so the model will mostly know these {count:,} by "
        f"heart; `model.size: {size}` suits them."
    )


ABOUT = About(
    medium="image",
    families=("flow", "gan", "vae", "transformer"),
    called={"transformer": "codes"},
    model=lambda family: ModelOfCodes if family == "transformer" else Model,
    example={"n": 16},
    use='made.save(f"{made.index}.png")',
    pipeline="text-to-image",
    limits="Small pictures in the manner of the pictures it learned from. It knows the words of their captions and no others, draws no "
    "legible text and no faces of real people that were not in its data, and should not be taken to show anything that exists.",
    verdict=_verdict,
    least=Least("pictures", _PICTURES_FOR_SIZE[SIZES[0]], _FROM_RUN, larger=_larger, weights="model: {from: RUN}"),
    traceable=True,
)


class Lora(Section):
    """Low-rank adaptation (arXiv:2106.09685): W + (alpha / rank) B A, only A and B are trained."""

    rank: int = Field(8, ge=1, description="Rank of the change that each matrix may learn.")
    alpha: float | None = Field(None, gt=0, description="Scale of the change; default: twice the rank.")


class Model(Section):
    from_: str | None = Field(
        None,
        alias="from",
        description="A run or model folder of `draw` to go on from with other pictures, of which ten or twenty are enough; size, network and "
        "words are its own.",
        json_schema_extra={UNSAID: True},
    )
    lora: Lora | None = Field(
        None,
        description="Train a low-rank change of the model gone on from instead of all its weights; `{}` takes defaults.",
        json_schema_extra={UNSAID: True},
    )
    size: Side = Field(32, description="Side of the pictures in pixels: a power of two from 16 to 256.")
    condition: Literal["auto", "text", "label", "none"] = Field(
        "auto", description="What pictures are drawn from: `text`, `label`, `none`; `auto` takes what the data has."
    )

    def relative_to(self, folder: Path) -> Self:
        placed = super().relative_to(folder)
        if placed.from_ is None:
            return placed
        return placed.model_copy(update={"from_": str(folder.absolute() / Path(placed.from_).expanduser())})


class Codec(PartSection, CodecSettings):
    """The part that turns pictures into codes and back."""


class Prior(MainSection):
    """The part that learns which codes follow on a caption and on one another; the settings of the family are added to it."""

    @field_validator("from_")
    @classmethod
    def _goes_with_its_codec(cls, value: str | None) -> str | None:
        if value is not None:
            raise ValueError(
                "knows the codes of its own codec alone; take that one, `model.codec.from`, and leave this out"
            )
        return value


class ModelOfCodes(Model):
    """For `family: transformer`: two parts, trained one after the other."""

    codec: Codec = Field(default_factory=lambda: Codec.model_validate({}), description="Pictures to codes and back.")
    prior: Prior = Field(
        default_factory=lambda: Prior.model_validate({}), description="Which codes follow on words and on one another."
    )


class Request(Section):
    prompt: str = Field("", description="What to draw, in words like those of the data.", json_schema_extra=POSITIONAL)
    n: int = Field(1, ge=1, le=1024, description="How many pictures.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed, same pictures.")
    negative: str = Field(
        "",
        description="What to lead away from, in words like those of the data.",
        json_schema_extra={GOES_WITH: "guidance"},
    )
    init: Annotated[Blob, of_medium("image")] | None = Field(
        None,
        description="A picture to start from, of which `strength` may change.",
        json_schema_extra={GOES_WITH: "strength"},
    )
