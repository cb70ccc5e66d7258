"""A table of the user's own (jsonl, json, csv, tsv, parquet): rows that are the content, or that name files beside the table."""

from __future__ import annotations

import posixpath
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field, model_validator

from genwright.errors import RequestError
from genwright.ledger import Drop, Item
from genwright.rights.licence import Rights
from genwright.sources.base import Join, Source, SourceSpec, absolute
from genwright.sources.joined import Joiner
from genwright.sources.place import Place
from genwright.sources.tree import Entry

_OF_JOIN = {"rows", "inside", "path", "files", "text", "label", "fields"}
"""Keys that a table has of its own, with the meaning that they have in a join."""


class TableSpec(SourceSpec):
    table: str = Field(description="Path of a jsonl, json, csv, tsv or parquet file, from the recipe's folder.")
    path: str | None = Field(
        None, description="The file that belongs to a row, from the table's folder: `img/{image}`."
    )
    text: str | None = Field(None, description="The row's text or caption: `{name}`.")
    label: str | None = Field(None, description="The row's class: `{category}`.")
    fields: dict[str, str] = Field({}, description="More that is kept of a row: `{author: '{author}'}`.")
    rows: str | None = Field(None, description="Where the list of rows stands in a JSON file: `data.entries`.")
    inside: str | None = Field(None, description="The column that holds more rows, as that of a join.")
    files: dict[str, str] | None = Field(
        None, description="Further files of a row, by what they are to the task: `{target: 'clean/{id}.png'}`."
    )

    @model_validator(mode="after")
    def _has_no_join(self) -> TableSpec:
        if self.join is not None:
            raise ValueError("a table has its own keys `path` and `text`; `join` is for folders, archives and packages")
        return self

    def relative_to(self, folder: Path) -> TableSpec:
        return super().relative_to(folder).model_copy(update={"table": absolute(self.table, folder)})

    def title(self) -> str:
        return f"table:{Path(self.table).name}"


class TableSource(Source):
    """The table's rows. Files that no row names are not offered: the user named the table, not the folder around it."""

    Spec = TableSpec

    def offer(self) -> Iterator[Item]:
        spec: TableSpec = self.spec
        file = Path(spec.table)
        if not file.is_file():
            raise RequestError(f"{file}: there is no such table; check `table` in the recipe.")
        said = spec.model_dump(include=_OF_JOIN, exclude_none=True)
        join = Join.model_validate({"table": file.name, **said})
        table = Entry(file.name, str(file), file.stat().st_size)
        place = Place(self.name, _Beside(file.parent, {table.path: table}), Rights({}, spec.licence))
        further = dict.fromkeys(join.files or {}, place)
        for item in Joiner(place, join, further=further).offer():
            item.licence, item.notice = place.rights.of(item.path)
            yield item


class _Beside(dict[str, Entry]):
    """Files beside a table, looked at when a row names them. No link is followed and nothing above the folder is reached."""

    def __init__(self, folder: Path, known: dict[str, Entry]):
        super().__init__(known)
        self.folder = folder

    def get(self, path: str, default: Entry | None = None) -> Entry | None:  # type: ignore[override]
        if path not in self:
            # A name on the disk may be written in either of Unicode's two ways.
            ways = dict.fromkeys((path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))))
            entry = next(filter(None, map(self._look, ways)), None)
            if entry is None:
                return default
            self[path] = entry
        return self[path]

    def _look(self, path: str) -> Entry | None:
        parts = posixpath.normpath(path).split("/")
        if path.startswith("/") or parts[0] in ("..", ".") or "\0" in path:
            return None
        place = self.folder
        for index, part in enumerate(parts):
            place = place / part
            try:
                status = place.lstat()
            except OSError as error:
                return (
                    None
                    if isinstance(error, FileNotFoundError | NotADirectoryError)
                    else Entry(path, drop=Drop("unreadable", error.strerror or ""))
                )
            if stat.S_ISLNK(status.st_mode):
                return Entry(path, drop=Drop("link"))
            if index == len(parts) - 1:
                if stat.S_ISDIR(status.st_mode):
                    return None
                if not stat.S_ISREG(status.st_mode):
                    return Entry(path, drop=Drop("special_file"))
                return Entry(path, str(place), status.st_size)
        return None
