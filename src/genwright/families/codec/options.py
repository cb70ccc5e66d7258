"""Settings, controls and opening of the family `codec`: torch-free."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, field_validator

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""The tasks that name this family do so themselves."""

_MOST_CODES = 65_536


class Settings(Section):
    width: int = Field(
        32, ge=16, multiple_of=16, description="Channels at half the picture's side; coarser maps have more."
    )
    shrink: Literal[2, 4, 8, 16] | None = Field(
        None,
        description="Pixels a side that one code stands for; default: 4, and from 128 pixels on as many as leave 16 codes a side.",
    )
    levels: list[int] = Field(
        [8, 5, 5, 5],
        min_length=1,
        description="Levels of each number of a code; their product is how many different codes there are.",
    )
    perceptual: float = Field(
        0.3, ge=0, description="Weight of the difference in what the discriminator's layers see; 0: none."
    )
    adversarial: float = Field(0.05, ge=0, description="Weight of the discriminator's verdict; 0: none.")
    adversarial_from: float = Field(
        0.4, gt=0, lt=1, description="Share of the training after which the discriminator learns and counts."
    )
    gamma: float = Field(1.0, ge=0, description="Weight of the discriminator's R1 and R2 penalties.")

    @field_validator("levels")
    @classmethod
    def _fit(cls, value: list[int]) -> list[int]:
        if min(value) < 2:
            raise ValueError("each number needs 2 levels or more")
        if math.prod(value) > _MOST_CODES:
            raise ValueError(f"{math.prod(value):,} different codes are too many; {_MOST_CODES:,} are the most")
        return value


class Controls(Section):
    """A code stands for one picture: there is nothing to choose."""


class Opening(Section):
    """Nothing is fixed when it is opened."""
