"""Rows of tables: json, jsonl, csv, tsv and parquet files as dictionaries, one after another."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media.text import read
from genwright.sources.csv_rows import read_csv
from genwright.sources.exports import exported
from genwright.sources.json_values import LINES, Lines, parse

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

Row = dict[str, Any]


def read_rows(file: Path, name: str, rows: str | None = None, *, nested: bool = False) -> Iterator[Row | Drop]:
    """The rows of a table. A line that can't be read is a Drop in its place.

    Lists inside a JSON list are rows too, one by one; with `nested` such a list is one row, {"value": [...]}, and so is each
    conversation of a messenger's export.

    `name` is the table's path as the user knows it; its end says which format it has. Raises RequestError when the table as a
    whole can't be read.
    """
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    try:
        if suffix == ".parquet":
            yield from _parquet(file)
        elif suffix in (".json", *LINES):
            yield from _json(parse(_text(file, name), suffix), rows, name, nested)
        elif suffix in (".csv", ".tsv"):
            yield from read_csv(_text(file, name), name)
        else:
            raise RequestError(f"{name}: not a table that can be read; use {', '.join(SUFFIXES)}.")
    except OSError as error:
        raise RequestError(f"{name}: the table can't be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{name}: not a valid {suffix[1:]} table ({_short(error)}).") from error


def _text(file: Path, name: str) -> str:
    found = read(file.read_bytes())
    if isinstance(found, Drop):
        raise RequestError(f"{name}: the table is not text ({found.detail}).")
    if found.remark:
        say(f"{name}: {found.remark}.")
    return found.text


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            # A column may say one long text a million times, so few rows are unpacked at once.
            for batch in table.iter_batches(batch_size=1024):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(error) from error


def _json(content: Any, rows: str | None, name: str, nested: bool) -> Iterator[Row | Drop]:
    if nested and not rows and (found := exported(content)) is not None:
        yield from (conversation.row for conversation in found)
        return
    if not isinstance(content, Lines):
        yield from _json_rows(content, rows, name, nested)
        return
    for value in content:
        yield value if isinstance(value, dict | Drop) else {"value": value}


def _json_rows(content: Any, rows: str | None, name: str, nested: bool) -> Iterator[Row]:
    for key in rows.split(".") if rows else []:
        if not isinstance(content, dict) or key not in content:
            raise RequestError(f"{name}: there is no `{rows}` in it; check `rows` of the join.")
        content = content[key]
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        if content and all(isinstance(value, dict) for value in content.values()):
            content = [{"key": key, **value} for key, value in content.items()]
        elif not rows and len(lists) == 1 and any(isinstance(value, dict) for value in lists[0]):
            content = lists[0]
        else:
            content = [content]
    if not isinstance(content, list):
        raise RequestError(f"{name}: the table is a single value; a list of objects is needed.")
    stack = [iter(content)]
    while stack:
        value = next(stack[-1], stack)
        if value is stack:
            stack.pop()
        elif isinstance(value, list) and not nested:
            stack.append(iter(value))
        else:
            yield value if isinstance(value, dict) else {"value": value}


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:160]
