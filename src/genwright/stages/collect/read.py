"""Reading what sources offered: what each item is, its hash, its size; remembered, so that only new files are read."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from genwright.console import progress
from genwright.files import read_regular
from genwright.ledger import WHOLE_ROW, Drop, Further, Item
from genwright.media.base import Measures, Probed, is_of, medium, medium_of
from genwright.media.kind import HEAD_BYTES
from genwright.media.text import probe_row
from genwright.run import write_atomic

if TYPE_CHECKING:
    from genwright.tasks.base import BaseTask

_VERSION = 4
_AT_ONCE = 64
_COLUMNS = ("characters", "width", "height")
"""Measures that have a column in the ledger."""


@dataclass(frozen=True)
class Measured:
    """What the bytes of a file say, whatever the recipe's limits are."""

    sha256: str = ""
    bytes: int = 0
    medium: str = ""
    measures: Measures = field(default_factory=dict)
    reason: str = ""
    detail: str = ""
    """Why it can't be used; of what can be, how it was read where that is to be known."""
    fields: dict[str, str] = field(default_factory=dict)
    """What it says of itself, and what read it (`Probed.fields`)."""

    @property
    def drop(self) -> Drop | None:
        return Drop(self.reason, self.detail) if self.reason else None

    def note(self, item: Item) -> None:
        """Write it into an item's row. What the recipe's table says under the name of a measure stays."""
        if self.sha256:
            item.sha256, item.bytes = self.sha256, self.bytes
        if self.sha256 or self.medium:
            item.medium = self.medium or None
        whole = {name: int(value) for name, value in self.measures.items() if name in _COLUMNS}
        item.characters, item.width, item.height = (whole.get(name) for name in _COLUMNS)
        others = {name: str(value) for name, value in self.measures.items() if name not in whole}
        for name, value in (others | self.fields).items():
            item.fields.setdefault(name, value)


def measure(data: bytes, wanted: str) -> Measured:
    """Hash, medium and measures; a medium that is not wanted is not decoded."""
    head = data[:HEAD_BYTES]
    if not data:
        return Measured(hashlib.sha256(data).hexdigest(), 0, reason="empty")
    if not is_of(head, wanted):
        return Measured(hashlib.sha256(data).hexdigest(), len(data), medium_of(head))
    return _probed(data, wanted, lambda: medium(wanted).probe(data))


def _probed(data: bytes, name: str, probe: Callable[[], Probed | Drop]) -> Measured:
    sha256, size = hashlib.sha256(data).hexdigest(), len(data)
    try:
        found = probe()
    except Exception as error:  # a decoder may fail in any way on a file made to break it, and must not cost the rest
        found = Drop("undecodable", f"{type(error).__name__}: {error}"[:200])
    if isinstance(found, Drop):
        return Measured(sha256, size, name, reason=found.reason, detail=found.detail)
    return Measured(sha256, size, name, found.measures, detail=found.remark, fields=dict(found.fields))


class Reader:
    """Fills in what is to be known of items, and drops those that can't be used.

    What was measured is appended to a file of JSON lines as it is found, keyed by path, size and time of change, so a
    stopped run goes on where it was; a line cut short is left out.
    """

    def __init__(self, file: Path, task: BaseTask, max_item_bytes: int):
        self.file, self.max_item_bytes = file, max_item_bytes
        self.medium, self.settings = medium(task.medium), task.prepare.model_dump()
        self.head = json.dumps({"version": _VERSION, "medium": task.medium, "decoder": self.medium.decoder()})
        self.seen = self._load()
        self.used: dict[str, Measured] = {}
        self.log: IO[str] | None = None

    def __enter__(self) -> Reader:
        self._rewrite(self.seen)
        self.log = self.file.open("a", encoding="utf-8")
        return self

    def __exit__(self, *error: object) -> None:
        assert self.log is not None
        self.log.close()
        if error[0] is None:
            self._rewrite(self.used)

    def read(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.kept and item.bytes is not None and item.bytes > self.max_item_bytes:
                item.drop(Drop("too_large", f"{item.bytes:,} bytes; the limit is {self.max_item_bytes:,}"))
        waiting = [item for item in items if item.kept]
        total = sum(item.bytes or 0 for item in waiting)
        done = 0
        with progress("read and check", total or None) as line:
            for item, measured in self._measured(waiting):
                self._judge(item, measured)
                done += item.bytes or 0
                line.update(done, item.path[-40:].encode("ascii", "replace").decode())

    def _measured(self, items: Sequence[Item]) -> Iterator[tuple[Item, Measured]]:
        files: dict[tuple[str, bool], Measured] = {}
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for start in range(0, len(items), _AT_ONCE):
                block = items[start : start + _AT_ONCE]
                # A file that several rows name is read once.
                wanted = [(item.file, False) for item in block if item.file is not None]
                wanted += [(one.file, True) for item in block for one in item.files.values()]
                paths = dict.fromkeys(path for path in wanted if path not in files)
                files.update(zip(paths, pool.map(lambda path: self._of_file(*path), paths), strict=True))
                for item in block:
                    for role, one in item.files.items():
                        self._judge_further(item, role, one, files[one.file, True])
                    yield item, self._of_row(item) if item.file is None else files[item.file, False]

    def _judge_further(self, item: Item, role: str, one: Further, measured: Measured) -> None:
        """A further file of an item, as what it is; one that can't be used costs the item."""
        one.sha256, one.bytes, one.medium = measured.sha256 or None, measured.bytes, measured.medium or None
        one.licence = measured.fields.get("licence", one.licence)
        drop = measured.drop
        if drop is None and one.bytes > self.max_item_bytes:
            drop = Drop("too_large", f"{one.bytes:,} bytes; the limit is {self.max_item_bytes:,}")
        if drop is None and one.medium == self.medium.name:
            drop = self.medium.limit(measured.measures, measured.bytes, self.settings)
        if drop is not None and item.kept:
            item.drop(Drop(drop.reason, f"its {role}, {one.path}" + (f": {drop.detail}" if drop.detail else "")))

    def _of_row(self, item: Item) -> Measured:
        content = item.fields.get("text", item.fields.get(WHOLE_ROW, ""))
        return _probed(content.encode("utf-8", "surrogatepass"), "text", lambda: probe_row(content))

    def _of_file(self, file: str, further: bool = False) -> Measured:
        """What a file measures; a further one of an item may be of another medium than the task's."""
        try:
            status = os.lstat(file)
            key = f"{file}\t{status.st_size}\t{status.st_mtime_ns}" + "\tfurther" * further
            measured = self.seen.get(key)
            if measured is None:
                data = read_regular(file)
                head = data[:HEAD_BYTES]
                other = further and not is_of(head, self.medium.name)
                measured = measure(data, medium_of(head) if other else self.medium.name)
                assert self.log is not None
                self.log.write(_line(key, measured))
        except OSError as error:
            return Measured(reason="unreadable", detail=error.strerror or str(error))
        except (ValueError, ArithmeticError, LookupError, RuntimeError, MemoryError) as error:
            # A decoder may fail in any of these ways on a file made to break it; one bad file must not cost the run.
            return Measured(reason="undecodable", detail=f"{type(error).__name__}: {error}"[:200])
        self.used[key] = measured
        return measured

    def _judge(self, item: Item, measured: Measured) -> None:
        measured.note(item)
        if not item.kept:
            return
        item.detail = item.detail or measured.detail
        drop = measured.drop or self._wrong_medium(item)
        drop = drop or self.medium.limit(measured.measures, measured.bytes, self.settings)
        if drop is not None:
            item.drop(drop)

    def _wrong_medium(self, item: Item) -> Drop | None:
        wanted = self.medium.name
        if item.medium == wanted:
            return None
        named = posixpath.splitext(item.path)[1].lower() in self.medium.suffixes
        if item.medium == "other" and named and item.file is not None:
            return Drop("undecodable", f"its name says {wanted}, its first bytes do not")
        return Drop("wrong_medium", f"{item.medium}, not {wanted}")

    def _load(self) -> dict[str, Measured]:
        if not self.file.exists():
            return {}
        seen: dict[str, Measured] = {}
        with self.file.open(encoding="utf-8", errors="replace") as lines:
            if next(lines, "").rstrip("\n") != self.head:
                return {}
            for line in lines:
                try:
                    key, content = json.loads(line)
                    seen[key] = Measured(**content)
                except (ValueError, TypeError):
                    continue
        return seen

    def _rewrite(self, measured: dict[str, Measured]) -> None:
        write_atomic(self.file, self.head + "\n" + "".join(_lines(measured.items())))


def _lines(measured: Iterable[tuple[str, Measured]]) -> Iterator[str]:
    return (_line(key, value) for key, value in measured)


def _line(key: str, measured: Measured) -> str:
    content = {name: value for name, value in asdict(measured).items() if value not in (None, "", {})}
    return json.dumps([key, content]) + "\n"
