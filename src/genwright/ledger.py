"""The ledger: one row for every item that any source offered, and what became of it.

Items in = kept + dropped, always. Each stage writes Parquet parts of its own, keyed by id, which are joined on reading.
What splitting or `encode` cuts an item into gets child rows `parent#k`, which do not count as offered.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, unquote_to_bytes

from genwright import files
from genwright.errors import RequestError
from genwright.files import printable

if TYPE_CHECKING:
    import pyarrow as pa

    from genwright.run import Run

WHOLE_ROW = "row"
"""Name of the field that holds a whole table row as JSON, where the row itself is the content (a conversation)."""

LEDGER = "ledger.parquet"
"""Name of a stage's part of the ledger, in the stage's folder."""

Split = Literal["", "train", "validation", "test", "judge"]
SPLITS: tuple[str, ...] = ("train", "validation", "test", "judge")

REASONS: dict[str, str] = {
    "notice": "a licence or notice, kept beside the data instead of learnt from",
    "hidden": "a hidden file or folder; an `include` pattern that names it takes it in",
    "output": "a run of Genwright, which is no data",
    "limit": "beyond the recipe's data.limit, chosen by hash",
    "duplicate": "the same bytes as another item, which was kept",
    "near_duplicate": "nearly the same as an item that is held out, so that it may not be learnt from",
    "undecodable": "not readable as its medium: truncated, corrupt, or in an encoding that could not be found",
    "malformed": "a row or part that is not written as its table or format wants it",
    "needs_library": "a kind of file that is read by a library which is not installed",
    "no_text": "a document of pictures in which no text stands, such as a scan",
    "numbers": "mostly a table of numbers, which is nothing to learn writing from",
    "empty": "nothing in it",
    "too_small": "smaller than the task can learn from",
    "too_large": "larger than the limit of the recipe",
    "wrong_medium": "another kind of file than the task works with",
    "unsupported": "says what the task can't learn from, such as a call of a tool or a turn that is not to be learnt",
    "ignored": "named in a .gitignore, or other people's code; `include` takes a file in, a source of its own a folder",
    "unreferenced": "a file that no row of the joined table names, or that is no part of an item of several files",
    "missing_file": "a table row, or an item of several files, whose file is not there",
    "missing_text": "a row or picture without the text that the recipe asks for",
    "unreadable": "the system refused to let it be read",
    "link": "a symbolic link, which is not followed",
    "special_file": "a pipe, socket or device",
    "bomb": "would unpack to far more than its size allows",
    "escapes": "points outside the folder or archive it came from",
    "encrypted": "needs a password, or bears a lock",
    "licence": "its licence is not among those the recipe allows",
}
"""The closed list of reasons for which an item may be dropped, each with the sentence that people are shown."""


@dataclass(frozen=True)
class Drop:
    """Why an item cannot be used. `detail` is for people (what the decoder said)."""

    reason: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"{self.reason!r} is not in the closed list of reasons")


@dataclass(slots=True)
class Further:
    """A further file of an item: the clean recording beside the noisy one, a picture's other drawing."""

    path: str
    """Path inside its source."""
    file: str
    """Where the bytes lie on this machine."""
    bytes: int | None = None
    sha256: str | None = None
    medium: str | None = None
    licence: str | None = None

    def read_bytes(self) -> bytes:
        """The whole file. Raises OSError."""
        return Path(self.file).read_bytes()


@dataclass(slots=True)
class Item:
    """A row of the ledger. Order and names of the fields are the columns of the Parquet file (pinned by a test)."""

    id: str
    source: str
    """The source as the recipe names it: "folder:poems", "npm:emoji-datasource-google@16.0.0"."""
    path: str
    """Path inside the source; for a table row without a file, the table's path."""
    row: int | None = None
    """Row number in the joined table, from 0."""
    parent: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    medium: str | None = None
    """What the content is, by its first bytes, not its name: a medium of the registry, or what `media/kind.py` calls it."""
    licence: str | None = None
    """SPDX id where it could be told, else the notice's own name; None: unknown."""
    notice: str | None = None
    """Path of the text that the licence was read from."""
    group: str | None = None
    split: str = ""
    status: str = "kept"
    reason: str | None = None
    detail: str = ""
    """For people: why it was dropped; of what was kept, how it was read where that is to be known."""
    file: str | None = None
    """Where the bytes lie on this machine; None for a table row that is its own content."""
    start: int | None = None
    stop: int | None = None
    """The characters of the parent's text that a child row stands for."""
    characters: int | None = None
    """Length of a text once decoded."""
    width: int | None = None
    height: int | None = None
    """Size of a picture in pixels, upright."""
    fields: dict[str, str] = field(default_factory=dict)
    """What the table says of it: "text", "label", ...; and what its medium measures beside the columns above (a JSON column)."""
    role: str | None = None
    """What its source is to the task, where the recipe says so (`as: b`)."""
    files: dict[str, Further] = field(default_factory=dict)
    """Its further files by their roles, where it is made of several (a JSON column)."""

    @property
    def kept(self) -> bool:
        return self.status == "kept"

    def drop(self, drop: Drop) -> None:
        self.status, self.reason, self.detail = "dropped", drop.reason, drop.detail
        self.split = ""

    def read_bytes(self) -> bytes:
        """The whole file behind the item. Raises OSError."""
        if self.file is None:
            raise ValueError(f"{self.path} row {self.row} has no file")
        return Path(self.file).read_bytes()

    def beside(self) -> list[str | None]:
        """What it is beside its own bytes: its role, the roles and hashes of its further files; [] where it has neither."""
        further = [text for role in sorted(self.files) for text in (role, self.files[role].sha256)]
        return [self.role, *further] if self.role or further else []


def item_id(source: str, path: str, row: int | None = None) -> str:
    """hash(source, path, row): stable while the item stays where it is."""
    return hashlib.sha256(json.dumps([source, path, row]).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def columns() -> list[str]:
    return [f.name for f in fields(Item)]


def _schema() -> Any:
    import pyarrow as pa

    integers = {"row", "bytes", "start", "stop", "characters", "width", "height"}
    return pa.schema([(name, pa.int64() if name in integers else pa.string()) for name in columns()])


def write(items: Iterable[Item], file: Path) -> None:
    """Write one Parquet part, whole or not at all."""
    import pyarrow.parquet as pq

    with files.whole(file) as temporary:
        pq.write_table(table(items), temporary)


def table(items: Iterable[Item]) -> pa.Table:
    """The rows as an Arrow table, a column for each field of `Item`; `fields` is JSON."""
    import pyarrow as pa

    rows = list(items)
    schema = _schema()
    content = {
        "fields": [json.dumps(i.fields, ensure_ascii=False, sort_keys=True) if i.fields else None for i in rows],
        "file": [_reversible(item.file) for item in rows],
        "files": [_further_json(item.files) if item.files else None for item in rows],
    }
    arrays = [
        pa.array(
            [_storable(v) for v in content.get(name) or (getattr(item, name) for item in rows)], schema.field(name).type
        )
        for name in columns()
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def read(file: Path) -> list[Item]:
    """All rows of one Parquet part, children included, in the order they were written."""
    import pyarrow.parquet as pq

    return [_item(row) for row in pq.read_table(file).to_pylist()]


def _item(row: dict[str, Any]) -> Item:
    """A row of a ledger, of one that has fewer columns too."""
    further = {
        role: Further(**{**said, "file": _reversed(said["file"])})
        for role, said in json.loads(row.get("files") or "{}").items()
    }
    fields = json.loads(row["fields"] or "{}")
    return Item(**{**row, "fields": fields, "file": _reversed(row["file"]), "files": further})


def _further_json(found: dict[str, Further]) -> str:
    said = {role: {**asdict(one), "file": _reversible(one.file)} for role, one in sorted(found.items())}
    return _storable(json.dumps(said, ensure_ascii=False))


def read_run(run: Run) -> list[Item]:
    """The ledger as it stands: what collect wrote, and what prepare found out later of the same rows.

    Of a row that both stages wrote, prepare's word on status, reason, detail and split counts. A row that prepare dropped takes
    its parent along when no other child of it is left, so that the account counts it. Raises RequestError where there is none yet.
    """
    file = run.stage("collect") / LEDGER
    if not file.exists():
        raise RequestError(f"{run.folder}: no ledger yet; run `genwright collect` on its recipe first.")
    items = read(file)
    later = run.stage("prepare") / LEDGER
    if not later.exists():
        return items
    by_id = {item.id: item for item in items}
    for row in read(later):
        item = by_id.get(row.id)
        if item is not None:
            item.status, item.reason, item.detail, item.split = row.status, row.reason, row.detail, row.split
    children: dict[str, list[Item]] = {}
    for item in items:
        if item.parent is not None:
            children.setdefault(item.parent, []).append(item)
    for parent, pieces in children.items():
        whole = by_id.get(parent)
        if whole is not None and whole.kept and not any(piece.kept for piece in pieces) and pieces[0].reason:
            whole.drop(Drop(pieces[0].reason, pieces[0].detail))
    return items


_QUOTED = "bytes:"


def _reversible(file: str | None) -> str | None:
    """A path whose bytes are not UTF-8 is percent-encoded behind a prefix no absolute path has, to be opened again later."""
    if file is None:
        return None
    try:
        file.encode()
    except UnicodeEncodeError:
        return _QUOTED + quote(os.fsencode(file))
    return file


def _reversed(file: str | None) -> str | None:
    return os.fsdecode(unquote_to_bytes(file[len(_QUOTED) :])) if file and file.startswith(_QUOTED) else file


def _storable(value: Any) -> Any:
    # A file name that is not UTF-8 reaches Python with surrogates, which Parquet cannot hold.
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def told(rows: Iterable[Item]) -> list[str]:
    """A line for each reason that rows were dropped for, with some of them and what is said of the first, the most frequent reason
    first; then one for each thing that is to be known of how kept ones were read."""
    found: dict[tuple[bool, str], list[Item]] = {}
    for row in rows:
        if row.reason is not None or row.detail:
            if row.reason == "needs_library":
                words = f"{_ending(row.path)} files, {row.reason}: {row.detail}"
            elif row.reason is None:
                words = f"kept, {row.detail.partition(' (')[0]}"
            else:
                words = f"{row.reason}: {REASONS[row.reason]}"
            found.setdefault((row.reason is None, words), []).append(row)
    lines = []
    for (kept, words), some in sorted(found.items(), key=lambda pair: (pair[0][0], -len(pair[1]))):
        shown = [printable(row.path) + (f" row {row.row}" if row.row is not None else "") for row in some]
        detail = f"; {some[0].detail}" if some[0].detail and not kept and some[0].detail not in words else ""
        lines.append(f"  {len(some):,} {words} ({', '.join(shown if len(some) <= 5 else [*shown[:3], '...'])}{detail})")
    return lines


def _ending(path: str) -> str:
    """What a file's name ends in, as its kind is called: ".docx"."""
    return printable(posixpath.splitext(path)[1].lower()) or "other"


@dataclass(frozen=True)
class Account:
    """The sum that must come out: offered = kept + dropped."""

    offered: int
    kept: int
    dropped: dict[str, int]


def account(items: Iterable[Item]) -> Account:
    """Count what was offered and what became of it; child rows are left out."""
    offered = [item for item in items if item.parent is None]
    dropped = Counter(item.reason for item in offered if not item.kept)
    return Account(len(offered), sum(item.kept for item in offered), {str(k): n for k, n in sorted(dropped.items())})


def leaves(items: Iterable[Item]) -> Iterator[Item]:
    """The kept rows that become examples: those with a split (an item that was divided stands there by its children)."""
    return (item for item in items if item.kept and item.split)
