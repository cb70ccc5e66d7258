"""What sources made of files have in common: patterns, joined tables, captions, labels and licences."""

from __future__ import annotations

import posixpath
import unicodedata
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from genwright.console import count, say
from genwright.errors import RequestError
from genwright.files import printable, read_regular
from genwright.ledger import Drop, Item, item_id
from genwright.media.base import medium
from genwright.media.text import decode, read
from genwright.registry import MEDIA
from genwright.rights.licence import Rights, is_legal_text, may_be_notice, read_notice
from genwright.sources.base import Join, Source, SourceSpec
from genwright.sources.joined import Joiner, table_test
from genwright.sources.patterns import patterns
from genwright.sources.tree import Entry

_CAPTION = (".txt", ".caption")
_LONGEST_CAPTION = 65_536


class FilesSpec(SourceSpec):
    """Settings of sources that are made of files."""

    captions: Literal["none", "beside"] = Field(
        "none",
        description="`beside`: `picture.txt` is the caption of `picture.png`, and no item of its own.",
    )
    labels: Literal["none", "folders"] = Field(
        "none",
        description="`folders`: the name of the folder that a file lies in is its label.",
    )


class FilesSource(Source):
    """A source that knows its files as entries; the rest is the same for folders, archives and packages."""

    Spec = FilesSpec

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every path inside, each once, in a stable order."""

    def offer(self) -> Iterator[Item]:
        spec: FilesSpec = self.spec
        entries = list(self._chosen(self.entries()))
        self._read_notices(entries)
        rights = Rights(self.notices, spec.licence)
        if spec.join is not None:
            items: Iterable[Item] = Joiner(self.name, spec.join, entries).offer()
        else:
            items = self._files(entries)
        used: dict[str, str | None] = {}
        for item in items:
            item.licence, item.notice = rights.of(item.path)
            if item.notice and item.kept:
                used[item.notice] = item.licence
            yield item
        self.notices = {
            path: replace(notice, licence=used[path]) for path, notice in self.notices.items() if path in used
        }

    def _chosen(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        include, exclude = patterns(self.spec.include), patterns(self.spec.exclude)
        # `*.py` asks for program text, not for what is hidden or ignored; a name without wildcards asks for that very file.
        by_name = patterns(
            [line for line in self.spec.include if not line.endswith("/") and not set("*?[") & set(line)]
        )
        join: Join | None = self.spec.join
        is_table = table_test(join) if join else lambda path: False
        self._for_notices: list[Entry] = []
        left_out = 0
        idle = {line: patterns([line.removeprefix("!")]) for line in (*self.spec.include, *self.spec.exclude)}
        for entry in entries:
            for line in [line for line, one in idle.items() if one is not None and one.match_file(entry.path)]:
                del idle[line]
            named = include is not None and include.match_file(entry.path)
            table = is_table(entry.path)
            if (include is not None and not named and not table) or (
                exclude is not None and exclude.match_file(entry.path)
            ):
                if may_be_notice(entry.name, entry.bytes):
                    self._for_notices.append(entry)
                left_out += 1
                continue
            left = entry.drop is not None and entry.drop.reason in ("hidden", "ignored") and entry.file is not None
            if left and by_name is not None and by_name.match_file(entry.path):
                entry = Entry(entry.path, entry.file, entry.bytes)
            yield entry
        if idle:
            say(
                f"{self.name}: nothing in it matches {', '.join(f'`{line}`' for line in idle)} of `include` and `exclude`."
            )
        if left_out:
            self.about["left_out_by_patterns"] = left_out

    def _read_notices(self, entries: Iterable[Entry]) -> None:
        for entry in [*entries, *self._for_notices]:
            if entry.file is None or entry.drop is not None or not may_be_notice(entry.name, entry.bytes):
                continue
            try:
                text = decode(read_regular(entry.file))
            except OSError:
                continue
            if isinstance(text, str) and (notice := read_notice(entry.path, text)):
                self.notices[entry.path] = notice

    def _files(self, entries: list[Entry]) -> Iterator[Item]:
        spec: FilesSpec = self.spec
        captions = self._captions(entries) if spec.captions == "beside" else {}
        taken = {entry.path for entry in captions.values()}
        if spec.labels == "folders":
            self._count_labels([entry for entry in entries if entry.drop is None and entry.path not in taken])
        for entry in entries:
            if entry.path in taken:
                continue
            item = file_item(self.name, entry)
            if item.kept and is_legal_text(entry.name) and entry.path in self.notices:
                item.drop(Drop("notice"))
            folder = posixpath.basename(posixpath.dirname(entry.path))
            if spec.labels == "folders" and folder:
                item.fields["label"] = printable(same(folder))
            if entry.path in captions and item.kept:
                self._caption(item, captions[entry.path])
            yield item

    def _captions(self, entries: list[Entry]) -> dict[str, Entry]:
        """The caption file of each picture or sound that has one beside it. Raises RequestError where none has."""
        found, described = _captions(entries)
        if described:
            say(f"{self.name}: `captions: beside` found one for {len(found):,} of {count(described, 'picture')}.")
        if described and not found:
            raise RequestError(
                f"{self.name}: `captions: beside` finds no caption; a.png needs a.txt or a.caption in its folder, or leave the key out."
            )
        return found

    def _count_labels(self, entries: list[Entry]) -> None:
        """Raises RequestError where no file lies in a folder that could be its label."""
        inside = sum("/" in entry.path for entry in entries)
        if inside < len(entries):
            say(
                f"{self.name}: `labels: folders` has a label for {inside:,} of {count(len(entries), 'file')}; the others lie in no folder."
            )
        if entries and not inside:
            raise RequestError(
                f"{self.name}: `labels: folders` finds no label, because no file lies in a folder; leave the key out."
            )

    def _caption(self, item: Item, entry: Entry) -> None:
        try:
            found = read(read_regular(entry.file or ""))
        except OSError as error:
            item.drop(Drop("missing_text", f"{entry.name}: {error.strerror}"))
            return
        if isinstance(found, Drop) or not found.text.strip():
            item.drop(Drop("missing_text", f"{entry.name}: {found.detail if isinstance(found, Drop) else 'empty'}"))
        elif len(found.text) > _LONGEST_CAPTION:
            item.drop(Drop("missing_text", f"{entry.name}: too long for a caption ({len(found.text):,} characters)"))
        else:
            item.fields["text"], item.detail = found.text.strip(), found.remark and f"caption {found.remark}"


def file_item(source: str, entry: Entry, row: int | None = None) -> Item:
    """The ledger row of an entry."""
    item = Item(item_id(source, entry.path, row), source, entry.path, row, bytes=entry.bytes, file=entry.file)
    if entry.drop is not None:
        item.drop(entry.drop)
        item.file = None
    return item


def same(path: str) -> str:
    """A path in the one of Unicode's two ways that most systems write; macOS and some programs write "ü" as "u" and its dots."""
    return unicodedata.normalize("NFC", path)


def _captions(entries: list[Entry]) -> tuple[dict[str, Entry], int]:
    """The caption file of each picture, or file of another medium that is no text, that has one beside it, and how many such files
    there are."""
    suffixes = {suffix for one in map(medium, MEDIA) if not one.textual for suffix in one.suffixes}
    by_stem: dict[str, Entry] = {}
    usable = [entry for entry in entries if entry.file is not None and entry.drop is None]
    for entry in usable:
        stem, suffix = posixpath.splitext(entry.path)
        if suffix.lower() in _CAPTION:
            by_stem.setdefault(stem, entry)
    for stem, entry in list(by_stem.items()):
        by_stem.setdefault(same(stem), entry)
    found, described = {}, 0
    for entry in usable:
        stem, suffix = posixpath.splitext(entry.path)
        if suffix.lower() in suffixes:
            described += 1
            if caption := by_stem.get(stem) or by_stem.get(same(stem)):
                found[entry.path] = caption
    return found, described


def cache_place(cache: Path, kind: str) -> Path:
    place = cache / kind
    place.mkdir(parents=True, exist_ok=True)
    return place
