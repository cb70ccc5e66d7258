"""Settings, controls and opening of the family `gan`: torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from genwright.settings import UNSAID, Section

TASKS: tuple[str, ...] = ()
"""Tasks that it can do beside those that name it."""


FIRST_STRENGTH = 0.3


class Settings(Section):
    objective: Literal["relativistic", "classic"] = Field(
        "relativistic",
        description="`relativistic`: R3GAN's loss with R1 and R2 penalties; `classic`: -E[log D(G(z))] and -E[log D(x)] - E[log(1 - D(G(z)))].",
    )
    gamma: float = Field(1.0, ge=0, description="Weight of the R1 and R2 penalties (relativistic objective).")
    penalty_share: int = Field(
        4, ge=1, description="The penalties are taken on one in this many pictures of a batch; saves time."
    )
    augment: float | Literal["adaptive"] = Field(
        FIRST_STRENGTH,
        description="Share of pictures that colour, shift and cut-out change before the discriminator sees them. `adaptive`: from "
        f"{FIRST_STRENGTH} on, more where the discriminator is too often right about training pictures.",
    )
    variety: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How far apart pictures of one word must lie at least, by their values, beside pictures of different words, as 0.4. The "
        "generator pays for less, for nothing else asks it to heed its noise where data has a picture a word. 0: it may ignore it.",
        json_schema_extra={UNSAID: True},
    )

    width: int | None = Field(
        None,
        ge=16,
        description="Channels at the highest resolution, a multiple of 16; default: chosen by budget, data and device.",
    )
    ema_halflife: float = Field(
        100.0, gt=0, description="Steps after which a weight counts half in the average that generates."
    )

    @field_validator("augment")
    @classmethod
    def _is_a_share(cls, value: float | str) -> float | str:
        if not isinstance(value, str) and not 0 <= value <= 1:
            raise ValueError("must be `adaptive` or a share from 0 to 1")
        return value


class Controls(Section):
    truncation: float = Field(
        1.0, gt=0, le=2, description="Times the noise; below 1: closer to the typical picture, less variety."
    )


class Opening(Section):
    """Nothing is fixed when it is opened."""
