"""Settings and controls of the family `gan`: torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from genwright.recipe import Section


class Settings(Section):
    objective: Literal["relativistic", "classic"] = Field(
        "relativistic",
        description="`relativistic`: R3GAN's loss with R1 and R2 penalties; `classic`: -E[log D(G(z))] and -E[log D(x)] - E[log(1 - D(G(z)))].",
    )
    width: int | None = Field(
        None, ge=8, description="Channels at the highest resolution's base; default: chosen by budget, data and device."
    )


class Controls(Section):
    truncation: float = Field(1.0, gt=0, le=2, description="Below 1: closer to the typical picture, less variety.")
