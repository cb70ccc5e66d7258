"""Settings, controls and opening of the family `gaussian`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS = ("draw",)
"""The tasks that it can do, beside what their own options say."""


class Settings(Section):
    smallest_deviation: float = Field(0.01, gt=0, description="Keeps the likelihood finite.")


class Controls(Section):
    spread: float = Field(
        1.0, ge=0, le=2, description="Share of the deviation that is drawn; 0 gives the mean picture."
    )


class Opening(Section):
    """Nothing is fixed when it is opened."""
