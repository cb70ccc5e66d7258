"""Settings, controls and opening of the family `codec`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section

TASKS = ()
"""The tasks that name this family do so themselves."""


class Settings(Section):
    width: int = Field(16, ge=4, description="Channels of encoder and decoder.")
    levels: int = Field(4, ge=2, description="Values that each of a code's three digits may have.")


class Controls(Section):
    """A code stands for one picture: there is nothing to choose."""


class Opening(Section):
    """Nothing is fixed when it is opened."""
