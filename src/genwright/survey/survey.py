"""What lies in a folder: counted by medium, measured, with captions, labels and a table where there are."""

from __future__ import annotations

import hashlib
import os
import posixpath
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

from genwright import cache
from genwright.about import File, Survey
from genwright.console import progress
from genwright.errors import RequestError
from genwright.files import printable, read_regular
from genwright.ledger import Drop, Item
from genwright.media.base import Measures, is_textual, medium_of
from genwright.media.kind import CODE_SUFFIXES, HEAD_BYTES
from genwright.media.text import decode
from genwright.registry import MEDIA
from genwright.sources.archive import ArchiveSource, is_archive_name
from genwright.sources.captions import CAPTION, languages
from genwright.sources.files import FilesSource
from genwright.sources.folder import FolderSource
from genwright.sources.ignored import is_program
from genwright.sources.place import same
from genwright.stages.collect.read import Measured, measure
from genwright.survey.contents import Contents
from genwright.survey.tables import find_tables

_READ_WHOLE = 5_000
_READ_WHOLE_BYTES = 2 << 30
_FEW_PER_LABEL = 5


def look(folder: Path) -> Survey:
    """Look at a folder or an archive. Raises RequestError when it isn't there."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # as the user sees it: `..` taken away, links kept
    source = _source(folder)
    survey = Survey(str(folder), "folder" if isinstance(source, FolderSource) else "archive")
    items = list(source.offer())
    survey.offered = len(items)
    contents = Contents(survey)
    measures = _measure(items, survey, contents)
    tables = find_tables([item for item in items if item.kept])
    survey.tables += tables.found
    contents.read_again(tables.none)
    captions = _captions(items)
    survey.captions = len(captions)
    survey.languages = _languages(item for item in items if item.path in captions)
    survey.program = is_program(item.path.rstrip("/") for item in items)
    known = {found.table for found in survey.tables}
    kept = _without_duplicates([i for i in items if i.kept and i.path not in captions and i.path not in known])
    kept = [item for item in kept if item.path not in survey.lost()]
    survey.named = tables.named
    _set_figures_apart(survey, kept, tables.plain, measures)
    apart = set(survey.figures)
    usable = [item for item in kept if item.path not in apart]
    survey.media = dict(Counter(str(item.medium) for item in usable))
    _sum_up(usable, measures, survey)
    survey.bytes = sum(item.bytes or 0 for item in items if item.kept)
    _note_code(survey, kept)
    survey.titles = _titles(usable)
    survey.labels = _labels([item for item in kept if _is_described(item)])
    survey.remarks = dict(Counter(item.detail.partition(" (")[0] for item in usable if item.detail).most_common())
    dropped = [item for item in items if not item.kept]
    survey.dropped = dict(Counter(str(item.reason) for item in dropped).most_common())
    survey.examples = {str(item.reason): _example(item) for item in reversed(dropped)}
    survey.licences = dict(Counter(i.licence or "unknown" for i in items if i.kept).most_common(5))
    survey.files = [File(i.path, i.medium or "", i.reason or "", i.detail, i.path in captions) for i in items]
    return survey


def _set_figures_apart(
    survey: Survey, kept: Sequence[Item], plain: Sequence[str], measures: Mapping[str, Measures]
) -> None:
    """Tables of numbers are no prose; nor are others without sentences, unless there is nothing else."""
    there = [item for item in kept if is_textual(item.medium) and _ending(item) not in CODE_SUFFIXES]
    numbers = {item.path for item in there if "numbers" in measures.get(item.id, {})}
    without = {item.path for item in there} & {*plain} - numbers
    alone = len(numbers) + len(without) == len(there) and not survey.tables
    survey.figures, survey.columns = sorted(numbers if alone else numbers | without), sorted(without if alone else ())


def _note_code(survey: Survey, kept: Sequence[Item]) -> None:
    texts = [item for item in kept if is_textual(item.medium)]
    code = [item for item in texts if _ending(item) in CODE_SUFFIXES]
    survey.code, survey.code_characters = len(code), sum(item.characters or 0 for item in code)
    survey.code_endings = [ending for ending, _ in Counter(map(_ending, code)).most_common()]


def _ending(item: Item) -> str:
    return posixpath.splitext(item.path)[1].lower()


def _example(item: Item) -> str:
    """A file that was left out; with what is to be done where a library is missing."""
    return printable(item.path) + (f": {item.detail}" if item.reason == "needs_library" else "")


def _source(folder: Path) -> FilesSource:
    if folder.is_file() and is_archive_name(folder.name):
        return ArchiveSource(ArchiveSource.Spec.model_validate({"archive": str(folder)}), cache.folder())
    if not folder.exists():
        raise RequestError(f"{folder}: there is no such folder; name one with your texts or pictures in it.")
    if folder.is_file():
        raise RequestError(f"{folder}: a file; name the folder that it lies in, or a zip or tar file.")
    return FolderSource(FolderSource.Spec.model_validate({"folder": str(folder)}), cache.folder())


def _measure(items: Sequence[Item], survey: Survey, contents: Contents) -> dict[str, Measures]:
    """Read the files whose hashes come first whole, and of the others the first bytes. Returns what was measured, by the items' ids."""
    waiting = sorted((i for i in items if i.kept and i.file), key=lambda i: hashlib.sha256(i.id.encode()).digest())
    done, measures = 0, {}
    with progress(f"look at {survey.folder}", len(waiting)) as line:
        for number, item in enumerate(waiting):
            line.update(number)
            whole = number < _READ_WHOLE and done < _READ_WHOLE_BYTES
            done += (item.bytes or 0) if whole else HEAD_BYTES
            try:
                data = read_regular(str(item.file), -1 if whole else HEAD_BYTES)
            except OSError as error:
                item.drop(Drop("unreadable", error.strerror or ""))
                continue
            measured = measure(data, medium_of(data[:HEAD_BYTES])) if whole else _by_head(data, item)
            if whole and measured.medium == "text" and not measured.drop:
                contents.read(item, data)
            survey.measured_whole += whole
            measured.note(item)
            item.detail = measured.detail
            measures[item.id] = measured.measures
            if measured.drop:
                item.drop(measured.drop)
    return measures


def _sum_up(kept: Sequence[Item], measures: dict[str, Measures], survey: Survey) -> None:
    """Sums and medians of what was measured, medium by medium; a sum stands for all, also where some were not read."""
    values: dict[str, dict[str, list[float]]] = {}
    for item in kept:
        for name, value in measures.get(item.id, {}).items():
            values.setdefault(str(item.medium), {}).setdefault(name, []).append(value)
    for medium, named in values.items():
        count = survey.media[medium]
        survey.totals[medium] = {name: sum(found) * count / len(found) for name, found in named.items()}
        survey.medians[medium] = {name: statistics.median(found) for name, found in named.items()}
    survey.characters = round(survey.totals.get("text", {}).get("characters", 0))
    survey.median_characters = round(survey.medians.get("text", {}).get("characters", 0))
    survey.median_width, survey.median_height = (
        round(survey.medians.get("image", {}).get(name, 0)) for name in ("width", "height")
    )


def _is_described(item: Item) -> bool:
    """Whether an item is of a medium that words are said of: by a caption beside it, a folder's name."""
    return item.medium in MEDIA and not is_textual(item.medium)


def _by_head(head: bytes, item: Item) -> Measured:
    """What the first bytes of a file say of it."""
    if not head:
        return Measured(reason="empty")
    medium = medium_of(head)
    # Nearly a byte a character; what else a file measures, only the whole of it tells.
    return Measured(medium=medium, measures={"characters": item.bytes or 0} if medium == "text" else {})


def _captions(items: Sequence[Item]) -> set[str]:
    """Paths of the texts that are the caption of a picture, or what else is no text, beside them."""
    stems = {posixpath.splitext(item.path)[0] for item in items if item.kept and _is_described(item)}
    texts = (item for item in items if item.kept and item.path.lower().endswith(CAPTION))
    return {item.path for item in texts if same(posixpath.splitext(item.path)[0]) in stems}


def _languages(captions: Iterable[Item]) -> dict[str, int]:
    """How many of some captions that have several languages have each."""
    counts: Counter[str] = Counter()
    for item in islice(captions, _READ_WHOLE):
        try:
            text = decode(read_regular(str(item.file)))
        except OSError:
            continue
        counts.update(list(languages(text)) if isinstance(text, str) else ())
    return dict(counts.most_common())


def _titles(usable: Sequence[Item]) -> int:
    """How many say inside what they are, if those that were read whole are like the others."""
    described = [item for item in usable if _is_described(item)]
    read = sum(item.sha256 is not None for item in described)
    return round(sum("title" in item.fields for item in described) * len(described) / read) if read else 0


def _without_duplicates(items: Sequence[Item]) -> list[Item]:
    first: dict[str, Item] = {}
    for item in items:
        if item.sha256 and first.setdefault(item.sha256, item) is not item:
            item.drop(Drop("duplicate"))
    return [item for item in items if item.kept]


def _labels(described: Sequence[Item]) -> dict[str, int]:
    counts = Counter(posixpath.basename(posixpath.dirname(item.path)) for item in described)
    counts.pop("", None)
    named = {name: count for name, count in counts.most_common() if count >= _FEW_PER_LABEL}
    return named if len(named) >= 2 and 2 * sum(named.values()) > len(described) else {}
