"""What sources made of files have in common: patterns, joined tables, captions, labels and licences."""

from __future__ import annotations

import posixpath
import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from genwright.console import count, say
from genwright.errors import RequestError
from genwright.files import printable, read_regular
from genwright.ledger import Drop, Item, item_id
from genwright.media.text import decode
from genwright.registry import SOURCES, source_kind
from genwright.rights.licence import INSIDE, Rights, is_legal_text, may_be_notice, read_notice, recognise
from genwright.rights.names import spdx, together
from genwright.sources.base import Join, Source, SourceSpec, spec_of
from genwright.sources.captions import CAPTION, caption, captions
from genwright.sources.joined import Joiner, table_test
from genwright.sources.patterns import patterns
from genwright.sources.place import Place, same
from genwright.sources.several import MAIN, TEXT, Several, check_pattern
from genwright.sources.template import MissingError, fill
from genwright.sources.tree import Entry

_SAID = ("title", "keywords", "author", "description")
"""What a file may say of itself, by the names that templates have for it."""


class FilesSpec(SourceSpec):
    """Settings of sources that are made of files."""

    captions: Literal["none", "beside"] = Field(
        "none",
        description="`beside`: `picture.txt` is the caption of `picture.png`, and no item of its own.",
    )
    language: str | None = Field(
        None,
        description="Where captions are in several languages, as those of Tux Paint: the one that is taken (`de`), else the first line's.",
    )
    labels: Literal["none", "folders"] = Field(
        "none",
        description="`folders`: the name of the folder that a file lies in is its label.",
    )
    text: str | Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="The words of a file, of what is known of it: `{title}`, `{keywords}`, `{author}` and `{description}` that stand inside "
        "it (SVG, XMP), the `{name}` of the file, that of its `{folder}`, its `{caption}`. Of a list the first that can be filled in.",
    )
    files: dict[str, str] | None = Field(
        None,
        description="Where an item is several files: a pattern for each, by what it is to the task, as `{main: noisy/*.wav, target: "
        "clean/*.wav}`. `*` is what their names share. `text` is a file with an item's words; without `main` every other file is one.",
    )

    @field_validator("files")
    @classmethod
    def _patterns(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not set(value) - {MAIN}:
            raise ValueError("name a further file beside `main`, such as `target: clean/*.png`")
        return value and {role: check_pattern(pattern) for role, pattern in value.items()}

    @model_validator(mode="after")
    def _one_way(self) -> FilesSpec:
        if self.join is not None and (self.files is not None or self.text is not None):
            raise ValueError("where there is a `join`, say `text` and `files` inside it")
        if self.files is not None and TEXT in self.files and self.captions != "none":
            raise ValueError("`files.text` and `captions` both say where the words are; leave one out")
        return self


class FilesSource(Source):
    """A source that knows its files as entries; the rest is the same for folders, archives and packages."""

    Spec = FilesSpec

    @abstractmethod
    def entries(self) -> Iterator[Entry]:
        """Every path inside, each once, in a stable order."""

    def place(self) -> Place:
        """What the patterns leave of the entries, with what is said of rights."""
        entries = list(self._chosen(self.entries()))
        self._read_notices(entries)
        return Place(self.name, {entry.path: entry for entry in entries}, Rights(self.notices, self.spec.licence))

    def offer(self) -> Iterator[Item]:
        spec: FilesSpec = self.spec
        place = self.place()
        others: list[Place] = []
        items = self._files(place) if spec.join is None else self._joined(spec.join, place, others)
        used: dict[str, set[str]] = {}
        for item in items:
            item.licence, item.notice = place.rights.of(item.path)
            if item.notice and item.kept:
                used.setdefault(item.notice, set()).add(str(item.licence))
            yield item
        for notice in place.used:
            used.setdefault(notice, {str(self.notices[notice].licence)} if notice in self.notices else set())
        self.notices = {
            path: replace(notice, licence=" AND ".join(sorted(used[path])))
            for path, notice in self.notices.items()
            if path in used
        } | {f"{other.name}/{path}": notice for other in others for path, notice in other.notices()}

    def complete(self, item: Item) -> None:
        """Words out of what a file says of itself, and its licence, which is nearer than any notice."""
        spec: FilesSpec = self.spec
        inside = item.fields.get("licence")
        if inside and spec.licence is None:
            item.licence, item.notice = recognise(inside) or spdx(inside), INSIDE
        if item.files and spec.licence is None:
            item.licence = together([item.licence, *(one.licence for one in item.files.values())])
        if spec.text is not None and item.kept:
            self._describe(item, [spec.text] if isinstance(spec.text, str) else spec.text)

    def _describe(self, item: Item, templates: Sequence[str]) -> None:
        known = {name: item.fields[name] for name in _SAID if name in item.fields}
        stem = posixpath.splitext(posixpath.basename(item.path))[0]
        known["name"] = " ".join(re.split(r"[\s_]+", printable(stem))).strip()
        known["folder"] = printable(same(posixpath.basename(posixpath.dirname(item.path))))
        known["caption"] = item.fields.pop("text", "")
        why = ""
        for template in templates:
            try:
                item.fields["text"] = fill(template, known)
                return
            except MissingError as missing:
                why = missing.why
            except ValueError as error:
                raise RequestError(f"{self.name}: `text`: {error}.") from error
        item.drop(Drop("missing_text", why))

    def _joined(self, join: Join, place: Place, others: list[Place]) -> Iterator[Item]:
        """The rows of the join, with the places that it names in other sources, which are added to `others`."""
        further: dict[str, Place] = {}
        for role, wanted in (join.files or {}).items():
            further[role] = place if isinstance(wanted, str) else self._other(wanted.from_ or {})
        tables = None if join.from_ is None else list(self._other(join.from_).entries.values())
        others += [other for other in further.values() if other is not place]
        return Joiner(place, join, tables, further).offer()

    def _other(self, given: dict[str, Any]) -> Place:
        """The files of another source that a join names. Raises RequestError where it has none."""
        source = SOURCES[source_kind(given)].load()(spec_of(given), self.cache, offline=self.offline)
        if not isinstance(source, FilesSource):
            raise RequestError(
                f"{self.name}: `from` takes files, and {source.name} is none that has some; name a folder, an archive or a package."
            )
        place = source.place()
        self.about.setdefault("from", {})[source.name] = source.about
        return place

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

    def _files(self, place: Place) -> Iterator[Item]:
        spec, entries = self.spec, list(place.entries.values())
        several = Several(spec.files, place, spec.language) if spec.files else None
        beside = self._captions(entries) if spec.captions == "beside" else {}
        taken = {entry.path for entry in beside.values()}
        taken |= {entry.path for entry in entries if several and several.is_taken(entry)}
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
            if several:
                several.complete(item, entry)
            if entry.path in beside and item.kept:
                caption(item, beside[entry.path], spec.language)
            elif beside and item.kept and entry.name.lower().endswith(CAPTION):
                item.drop(Drop("unreferenced", "a caption, or another text, without a picture of its name"))
            yield item

    def _captions(self, entries: list[Entry]) -> dict[str, Entry]:
        """The caption file of each picture or sound that has one beside it. Raises RequestError where none has."""
        found, described = captions(entries)
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


def file_item(source: str, entry: Entry, row: int | None = None) -> Item:
    """The ledger row of an entry."""
    item = Item(item_id(source, entry.path, row), source, entry.path, row, bytes=entry.bytes, file=entry.file)
    if entry.drop is not None:
        item.drop(entry.drop)
        item.file = None
    return item


def cache_place(cache: Path, kind: str) -> Path:
    place = cache / kind
    place.mkdir(parents=True, exist_ok=True)
    return place
