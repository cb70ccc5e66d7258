"""Rows of a table joined to the files they name: each row an item, each file that no row names an item too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from genwright.console import track
from genwright.errors import RequestError
from genwright.ledger import WHOLE_ROW, Drop, Item, item_id
from genwright.rights.licence import is_legal_text
from genwright.sources.base import Join
from genwright.sources.patterns import patterns
from genwright.sources.place import Place, with_further
from genwright.sources.rows import SUFFIXES, read_rows
from genwright.sources.template import MissingError, fill, names
from genwright.sources.tree import Entry


def table_test(join: Join) -> Callable[[str], bool]:
    """Whether a path is (one of) the join's tables, the looked-up one among them."""
    tests = [*map(_path_test, join.tables), *([_path_test(join.lookup.table)] if join.lookup else [])]
    return lambda path: any(test(path) for test in tests)


def _path_test(table: str) -> Callable[[str], bool]:
    """Whether a path is the very one, or one that its pattern matches."""
    wanted = patterns([f"/{table.lstrip('/')}"])
    assert wanted is not None
    return lambda path: not path.endswith("/") and (path == table or wanted.match_file(path))


_OUTER = "outer"
"""The name by which a row inside another one can be asked for that."""


class Joiner:
    """Turns a source's entries and a join into items. Files are found among the entries alone, so no row leads outside."""

    def __init__(
        self,
        place: Place,
        join: Join,
        tables: list[Entry] | None = None,
        further: Mapping[str, Place] = MappingProxyType({}),
    ):
        """`tables`: the entries of the source that the tables lie in, where it is another; `further`: where the further files of each
        role lie."""
        self.source, self.join, self.place, self.further = place.name, join, place, further
        entries = list(place.entries.values()) if tables is None else tables
        named = {entry.path: entry for wanted in join.tables for entry in self._tables(entries, wanted, "table")}
        self.tables = list(named.values())
        self.more = self._tables(entries, join.lookup.table, "lookup.table") if join.lookup else []
        self._looked_up: dict[str, dict[str, str]] = {}
        self._asked = 0
        self._answered: set[str] = set()
        """Columns that some row had something in."""
        self._seen: dict[str, None] = {}
        """Columns of the first rows."""
        self.named: set[str] = set()
        """Paths of files that some row names."""

    def offer(self) -> Iterator[Item]:
        row_number = 0
        self._read_lookup()
        for table in self.tables:
            if table.file is None or table.drop is not None:
                yield self._item(table.path, None, table.drop or Drop("unreadable"))
                continue
            for row in self._rows(table):
                item = self._row(table, row_number, row)
                if item.path in self.place.entries and self.join.path is not None:
                    self.named.add(item.path)
                row_number += 1
                yield item
        if self._asked:
            self._check_columns()
        tables = {table.path for table in [*self.tables, *self.more]} if self.join.from_ is None else set()
        for path, entry in self.place.entries.items():
            if path not in self.named and path not in tables:
                reason = entry.drop or Drop("notice" if is_legal_text(entry.name) else "unreferenced")
                yield self._item(path, None, reason, entry)

    def _rows(self, table: Entry) -> Iterator[dict[str, Any] | Drop]:
        """The table's rows, and behind each those inside it."""
        inside = self.join.inside
        for row in read_rows(Path(str(table.file)), table.path, self.join.rows, nested=self.join.whole):
            if isinstance(row, Drop) or inside is None:
                yield row
                continue
            outer = {**row, _OUTER: row}
            yield outer
            more = row.get(inside) or ()
            found = (
                [{"key": key, **one} for key, one in more.items() if isinstance(one, dict)]
                if isinstance(more, dict)
                else more
            )
            yield from ({**outer, **one} for one in found if isinstance(one, dict))

    def _row(self, table: Entry, number: int, row: dict[str, Any] | Drop) -> Item:
        if isinstance(row, Drop):
            return self._item(table.path, number, row)
        self._asked += 1
        if self._asked <= 1000:
            self._seen.update(dict.fromkeys(map(str, row)))
        fields, drop = self._fields(row)
        if self.join.path is None:
            item = self._item(table.path, number, drop)
            if self.join.whole:
                try:
                    fields[WHOLE_ROW] = json.dumps(row, ensure_ascii=False, default=str)
                except RecursionError:
                    item.drop(Drop("malformed", "nested too deep"))
            item.fields = fields
            item.bytes = len(fields.get("text", fields.get(WHOLE_ROW, "")).encode("utf-8", "surrogatepass"))
            return item
        path, entry, wrong = self._file(row)
        item = self._item(path or table.path, number, wrong or (entry.drop if entry else None) or drop, entry)
        item.fields = fields
        for role, wanted in (self.join.files or {}).items():
            self._add(item, role, wanted if isinstance(wanted, str) else wanted.path, row)
        return item

    def _add(self, item: Item, role: str, template: str, row: dict[str, Any]) -> None:
        """Give an item a further file, or drop it where that is not there."""
        place = self.further[role]
        try:
            path, entry, wrong = place.find(self._fill(template, row))
        except MissingError as missing:
            path, entry, wrong = None, None, Drop("missing_file", missing.why)
        if entry is not None and place is self.place:
            self.named.add(entry.path)
        missing = with_further(role, entry, path, wrong)
        if missing is not None and item.kept:
            item.drop(missing)
            item.file = None
        elif item.kept and entry is not None:
            item.files[role] = place.further(entry)

    def _fields(self, row: dict[str, Any]) -> tuple[dict[str, str], Drop | None]:
        fields, drop = {}, None
        for name, template in self.join.templates().items():
            try:
                fields[name] = self._fill(template, row)
            except MissingError as missing:
                if name == "text" or self.join.path is None:
                    drop = drop or Drop("missing_text", missing.why)
        if self.join.lookup is not None:
            fields |= self._looked_up.get(str(row.get(self.join.lookup.by)), {})
        return fields, drop

    def _read_lookup(self) -> None:
        """What the second table says, by the value that its rows share with the first."""
        lookup = self.join.lookup
        if lookup is None:
            return
        found = False
        for table in track(self.more, f"look up {lookup.table}", len(self.more)):
            if table.file is None or table.drop is not None:
                continue
            for row in read_rows(Path(table.file), table.path):
                if isinstance(row, Drop) or lookup.by not in row:
                    continue
                found = True
                taken = {}
                for name, template in lookup.fields.items():
                    with suppress(MissingError):
                        taken[name] = self._fill(template, row)
                self._looked_up[str(row[lookup.by])] = taken
        if not found:
            raise RequestError(
                f"{self.source}: no row of {lookup.table} has a column `{lookup.by}`; check `join.lookup.by`."
            )

    def _file(self, row: dict[str, Any]) -> tuple[str | None, Entry | None, Drop | None]:
        try:
            return self.place.find(self._fill(self.join.path or "", row))
        except MissingError as missing:
            return None, None, Drop("missing_file", missing.why)

    def _fill(self, template: str, row: dict[str, Any]) -> str:
        try:
            filled = fill(template, row)
        except ValueError as error:
            raise RequestError(f"{self.source}: `join`: {error}.") from error
        self._answered.update(names(template))
        return filled

    def _item(self, path: str, row: int | None, drop: Drop | None, entry: Entry | None = None) -> Item:
        item = Item(item_id(self.source, path, row), self.source, path, row)
        if entry is not None:
            item.bytes, item.file = entry.bytes, entry.file
        if drop is not None:
            item.drop(drop)
            item.file = None
        return item

    def _check_columns(self) -> None:
        """A column that no row has anything in is a slip of the pen, not a hundred missing files."""
        files = (one if isinstance(one, str) else one.path for one in (self.join.files or {}).values())
        templates = [*self.join.templates().values(), *([self.join.path] if self.join.path else []), *files]
        for template in templates:
            for name in names(template):
                if name in self._answered or name.split(".")[0] in self._seen:
                    continue
                near = get_close_matches(name, self._seen, n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"its columns are {', '.join(list(self._seen)[:20])}."
                raise RequestError(
                    f"{self.source}: no row of {', '.join(self.join.tables)} has a column `{name}`; {hint}"
                )

    def _tables(self, entries: list[Entry], wanted: str, key: str) -> list[Entry]:
        is_table = _path_test(wanted)
        found = [entry for entry in entries if is_table(entry.path)]
        if found:
            return found
        tables = [entry.path for entry in entries if entry.path.lower().endswith(SUFFIXES)]
        near = get_close_matches(wanted, tables, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"tables in it: {', '.join(tables[:5]) or 'none'}."
        raise RequestError(f"{self.source}: `join.{key}` names {wanted}, which is not in it; {hint}")
