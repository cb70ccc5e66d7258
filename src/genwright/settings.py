"""The base of every settings class: sections of a recipe, a family's settings and controls, a task's request. Torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """Base of every part of a recipe: unknown keys are refused."""

    model_config = ConfigDict(
        extra="forbid", validate_default=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )

    def relative_to(self, folder: Path) -> Self:
        """The same section with its paths made absolute from the recipe's folder."""
        sections = {name: value.relative_to(folder) for name, value in self if isinstance(value, Section)}
        return self.model_copy(update=sections) if sections else self


class PartSection(Section):
    """The section of one part of a model (a field of the task's `Model`, by the part's name), beside the settings of its family."""

    from_: str | None = Field(
        None,
        alias="from",
        description="A run or model folder whose trained part of this name is taken, instead of training one here.",
    )

    def relative_to(self, folder: Path) -> Self:
        if self.from_ is None:
            return self
        return self.model_copy(update={"from_": str(folder.absolute() / Path(self.from_).expanduser())})


class MainSection(PartSection):
    """The section of the part that requests go to: it gets the settings of the family that `model.family` names. In a task
    without one `model` itself gets them."""


def part_sections(model: type[BaseModel]) -> dict[str, type[PartSection]]:
    """The sections of parts in a `model` section, by the parts' names."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, PartSection)}
