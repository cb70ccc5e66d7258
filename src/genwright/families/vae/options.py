"""Settings, controls and opening of the family `vae`: torch-free."""

from __future__ import annotations

from pydantic import AliasChoices, Field

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""Tasks that it can do beside those that name it."""


class Settings(Section):
    beta: float = Field(1.0, gt=0, description="Weight of the KL term; 1 is the ELBO.")
    free_bits: float = Field(0.0, ge=0, description="Nats a latent channel may carry without paying, against collapse.")
    width: int | None = Field(
        None,
        ge=16,
        description="Channels at the highest resolution, a multiple of 16; default: chosen by budget, data and device.",
    )


class Controls(Section):
    truncation: float = Field(
        1.0,
        gt=0,
        le=2,
        validation_alias=AliasChoices("truncation", "temperature"),
        description="Times the noise of the latent draw; below 1: closer to the typical picture, less variety.",
    )


class Opening(Section):
    """Nothing is fixed when it is opened."""
