"""CSV and TSV: a row that does not fit the header is refused with its line, never cut or filled up."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Drop

_DELIMITERS = ",;\t|"
_SAMPLE = 65_536

Row = dict[str, str]


def read_csv(text: str, name: str) -> Iterator[Row | Drop]:
    """The rows of a table by its header; a Drop for each that has more or fewer cells, or a quote that does not fit.

    Raises RequestError where two columns have one name.
    """
    return (row for _, row in _numbered(text, name))


def read_csv_places(text: str, name: str) -> Iterator[tuple[int, Row | Drop]]:
    """The same with the character at which each begins."""
    place, last = 0, 1
    for line, row in _numbered(text, name):
        for _ in range(line - last):
            place = text.index("\n", place) + 1
        last = line
        yield place, row


def _numbered(text: str, name: str) -> Iterator[tuple[int, Row | Drop]]:
    """Rows with the number of their first line."""
    csv.field_size_limit(2**31 - 1)
    delimiter, text, skipped = _delimiter(text, name)
    quoted = True
    if delimiter == "\t" and '"' in text and _fits(text, quoted=False) and not _fits(text, quoted=True):
        say(f"{name}: quotes in it are read as letters, because they enclose no cells.")
        quoted = False
    lines = _cells(text, delimiter, quoted)
    header = next(lines, (1, []))[1]
    if isinstance(header, Drop):
        raise RequestError(f"{name}: the header can't be read ({header.detail}).")
    columns = [column.strip() for column in header]
    while columns and not columns[-1]:
        columns.pop()
    twice = [column for column, count in Counter(columns).items() if column and count > 1]
    if twice:
        raise RequestError(f"{name}: the column `{twice[0]}` stands twice in the header; rename one.")
    for line, cells in lines:
        yield line + skipped, cells if isinstance(cells, Drop) else _row(line, cells, columns)


def _row(line: int, cells: list[str], columns: list[str]) -> Row | Drop:
    surplus = [cell for cell in cells[len(columns) :] if cell.strip()]
    if surplus or len(cells) < len(columns):
        hint = "; put quotes around texts that hold the delimiter or a line end"
        return Drop("malformed", f"line {line}: {len(cells)} cells, and the header has {len(columns)}{hint}")
    return dict(zip(columns, cells, strict=False))


def _cells(text: str, delimiter: str, quoted: bool = True) -> Iterator[tuple[int, list[str] | Drop]]:
    """The cells of each row that has any, with the number of its first line."""
    quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    reader = csv.reader((line + "\n" for line in text.split("\n")), delimiter=delimiter, quoting=quoting, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            why = "a quote that is never closed" if "end of data" in str(error) else str(error)
            yield line, Drop("malformed", f"line {line}: {why}")
            continue
        if cells:
            yield line, cells


def _delimiter(text: str, name: str) -> tuple[str, str, int]:
    """What stands between cells, and the text without the line in which Excel may say so, and how many lines that are: of the usual ones that which splits most
    of the first rows as the header."""
    if said := re.match(r"sep=(.)\n", text):
        return said[1], text[said.end() :], 1
    if name.lower().endswith(".tsv"):
        return "\t", text, 0

    def worth(delimiter: str) -> tuple[int, int]:
        rows = [cells for _, cells in islice(_cells(text[:_SAMPLE], delimiter), 20)]
        header = rows[0] if rows and isinstance(rows[0], list) else []
        alike = sum(isinstance(cells, list) and len(cells) == len(header) for cells in rows)
        return (alike, len(header)) if len(header) > 1 else (0, 0)

    return max(_DELIMITERS, key=worth), text, 0


def _fits(text: str, quoted: bool) -> bool:
    """Whether every row of a table between tabs has as many cells as its header."""
    sizes = (len(cells) if isinstance(cells, list) else -1 for _, cells in _cells(text, "\t", quoted))
    first = next(sizes, 0)
    return first > 0 and all(size == first for size in sizes)
