"""Settings and controls of the family `codec`: torch-free."""

from __future__ import annotations

from pydantic import Field

from genwright.settings import Section


class Settings(Section):
    width: int = Field(16, ge=4, description="Channels of encoder and decoder.")
    levels: int = Field(4, ge=2, description="Values that each of a code's three digits may have.")


class Controls(Section):
    """A code stands for one picture: there is nothing to choose."""
