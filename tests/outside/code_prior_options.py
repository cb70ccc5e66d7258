"""Settings, controls and opening of the family `code_prior`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS = ()
"""The tasks that name this family do so themselves."""


class Settings(Section):
    width: int | None = Field(None, ge=16, description="Width of the decoder; default: chosen by budget and data.")


class Controls(Section):
    temperature: float = Field(1.0, ge=0.01, le=5, description="Higher draws rarer codes.")


class Opening(Section):
    """Nothing is fixed when it is opened."""
