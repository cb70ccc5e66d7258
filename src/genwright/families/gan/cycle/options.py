"""Settings, controls and opening of the family `cycle`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""Tasks that it can do beside those that name it."""


class Settings(Section):
    cycle: float = Field(10.0, ge=0, description="Weight of coming back to the picture on the way forth and back.")
    identity: float = Field(
        5.0, ge=0, description="Weight of leaving a picture as it is that is in the wanted hand already."
    )
    gamma: float = Field(1.0, ge=0, description="Weight of the R1 and R2 penalties.")
    penalty_share: int = Field(
        4, ge=1, description="The penalties are taken on one in this many pictures of a batch; saves time."
    )
    pool: int = Field(
        128,
        ge=0,
        description="Former pictures of each generator that the discriminators are shown again, half of the time; 0: none.",
    )
    augment: float = Field(
        0.3,
        ge=0,
        le=1,
        description="Share of pictures that colour, shift and cut-out change before the discriminators see them.",
    )
    width: int | None = Field(
        None,
        ge=16,
        description="Channels at the highest resolution, a multiple of 16; default: chosen by budget, data and device.",
    )
    ema_halflife: float = Field(
        100.0, gt=0, description="Steps after which a weight counts half in the average that generates."
    )


class Controls(Section):
    """Nothing: a picture has one other."""


class Opening(Section):
    """Nothing is fixed when it is opened."""
