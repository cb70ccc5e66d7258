"""Settings and request of the task `mosaic`: a section for each of its two parts."""

from __future__ import annotations

import codec_options
from pydantic import Field

from genwright.about import About
from genwright.settings import MainSection, PartSection, Section

ABOUT = About(
    medium="image",
    families=("code_prior",),
    example={"n": 10},
    use='made.data.save(f"{made.index}.png")',
    pipeline="unconditional-image-generation",
)


class Prepare(Section):
    background: str = Field("white", description="Colour that transparent pictures are laid on.")
    workers: int | None = Field(None, ge=1, description="Processes that encode; default: one a core.")


class Codec(PartSection, codec_options.Settings):
    """The part that turns pictures into codes and back; it is always of the family `codec`."""


class Prior(MainSection):
    """The part that new pictures are asked of; the settings of `model.family` are added to it."""


class Model(Section):
    size: int = Field(16, ge=8, multiple_of=8, description="Side of the pictures in pixels.")
    codec: Codec = Field(default_factory=lambda: Codec.model_validate({}), description="Pictures to codes and back.")
    prior: Prior = Field(default_factory=lambda: Prior.model_validate({}), description="Which codes follow on which.")


class Request(Section):
    n: int = Field(1, ge=1, description="How many pictures.")
    seed: int = Field(0, ge=0, lt=2**63, description="Same seed, same pictures.")
