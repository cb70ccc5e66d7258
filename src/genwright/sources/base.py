"""The Source protocol: something that offers items. Knows no task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from genwright.ledger import Item


class SourceSpec(BaseModel):
    """What a recipe says of a source; each kind adds its own key."""

    model_config = ConfigDict(extra="forbid")
    include: list[str] = Field([], description="Only paths that match one of these patterns (`*.txt`, `poems/**`).")
    exclude: list[str] = Field([], description="Leave out paths that match one of these patterns.")
    licence: str | None = Field(
        None, description="The licence of the content, where the notice found in it is not the right one."
    )
    join: dict[str, Any] | None = Field(
        None,
        description='A table inside the source, joined to its files: {table: emoji.json, path: "img/{image}", text: "{name}"}.',
    )

    def relative_to(self, folder: Path) -> SourceSpec:
        """The same source with its paths made absolute from the recipe's folder."""
        return self


class Source(ABC):
    """A source at work. `offer` yields every item exactly once, those that cannot be used as dropped rows."""

    Spec: ClassVar[type[SourceSpec]]

    def __init__(self, spec: Any, cache: Path):
        self.spec = spec
        self.cache = cache

    @abstractmethod
    def offer(self) -> Iterator[Item]: ...
