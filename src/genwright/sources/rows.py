"""Rows of tables: json, jsonl, csv, tsv and parquet files as dictionaries, one after another."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media.text import decode

SUFFIXES = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet")

Row = dict[str, Any]


def read_rows(file: Path, name: str, rows: str | None = None, *, nested: bool = False) -> Iterator[Row | Drop]:
    """The rows of a table. A line that can't be read is a Drop in its place.

    Lists inside a JSON list are rows too, one by one; with `nested` such a list is one row, {"value": [...]}.

    `name` is the table's path as the user knows it; its end says which format it has. Raises RequestError when the table as a
    whole can't be read.
    """
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122
    try:
        if suffix == ".parquet":
            yield from _parquet(file)
        elif suffix in (".jsonl", ".ndjson"):
            yield from _json_lines(_text(file, name))
        elif suffix == ".json":
            yield from _json_rows(json.loads(_text(file, name)), rows, name, nested)
        elif suffix in (".csv", ".tsv"):
            yield from _csv(_text(file, name), "\t" if suffix == ".tsv" else None)
        else:
            raise RequestError(f"{name}: not a table that can be read; use {', '.join(SUFFIXES)}.")
    except OSError as error:
        raise RequestError(f"{name}: the table can't be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError, csv.Error) as error:
        raise RequestError(f"{name}: not a valid {suffix[1:]} table ({_short(error)}).") from error


def _text(file: Path, name: str) -> str:
    text = decode(file.read_bytes())
    if isinstance(text, Drop):
        raise RequestError(f"{name}: the table is not text ({text.detail}).")
    return text


def _parquet(file: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file) as table:
            for batch in table.iter_batches():
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(error) from error


def _json_lines(text: str) -> Iterator[Row | Drop]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Drop("undecodable", f"line {number}: {_short(error)}")
            continue
        yield row if isinstance(row, dict) else {"value": row}


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


def _csv(text: str, delimiter: str | None) -> Iterator[Row | Drop]:
    csv.field_size_limit(2**31 - 1)
    if delimiter is None:
        try:
            delimiter = csv.Sniffer().sniff(text[:65_536].partition("\n")[0], ",;\t|").delimiter
        except csv.Error:
            delimiter = ","
    lines = text.split("\n")
    reader = csv.DictReader((line + "\n" for line in lines), delimiter=delimiter)
    for row in reader:
        row.pop(None, None)  # type: ignore[call-overload]
        yield row


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:160]
