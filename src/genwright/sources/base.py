"""The Source protocol: something that offers items. Knows no task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from genwright.ledger import Item
from genwright.registry import SOURCES, source_kind
from genwright.rights.licence import Notice
from genwright.settings import Section


def spec_of(given: Mapping[str, Any]) -> SourceSpec:
    """The settings of a source by the one key that says its kind. Raises ValueError (a ValidationError is one)."""
    return SOURCES[source_kind(given)].load().Spec.model_validate(given)


def _checked(given: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if given is None else spec_of(given).written()


Other = Annotated[dict[str, Any] | None, AfterValidator(_checked)]
"""Another source that a source takes something from, as in `data.sources`: `{npm: emoji-datasource-google@16.0.0}`."""


class Elsewhere(Section):
    """A file of an item that lies in another source."""

    path: str = Field(description="The file's path there, as `path` of the join.")
    from_: Other = Field(alias="from", description="The other source: `{npm: emoji-datasource-twitter@16.0.0}`.")

    def relative_to(self, folder: Path) -> Elsewhere:
        return self.model_copy(update={"from_": _relative(self.from_, folder)})


class LookUp(Section):
    """A second table, from which each row takes more: the row with the same value in the column `by`."""

    table: str = Field(description="Path of the second table in the source; may be a pattern.")
    by: str = Field(description="The column that both tables have: `id`.")
    fields: dict[str, str] = Field(description="What is taken: `{strains: '{strains}'}`.")


class Join(Section):
    """A table and how its rows become items: by a file each (`path`), by a text of their own (`text`), or both.

    Every value but `table`, `from`, `rows` and `inside` is a template: `{name}` stands for the row's column, `{author.name}` for a
    value inside it.
    """

    table: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="Path of the table in the source (jsonl, json, csv, tsv or parquet), or a list of them; may be a pattern."
    )
    from_: Other = Field(
        None,
        alias="from",
        description="The source that the table lies in, where it is another than that of the files: `{npm: "
        "emoji-datasource-google@16.0.0}`.",
    )
    rows: str | None = Field(None, description="Where the list of rows stands in a JSON file: `data.entries`.")
    inside: str | None = Field(
        None,
        description="The column that holds more rows, as a list or by name: each is a row too, and has what the row around it says "
        "where it says nothing itself; `{outer.id}` is always the outer row's.",
    )
    path: str | None = Field(None, description="The file that belongs to a row: `img/{image}`.")
    files: dict[str, str | Elsewhere] | None = Field(
        None,
        description="Further files of a row, by what they are to the task: `{target: 'clean/{id}.png'}`; one of another source is "
        "`{target: {path: ..., from: ...}}`.",
    )
    text: str | None = Field(None, description="The row's text or caption: `{name}`.")
    label: str | None = Field(None, description="The row's class: `{category}`.")
    fields: dict[str, str] = Field({}, description="More that is kept of a row: `{author: '{author}'}`.")
    lookup: LookUp | None = Field(
        None,
        description="A second table with more of each row: `{table: tones.json, by: id, fields: {tones: '{tones}'}}`.",
    )

    @model_validator(mode="after")
    def _files_need_a_path(self) -> Join:
        if self.files and self.path is None:
            raise ValueError("`files` are further files of an item; say with `path` which is its own")
        return self

    def relative_to(self, folder: Path) -> Join:
        files = self.files and {k: v if isinstance(v, str) else v.relative_to(folder) for k, v in self.files.items()}
        return self.model_copy(update={"from_": _relative(self.from_, folder), "files": files})

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


class SourceSpec(Section):
    """What a recipe says of a source; each kind adds its own key."""

    include: list[str] = Field(
        [], description="Only paths that match one of these patterns (`*.txt`, `poems/**`), as in a .gitignore."
    )
    exclude: list[str] = Field([], description="Leave out paths that match one of these patterns.")
    licence: str | None = Field(
        None, description="The licence of the content, where the notice found in it is not the right one."
    )
    as_: str | None = Field(
        None,
        alias="as",
        description="What the source is to a task that tells its sources apart: `b` of the two that are carried over into each other.",
    )
    join: Join | None = Field(
        None,
        description='A table inside the source, joined to its files: {table: emoji.json, path: "img/{image}", text: "{name}"}.',
    )

    def relative_to(self, folder: Path) -> Self:
        """The same source with its paths made absolute from the recipe's folder."""
        return self.model_copy(update={"join": self.join and self.join.relative_to(folder)})

    def written(self) -> dict[str, Any]:
        """As a recipe says it, with the defaults; what is left out by default stays out."""
        return self.model_dump(mode="json", exclude_none=True)

    def title(self) -> str:
        """The source as the ledger names it: its kind and what the recipe says after it."""
        own = set(type(self).model_fields) - set(getattr(type(self).__base__, "model_fields", {}))
        kind = next(key for key in type(self).model_fields if key in own)
        return f"{kind}:{getattr(self, kind)}"


def _relative(given: dict[str, Any] | None, folder: Path) -> dict[str, Any] | None:
    return None if given is None else spec_of(given).relative_to(folder).written()


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

    def complete(self, item: Item) -> None:  # noqa: B027 - most kinds of content say nothing of themselves
        """Fill in what only an item's file itself could say, once that was read (`Item.fields`); may drop it."""


def absolute(path: str, folder: Path) -> str:
    """A path of a recipe, taken from the recipe's folder; `~` is the user's home."""
    expanded = Path(path).expanduser()
    return str(expanded if expanded.is_absolute() else (folder.absolute() / expanded))
