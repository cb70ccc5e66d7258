"""What lies in a folder: counted by medium, measured, with captions, labels and a table where there are."""

from __future__ import annotations

import hashlib
import os
import posixpath
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from genwright import cache
from genwright.about import Survey
from genwright.console import progress
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import Drop, Item
from genwright.media.base import Measures, is_textual, medium_of
from genwright.media.kind import CODE_SUFFIXES, HEAD_BYTES
from genwright.registry import MEDIA
from genwright.sources.archive import ArchiveSource, is_archive_name
from genwright.sources.files import FilesSource, same
from genwright.sources.folder import FolderSource
from genwright.sources.regular import read_regular
from genwright.stages.collect.read import Measured, measure
from genwright.survey.tables import find_table

_READ_WHOLE = 5_000
_READ_WHOLE_BYTES = 2 << 30
_FEW_PER_LABEL = 5


_CAPTIONS = (".txt", ".caption")


def look(folder: Path) -> Survey:
    """Look at a folder or an archive. Raises RequestError when it isn't there."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # as the user sees it: `..` taken away, links kept
    source = _source(folder)
    survey = Survey(str(folder), "folder" if isinstance(source, FolderSource) else "archive")
    items = list(source.offer())
    survey.offered = len(items)
    measures = _measure(items, survey)
    survey.table = find_table([item for item in items if item.kept])
    captions = _captions(items)
    survey.captions = len(captions)
    kept = [
        i for i in items if i.kept and i.path not in captions and (not survey.table or i.path != survey.table.table)
    ]
    kept = _without_duplicates(kept)
    survey.media = dict(Counter(str(item.medium) for item in kept))
    _sum_up(kept, measures, survey)
    survey.bytes = sum(item.bytes or 0 for item in kept)
    texts = [item for item in kept if is_textual(item.medium)]
    code = [item for item in texts if posixpath.splitext(item.path)[1].lower() in CODE_SUFFIXES]
    survey.code, survey.code_characters = len(code), sum(item.characters or 0 for item in code)
    survey.labels = _labels([item for item in kept if _is_described(item)])
    survey.remarks = dict(Counter(item.detail.partition(" (")[0] for item in kept if item.detail).most_common(5))
    dropped = [item for item in items if not item.kept]
    survey.dropped = dict(Counter(str(item.reason) for item in dropped).most_common())
    survey.examples = {str(item.reason): _example(item) for item in reversed(dropped)}
    survey.licences = dict(Counter(item.licence or "unknown" for item in kept).most_common(5))
    return survey


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


def _measure(items: Sequence[Item], survey: Survey) -> dict[str, Measures]:
    """Read the files whose hashes come first whole, and of the others the first bytes. Returns what was measured, by the items' ids."""
    waiting = sorted((i for i in items if i.kept and i.file), key=lambda i: hashlib.sha256(i.id.encode()).digest())
    done, measures = 0, {}
    with progress(f"look at {survey.folder}", len(waiting)) as line:
        for number, item in enumerate(waiting):
            line.update(number)
            whole = number < _READ_WHOLE and done < _READ_WHOLE_BYTES
            done += (item.bytes or 0) if whole else HEAD_BYTES
            try:
                measured = _whole(item) if whole else _head(item)
            except OSError as error:
                item.drop(Drop("unreadable", error.strerror or ""))
                continue
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


def _whole(item: Item) -> Measured:
    data = read_regular(str(item.file))
    return measure(data, medium_of(data[:HEAD_BYTES]))


def _head(item: Item) -> Measured:
    head = read_regular(str(item.file), HEAD_BYTES)
    if not head:
        return Measured(reason="empty")
    medium = medium_of(head)
    # Nearly a byte a character; what else a file measures, only the whole of it tells.
    return Measured(medium=medium, measures={"characters": item.bytes or 0} if medium == "text" else {})


def _captions(items: Sequence[Item]) -> set[str]:
    """Paths of the texts that are the caption of a picture, or what else is no text, beside them."""
    stems = {posixpath.splitext(item.path)[0] for item in items if item.kept and _is_described(item)}
    texts = (item for item in items if item.kept and item.path.lower().endswith(_CAPTIONS))
    return {item.path for item in texts if same(posixpath.splitext(item.path)[0]) in stems}


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
