"""Settings, controls and opening of the family `codes`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS: tuple[str, ...] = ()
"""The tasks that name this family do so themselves."""


class Settings(Section):
    layers: int | None = Field(
        None,
        ge=1,
        description="Blocks of attention and feed-forward layers; default: chosen by budget, data and device.",
    )
    width: int | None = Field(
        None,
        ge=32,
        multiple_of=32,
        description="Width of the residual stream; default: chosen with the layers.",
    )
    dropout: float = Field(
        0.1, ge=0, lt=1, description="Share of the numbers that are left out in learning, against learning by heart."
    )
    text_weight: float = Field(
        0.125, ge=0, description="Weight of foretelling the caption's own words, beside 1 of the picture's codes."
    )
    untold: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of the examples whose words or label are kept back, so that guidance can be had.",
    )


class Controls(Section):
    temperature: float = Field(1.0, ge=0, le=5, description="0 always takes the likeliest code; higher is wilder.")
    top_p: float = Field(
        0.95, gt=0, le=1, description="Draw only from the likeliest codes that add up to this probability."
    )
    guidance: float = Field(
        2.0, ge=0, le=20, description="How much more than learned the words count; 1: as learned, and half the work."
    )


class Opening(Section):
    """Nothing is fixed when it is opened."""
