"""A source from outside the package: every line of a text file is an item."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from genwright.ledger import Item, item_id
from genwright.sources.base import Source, SourceSpec


class LinesSpec(SourceSpec):
    lines: str = Field(description="Path of a text file.")

    def relative_to(self, folder: Path) -> LinesSpec:
        return self.model_copy(update={"lines": str(folder / self.lines)})


class LinesSource(Source):
    Spec = LinesSpec

    def offer(self) -> Iterator[Item]:
        file = Path(self.spec.lines)
        for row, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            yield Item(
                item_id(self.name, file.name, row),
                source=self.name,
                path=file.name,
                row=row,
                licence=self.spec.licence,
                fields={"text": line},
            )
