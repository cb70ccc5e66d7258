"""Settings, controls and opening of the family `flow`: torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""Tasks that it can do beside those that name it."""


class Settings(Section):
    network: Literal["unet", "transformer"] = Field(
        "unet",
        description="`unet`: convolutions, with attention where the map is small; `transformer`: attention over patches, in the layout of "
        "diffusers' PRXTransformer2DModel.",
    )
    width: int | None = Field(
        None,
        ge=16,
        description="Channels at the highest resolution, a multiple of 8 (unet), or of every patch, a multiple of 32 (transformer); default: "
        "chosen by budget, data and device.",
    )
    time_mean: float = Field(
        0.0,
        description="Mean of the logit of the time that is learned at; below 0 noisier pictures are met more often.",
    )
    time_deviation: float = Field(1.0, gt=0, description="Standard deviation of the same.")
    from_noise: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of the examples that are learned at time 0, where all is noise and only words tell anything: without, the first "
        "step hardly hears them.",
    )
    untold: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the examples whose words or label are kept back, so that guidance can be had.",
    )
    few_steps: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="Share of the training, at its end, in which large steps are learned too: one as long as two of the averaged weights. "
        "0: none, and a picture needs some 30 steps.",
    )
    few_steps_share: float = Field(0.25, gt=0, le=1, description="Share of the examples that do so then.")
    ema_halflife: float = Field(
        2000.0,
        gt=0,
        description="Steps after which a weight counts half in the average that generates; never more than a twentieth of those taken.",
    )

    @model_validator(mode="after")
    def _width_fits(self) -> Settings:
        of = {"unet": 8, "transformer": 32}[self.network]
        if self.width is not None and self.width % of:
            raise ValueError(f"width is {self.width}; for `network: {self.network}` it must be a multiple of {of}")
        return self


class Controls(Section):
    steps: int = Field(8, ge=1, le=256, description="Steps from noise to picture: more are slower and finer.")
    solver: Literal["leap", "euler", "heun"] = Field(
        "leap",
        description="`leap`: by steps of the length that was learned; `euler`: along the direction at each step's beginning; `heun`: along "
        "the mean of those at its two ends, twice the work.",
    )
    guidance: float = Field(
        2.5, ge=0, le=20, description="How much more than learned the words count; 1: as learned, and half the work."
    )
    truncation: float = Field(
        1.0, gt=0, le=2, description="Times the noise; below 1: closer to the typical picture, plainer, less variety."
    )
    strength: float = Field(
        0.6, gt=0, le=1, description="How much of a given picture may change; 1: all of it, as if none were given."
    )


class Opening(Section):
    """Nothing is fixed when it is opened."""
