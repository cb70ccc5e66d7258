"""Settings, controls and opening of the family `straight`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS = ("draw",)
"""The tasks that it can do, beside what their own options say."""


class Settings(Section):
    hidden: int = Field(256, ge=16, description="Width of the network's hidden layer.")


class Controls(Section):
    steps: int = Field(8, ge=1, le=100, description="Steps from noise to picture; more are closer to the true path.")


class Opening(Section):
    """Nothing is fixed when it is opened."""
