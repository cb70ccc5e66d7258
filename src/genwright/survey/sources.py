"""The sources of a recipe that `genwright new` writes, and what they take and leave of a folder."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from genwright.about import File, Found, Survey, Verdict
from genwright.console import count
from genwright.errors import RequestError
from genwright.media.base import medium
from genwright.registry import MEDIA, about
from genwright.sources.files import same

_NAMED = 20
"""More files than these are named by their ending, where that is theirs alone."""


class Key(NamedTuple):
    """A key of a source, with its value and the comment behind it."""

    name: str
    value: Any
    comment: str = ""


Source = list[Key]


class Sources:
    """What a task takes of a folder: as sources of a recipe, and file by file."""

    def __init__(self, survey: Survey, task: str, verdict: Verdict):
        self.survey, self.task, self.include = survey, task, verdict.include
        self.medium = medium(about(task).medium)
        self.whole = survey.whole(task)
        self.tables = self._tables()
        self.figures, self.lost = (
            set(survey.figures),
            {one.path: one for one in survey.refused if one.path in survey.lost()},
        )
        self.unlabelled = survey.without_label(self.medium.name) if not self.medium.textual else set()
        named = [survey.named.get(table.table, set()) for table in self.tables if table.path]
        self.named = set().union(*named) if named else None
        self._taken = {table.table for table in self.tables}
        self._other_tables = {found.table for found in survey.tables} - self._taken

    @property
    def prose(self) -> bool:
        """Whether texts of any kind are learned as they are."""
        return self.medium.textual and not self.whole and not self.include

    def _tables(self) -> list[Found]:
        """The tables that are joined, or the files that are taken as they stand."""
        if self.whole:
            return self.whole
        if self.medium.textual:
            return [] if self.include else self.survey.written()
        found, named = [], 0
        for table in sorted((t for t in self.survey.tables if t.path), key=lambda t: -t.rows):
            # Another table of the same pictures would only bring them a second time.
            if not found or named + table.rows <= 1.05 * self.survey.media.get(self.medium.name, 0):
                found.append(table)
                named += table.rows
        return found

    def left(self, file: File) -> str:
        """Why a file is not taken; "" where it is."""
        if file.reason:
            return (
                file.reason if file.reason == "hidden" else f"{file.reason}{f' ({file.detail})' if file.detail else ''}"
            )
        if file.path in self._taken or (file.caption and not self.medium.textual):
            return ""
        if one := self.lost.get(file.path):
            return f"what {one.task} can't learn: {one.why}"
        if self.whole:
            return f"nothing that {self.task} takes as it stands"
        if file.medium != self.medium.name:
            known = file.medium in MEDIA
            return f"{file.medium}, not {self.medium.name}" if known else f"neither {' nor '.join(MEDIA)}"
        if file.path in self.unlabelled:
            return "missing_text (no folder that could be its label)"
        if self.named is not None and same(file.path) not in self.named and not self.medium.textual:
            return "unreferenced (no row of the table names it)"
        if self.include:
            return "" if file.ending in self.include else f"not what {self.task} is for"
        if self.medium.textual and file.path in self._other_tables:
            return "a table of something else"
        return "figures or a table without sentences" if file.path in self.figures else ""

    def recipe(self, file: Path) -> list[Source]:
        """The sources of the recipe that `file` is to be."""
        first, own = self._folder(file)
        if about(self.task).roles:
            return self._sides(first, own)
        if self.whole:
            return self._whole(first, own)
        groups = _groups(self.tables)
        if self.medium.textual and (self.survey.texts or not groups):
            apart = self.figures | self._other_tables | self._taken | self.lost.keys()
            return [self._files(first, own, apart), *(self._joined(first, own, its, only=True) for its in groups)]
        return [self._joined(first, own, its) for its in groups] or [self._described(first, own)]

    def _folder(self, file: Path) -> tuple[Key, list[str]]:
        """The key that names the folder, and patterns of what in it is none of its data: the recipe itself and its results."""
        data, here = Path(self.survey.folder).absolute(), file.parent.absolute()
        shown = str(data.relative_to(here)) if data.is_relative_to(here) else str(data)
        exclude = [file.name, "/runs/"] if self.survey.kind == "folder" and here == data else []
        if here.is_relative_to(data) and here != data:
            inside = here.relative_to(data).as_posix()
            exclude = [f"/{inside}/{file.name}", f"/{inside}/runs/"]
        return Key(self.survey.kind, shown), exclude

    def _whole(self, first: Key, own: list[str]) -> list[Source]:
        joined, files = ([f.table for f in self.whole if f.joined is kind] for kind in (True, False))
        sources = []
        if joined:
            sources.append(
                [
                    first,
                    *_exclude(own, self._patterns(files), "they are a source of their own"),
                    Key("join", {"table": _one_or_more(self._names(joined))}, f"{self.task} takes a row as it stands"),
                ]
            )
        if files:
            include = Key("include", self._patterns(files), f"{self.task} takes such a file as it stands")
            sources.append([first, include, *_exclude(own)])
        return sources

    def _files(self, first: Key, own: list[str], apart: Iterable[str]) -> Source:
        if self.include:
            include = [f"*{ending}" if ending.startswith(".") else ending for ending in self.include]
            return [
                first,
                Key("include", include, "documents and what else lies there are not learned"),
                *_exclude(own),
            ]
        return [first, *_exclude(own, self._patterns(sorted(apart)), "tables and figures are not learned as prose")]

    def _joined(self, first: Key, own: list[str], tables: Sequence[Found], only: bool = False) -> Source:
        names = [table.table for table in tables]
        join = {"table": _one_or_more(self._names(names)), **tables[0].columns()}
        include = [Key("include", self._patterns(names))] if only else []
        return [first, *include, *_exclude(own), Key("join", join)]

    def _described(self, first: Key, own: list[str]) -> Source:
        """Captions beside, folders as labels."""
        one, survey = self.medium, self.survey
        keys = [first, *_exclude(own)]
        count = survey.media.get(one.name, 0)
        if 2 * survey.captions >= count:
            keys.append(Key("captions", "beside", f"{one.noun}.txt is the caption of {one.noun}{one.suffixes[0]}"))
            if survey.languages:
                languages = list(survey.languages)
                keys.append(Key("language", languages[0], f"there are captions in {', '.join(languages[:40])}"))
        elif 2 * survey.titles >= count:
            why = f"the title inside each {one.noun}, else the file's name; there may be {{keywords}} and a {{description}} too"
            keys.append(Key("text", ["{title}", "{name}"], why))
        if survey.labels:
            keys.append(Key("labels", "folders", f"the folder's name is the {one.noun}'s label"))
        return keys

    @property
    def sides(self) -> dict[str, str]:
        """For a task that tells its sources apart: the folders inside that hold its items, one for each role, by the role. Raises RequestError
        where there are not as many."""
        roles = about(self.task).roles
        counts = Counter(path.partition("/")[0] for path in self._own_files() if "/" in path)
        if len(counts) != len(roles):
            raise RequestError(
                f"{self.survey.folder}: `{self.task}` tells {len(roles)} kinds of {self.medium.plural} apart, and they lie in "
                f"{count(len(counts), 'folder')} here; put each kind into a folder of its own inside it, and nothing else beside."
            )
        return dict(zip(roles, sorted(counts), strict=True))

    def _own_files(self) -> list[str]:
        return [one.path for one in self.survey.files if one.medium == self.medium.name and not one.reason]

    def _sides(self, first: Key, own: list[str]) -> list[Source]:
        """A source for each role; or one, where the files of two folders have the same names and so belong together."""
        sides, further = self.sides, about(self.task).files
        names = [
            {posixpath.splitext(path.partition("/")[2])[0] for path in self._own_files() if path.startswith(f"{side}/")}
            for side in sides.values()
        ]
        shared = set.intersection(*names)
        if further and 2 * len(shared) >= max(map(len, names)):
            files = {role: f"{side}/*.*" for role, side in zip(("main", *further), sides.values(), strict=True)}
            why = "files of the same name show the same"
            return [[first, *_exclude(own), Key("files", files, why)]]
        return [
            [first, Key("include", [f"/{_escaped(side)}/**"]), *_exclude(own), Key("as", role)]
            for role, side in sides.items()
        ]

    def _names(self, paths: Sequence[str]) -> list[str]:
        """Paths as they are, or patterns where they are many and all that have their endings."""
        endings = {posixpath.splitext(path)[1] for path in paths}
        same = [
            file.path for file in self.survey.files if posixpath.splitext(file.path)[1] in endings and not file.reason
        ]
        if len(paths) <= _NAMED or len(same) > len(paths) or "" in endings:
            return list(paths)
        return [f"**/*{ending}" for ending in sorted(endings)]

    def _patterns(self, paths: Sequence[str]) -> list[str]:
        """The same as patterns of `include` and `exclude`."""
        names = self._names(paths)
        return names if names != list(paths) else [f"/{_escaped(name)}" for name in names]


def _exclude(own: Sequence[str], more: Sequence[str] = (), why: str = "") -> list[Key]:
    comments = [*(["this recipe and its results are no data"] if own else []), *([why] if more else [])]
    return [Key("exclude", [*own, *more], "; ".join(comments))] if own or more else []


def _groups(tables: Sequence[Found]) -> list[list[Found]]:
    """Tables that have the same columns for the same things."""
    groups: dict[str, list[Found]] = {}
    for table in tables:
        groups.setdefault(str(table.columns()), []).append(table)
    return list(groups.values())


def _one_or_more(names: Sequence[str]) -> str | list[str]:
    return names[0] if len(names) == 1 else list(names)


def _escaped(path: str) -> str:
    escaped = re.sub(r"([*?\[\]\\!#])", r"\\\1", path)
    return f"{escaped[:-1]}\\ " if escaped.endswith(" ") else escaped


def by_ending(survey: Survey, sources: Sources) -> dict[str, Counter[str]]:
    """For each ending how many files are taken (under ""), and how many are left for what reason; folders that were
    left out whole first, then the most frequent ending."""
    counted: dict[str, Counter[str]] = {}
    for file in survey.files:
        counted.setdefault(file.ending, Counter())[sources.left(file)] += 1
    return dict(sorted(counted.items(), key=lambda pair: (pair[0] != "/", -pair[1].total())))
