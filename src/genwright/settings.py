"""The base of every settings class: sections of a recipe, a family's settings and controls, a task's request. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", validate_default=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    def relative_to(self, folder: Path) -> Self:
        """The same section with its paths made absolute from the recipe's folder."""
        return self
