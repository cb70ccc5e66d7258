"""Settings and controls of the family `transformer`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.recipe import Section


class Settings(Section):
    layers: int | None = Field(
        None,
        ge=1,
        description="Blocks of attention and feed-forward layers; default: chosen by budget, data and device.",
    )
    width: int | None = Field(None, ge=16, description="Width of the residual stream; default: chosen with the layers.")


class Controls(Section):
    temperature: float = Field(0.8, ge=0, le=5, description="0 always takes the likeliest token; higher is wilder.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Draw only from the likeliest tokens that add up to this probability."
    )
    top_k: int = Field(0, ge=0, description="Draw only from this many likeliest tokens; 0: from all.")
    max_tokens: int = Field(
        300,
        ge=1,
        description="Stop after this many tokens, or where the text ends. A text may outgrow the model's context: the model then "
        "goes on with the newest three quarters of it in view.",
    )
