"""Settings and controls of the family `code_prior`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section


class Settings(Section):
    width: int | None = Field(None, ge=16, description="Width of the decoder; default: chosen by budget and data.")


class Controls(Section):
    temperature: float = Field(1.0, ge=0.01, le=5, description="Higher draws rarer codes.")
