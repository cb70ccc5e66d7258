"""Finds the tables in a folder that say something of the files beside them, or that are the text themselves."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from genwright.about import Found
from genwright.console import say
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import Drop, Item
from genwright.media.base import is_textual
from genwright.registry import TASKS, about
from genwright.sources.place import same
from genwright.sources.rows import SUFFIXES, read_rows

_LARGEST_BYTES = 300_000_000
_LOOKED_AT = 500
_MOST = 1000
_TEXT_NAMES = (
    "caption",
    "text",
    "description",
    "prompt",
    "title",
    "name",
    "alt",
    "content",
    "body",
    "story",
    "poem",
    "paragraphs",
)
_LABEL_NAMES = ("label", "class", "category", "genre", "kind", "type")
_LONG_TEXT = 120


class Tables(NamedTuple):
    """What became of the files that are called like tables."""

    found: list[Found]
    """Those that say something of files beside them, or whose rows are the content."""
    plain: list[str]
    """Those without sentences: columns of figures and names, settings."""
    none: list[Item]
    """Those that can't be read as tables, or whose rows are no items."""
    named: dict[str, set[str]]
    """By table, the files that its rows name."""


def find_tables(items: Sequence[Item]) -> Tables:
    """Looks into the tables of a folder."""
    named = [i for i in items if i.path.lower().endswith(SUFFIXES) and i.file and (i.bytes or 0) <= _LARGEST_BYTES]
    files = [item for item in items if item.medium not in (None, "", "other") and not is_textual(item.medium)]
    by_name: dict[str, list[str]] = {}
    for item in files:
        for key in {posixpath.basename(item.path), posixpath.splitext(posixpath.basename(item.path))[0]}:
            by_name.setdefault(same(key), []).append(item.path)
    tables, takers = Tables([], [], [], {}), Takers()
    for table in named[:_MOST]:
        rows = _rows(table, takers)
        if found := _explain(table, rows, by_name, takers) if rows else None:
            tables.found.append(found)
            if found.path is not None:
                tables.named[table.path] = {name for row in rows if (name := _named(found.path, row))}
        else:
            tables.none.append(table)
            if rows and (len({name for row in rows[:_LOOKED_AT] for name in row}) > 1):
                tables.plain.append(table.path)
    return tables


class Takers:
    """The tasks that take rows as they stand; one that fails is told and not asked again."""

    def __init__(self) -> None:
        self.takes = {task: take for task in TASKS if (take := about(task).whole_rows)}
        self.refuses = [refuse for task in TASKS if (refuse := about(task).refused_file)]

    def of(self, sample: Sequence[dict[str, Any]]) -> list[str]:
        """Those that take more than four rows in five."""
        return [task for task in list(self.takes) if 5 * self.count(task, sample) > 4 * len(sample)]

    def refused(self, sample: Sequence[dict[str, Any]]) -> bool:
        """Whether most rows are of a task's kind, and can't be taken by it."""
        text = "\n".join(json.dumps(row, default=str) for row in sample)
        return any(2 * refuse(text, ".jsonl")[0] > len(sample) for refuse in self.refuses)

    def count(self, task: str, sample: Sequence[dict[str, Any]]) -> int:
        try:
            return sum(map(bool, map(self.takes[task], sample)))
        except Exception as error:  # a task from another package must not keep the others from being looked at
            say(
                f"{task}: could not look at the rows of a table ({type(error).__name__}: {error}), and is not asked again."
            )
            del self.takes[task]
            return 0


_MEANT = (".csv", ".tsv", ".jsonl", ".parquet")
"""Endings of files that are meant as tables."""


def _rows(table: Item, takers: Takers) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    dropped: list[Drop] = []
    try:
        for nested in (True, False):
            rows = list(read_rows(Path(str(table.file)), table.path, nested=nested))
            found = [row for row in rows if not isinstance(row, Drop)]
            dropped = [row for row in rows if isinstance(row, Drop)]
            if takers.of(found[:_LOOKED_AT]):  # what such a task takes is nested
                break
    except RequestError as error:
        if table.path.lower().endswith(_MEANT):
            say(f"{printable(table.path)}: is called a table and can't be read as one: {error}")
        return []
    if dropped:
        say(
            f"{printable(table.path)}: {len(dropped):,} of its {len(dropped) + len(found):,} rows can't be read as those of a table: "
            f"{dropped[0].detail}"
        )
    return found


def _explain(table: Item, rows: list[dict[str, Any]], by_name: dict[str, list[str]], takers: Takers) -> Found | None:
    sample = rows[:: max(1, len(rows) // _LOOKED_AT)][:_LOOKED_AT]
    columns = [name for name, _ in Counter(key for row in sample for key in row).most_common(60)]
    path, path_column = _path_template(sample, columns, by_name)
    rest = [column for column in columns if column != path_column and _plain_name(column)]
    text = _text_column(sample, rest, long=path is None)
    label = next((c for c in rest if c != text and c.lower() in _LABEL_NAMES and _is_label(sample, c)), None)
    whole = {task: takers.count(task, rows) for task in takers.of(sample)} if path is None else {}
    if path is None and not whole and (text is None or takers.refused(sample)):
        return None
    templates = [f"{{{column}}}" if column else None for column in (text, label)]
    characters = sum(len(_string(row.get(text))) for row in rows) if path is None and text else 0
    return Found(table.path, len(rows), path, templates[0], templates[1], characters, whole, table.bytes or 0)


def _path_template(
    sample: Sequence[dict[str, Any]], columns: Iterable[str], by_name: dict[str, list[str]]
) -> tuple[str | None, str | None]:
    best: tuple[int, str | None, str | None] = (len(sample) // 2, None, None)
    for column in columns:
        if not _plain_name(column):
            continue
        shapes: Counter[str] = Counter()
        for row in sample:
            value = row.get(column)
            if (
                isinstance(value, str | int)
                and (name := same(str(value).replace("\\", "/")))
                and not name.startswith("/")
            ):
                shapes.update(
                    {_shape(same(path), name, column) for path in by_name.get(posixpath.basename(name), [])} - {""}
                )
        for shape, count in shapes.most_common(1):
            if count > best[0]:
                best = (count, shape, column)
    return best[1], best[2]


def _named(template: str, row: dict[str, Any]) -> str:
    """The file that a row names, as a template of a path says it; "" where it names none."""
    try:
        return same(template.format_map(row).replace("\\", "/"))
    except (KeyError, ValueError, IndexError):
        return ""


def _shape(path: str, value: str, column: str) -> str:
    """`img/a.png` and the value `a` make `img/{column}.png`; "" where the value does not stand in the path."""
    place = path.rfind(value)
    if place < 0 or (place > 0 and path[place - 1] != "/"):
        return ""
    before, after = path[:place], path[place + len(value) :]
    return f"{_braces(before)}{{{column}}}{_braces(after)}" if "/" not in after else ""


def _text_column(sample: Sequence[dict[str, Any]], columns: Sequence[str], *, long: bool) -> str | None:
    lengths = {}
    for column in columns:
        values = [_string(row.get(column)) for row in sample]
        filled = [value for value in values if value]
        if 2 * len(filled) > len(sample) and not all(value.replace(".", "").isdigit() for value in filled):
            lengths[column] = sum(map(len, filled)) / len(filled)
    if long:
        lengths = {column: length for column, length in lengths.items() if length >= _LONG_TEXT}
        return max(lengths, key=lambda column: lengths[column], default=None)
    named = [column for name in _TEXT_NAMES for column in lengths if column.lower() == name]
    return named[0] if named else max(lengths, key=lambda column: lengths[column], default=None)


def _is_label(sample: Sequence[dict[str, Any]], column: str) -> bool:
    values = Counter(str(row.get(column)) for row in islice(sample, _LOOKED_AT))
    return 2 <= len(values) <= max(2, len(sample) // 5)


def _string(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _plain_name(column: str) -> bool:
    return not any(character in column for character in "{}.")


def _braces(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
