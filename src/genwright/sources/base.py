"""The Source protocol: something that offers items. Knows no task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from genwright.ledger import Item
from genwright.rights.licence import Notice


class LookUp(BaseModel):
    """A second table, from which each row takes more: the row with the same value in the column `by`."""

    model_config = ConfigDict(extra="forbid")
    table: str = Field(description="Path of the second table in the source; may be a pattern.")
    by: str = Field(description="The column that both tables have: `id`.")
    fields: dict[str, str] = Field(description="What is taken: `{strains: '{strains}'}`.")


class Join(BaseModel):
    """A table and how its rows become items: by a file each (`path`), by a text of their own (`text`), or both.

    Every value but `table` and `rows` is a template: `{name}` stands for the row's column, `{author.name}` for a value
    inside it.
    """

    model_config = ConfigDict(extra="forbid")
    table: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="Path of the table in the source (jsonl, json, csv, tsv or parquet), or a list of them; may be a pattern."
    )
    rows: str | None = Field(None, description="Where the list of rows stands in a JSON file: `data.entries`.")
    path: str | None = Field(None, description="The file that belongs to a row: `img/{image}`.")
    text: str | None = Field(None, description="The row's text or caption: `{name}`.")
    label: str | None = Field(None, description="The row's class: `{category}`.")
    fields: dict[str, str] = Field({}, description="More that is kept of a row: `{author: '{author}'}`.")
    lookup: LookUp | None = Field(
        None,
        description="A second table with more of each row: `{table: tones.json, by: id, fields: {tones: '{tones}'}}`.",
    )

    @property
    def tables(self) -> list[str]:
        return [self.table] if isinstance(self.table, str) else self.table

    @property
    def whole(self) -> bool:
        """Whether a row is an item as it stands, nested as it may be: neither a file nor a text of it is named."""
        return self.path is None and self.text is None

    def templates(self) -> dict[str, str]:
        """Every field of an item and its template."""
        named = {"text": self.text, "label": self.label}
        return {key: value for key, value in {**self.fields, **named}.items() if value is not None}


class SourceSpec(BaseModel):
    """What a recipe says of a source; each kind adds its own key."""

    model_config = ConfigDict(extra="forbid")
    include: list[str] = Field(
        [], description="Only paths that match one of these patterns (`*.txt`, `poems/**`), as in a .gitignore."
    )
    exclude: list[str] = Field([], description="Leave out paths that match one of these patterns.")
    licence: str | None = Field(
        None, description="The licence of the content, where the notice found in it is not the right one."
    )
    join: Join | None = Field(
        None,
        description='A table inside the source, joined to its files: {table: emoji.json, path: "img/{image}", text: "{name}"}.',
    )

    def relative_to(self, folder: Path) -> SourceSpec:
        """The same source with its paths made absolute from the recipe's folder."""
        return self

    def title(self) -> str:
        """The source as the ledger names it: its kind and what the recipe says after it."""
        own = set(type(self).model_fields) - set(getattr(type(self).__base__, "model_fields", {}))
        kind = next(key for key in type(self).model_fields if key in own)
        return f"{kind}:{getattr(self, kind)}"


class Source(ABC):
    """A source at work. `offer` yields every item exactly once, those that cannot be used as dropped rows.

    After `offer` is exhausted, `notices` holds the texts that items' licences were read from (by path), and `about` what is
    to be recorded of the source: the hash of a package, how many paths the patterns left out.
    """

    Spec: ClassVar[type[SourceSpec]]

    def __init__(self, spec: Any, cache: Path, *, name: str | None = None, offline: bool = False):
        self.spec = spec
        self.cache = cache
        self.name = name or spec.title()
        self.offline = offline
        self.notices: dict[str, Notice] = {}
        self.about: dict[str, Any] = {}

    @abstractmethod
    def offer(self) -> Iterator[Item]: ...


def absolute(path: str, folder: Path) -> str:
    """A path of a recipe, taken from the recipe's folder; `~` is the user's home."""
    expanded = Path(path).expanduser()
    return str(expanded if expanded.is_absolute() else (folder.absolute() / expanded))
