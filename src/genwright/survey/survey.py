"""`genwright new`: look at a folder, say what is in it and what it is good for, and write a recipe for it."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from genwright import cache
from genwright.console import progress
from genwright.errors import RequestError
from genwright.ledger import REASONS, Drop, Item, printable
from genwright.media.kind import CODE_SUFFIXES, HEAD_BYTES, kind
from genwright.registry import TASKS
from genwright.sources.archive import ArchiveSource, is_archive_name
from genwright.sources.files import FilesSource
from genwright.sources.folder import FolderSource
from genwright.sources.tree import read_regular
from genwright.stages.collect.read import Measured, measure
from genwright.survey.recipe import write_recipe
from genwright.survey.tables import Found, find_table
from genwright.survey.verdicts import Verdict, verdicts

_READ_WHOLE = 5_000
_READ_WHOLE_BYTES = 2 << 30
_FEW_PER_LABEL = 5


@dataclass
class Survey:
    """What lies in a folder. `measured_whole` files were read; of larger folders the rest is judged by first bytes and size."""

    folder: str
    kind: str
    """The source that a recipe would take it by: folder or archive."""
    offered: int = 0
    media: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    characters: int = 0
    """Of all texts; estimated from their bytes where not all were read."""
    median_characters: int = 0
    code: int = 0
    """Texts that are program text by their names."""
    code_characters: int = 0
    median_width: int = 0
    median_height: int = 0
    captions: int = 0
    """Pictures with a text file of the same name beside them."""
    labels: dict[str, int] = field(default_factory=dict)
    """Pictures by the name of their folder, where those look like classes."""
    table: Found | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    measured_whole: int = 0

    @property
    def pictures(self) -> int:
        return self.media.get("image", 0)

    @property
    def texts(self) -> int:
        return self.media.get("text", 0)


_CAPTIONS = (".txt", ".caption")


def look(folder: Path) -> Survey:
    """Look at a folder or an archive. Raises RequestError when it isn't there."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100  # as the user sees it: `..` taken away, links kept
    source = _source(folder)
    survey = Survey(str(folder), "folder" if isinstance(source, FolderSource) else "archive")
    items = list(source.offer())
    survey.offered = len(items)
    _measure(items, survey)
    survey.table = find_table([item for item in items if item.kept])
    captions = _captions(items)
    survey.captions = len(captions)
    kept = [
        i for i in items if i.kept and i.path not in captions and (not survey.table or i.path != survey.table.table)
    ]
    kept = _without_duplicates(kept)
    pictures = [item for item in kept if item.medium == "image"]
    texts = [item for item in kept if item.medium == "text"]
    survey.media = dict(Counter(str(item.medium) for item in kept))
    survey.bytes = sum(item.bytes or 0 for item in kept)
    survey.characters = sum(item.characters or 0 for item in texts)
    survey.median_characters = _median([item.characters for item in texts])
    code = [item for item in texts if posixpath.splitext(item.path)[1].lower() in CODE_SUFFIXES]
    survey.code, survey.code_characters = len(code), sum(item.characters or 0 for item in code)
    survey.median_width, survey.median_height = (
        _median([i.width for i in pictures]),
        _median([i.height for i in pictures]),
    )
    survey.labels = _labels(pictures)
    dropped = [item for item in items if not item.kept]
    survey.dropped = dict(Counter(str(item.reason) for item in dropped).most_common())
    survey.examples = {str(item.reason): printable(item.path) for item in reversed(dropped)}
    survey.licences = dict(Counter(item.licence or "unknown" for item in kept).most_common(5))
    return survey


def new(folder: Path, task: str | None = None, *, as_json: bool = False, where: Path | None = None) -> Path:
    """Print what is in a folder, write a recipe where the user stands, and return its path.

    Raises RequestError when nothing in the folder is usable, or nothing for the task asked for.
    """
    if task is not None:
        TASKS[task]
    survey = look(folder)
    judged = verdicts(survey)
    chosen = _choose(survey, judged, task)
    file = write_recipe(survey, chosen, where or Path.cwd())
    if as_json:
        content = {**asdict(survey), "verdicts": [asdict(v) for v in judged], "task": chosen.task, "recipe": str(file)}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_told(survey, judged)))
        print(f"\nWrote {file}, a recipe for `{chosen.task}`. Look into it, then:\n\n    genwright run {_quoted(file)}")
    return file


def _source(folder: Path) -> FilesSource:
    if folder.is_file() and is_archive_name(folder.name):
        return ArchiveSource(ArchiveSource.Spec.model_validate({"archive": str(folder)}), cache.folder())
    if not folder.exists():
        raise RequestError(f"{folder}: there is no such folder; name one with your texts or pictures in it.")
    if folder.is_file():
        raise RequestError(f"{folder}: a file; name the folder that it lies in, or a zip or tar file.")
    return FolderSource(FolderSource.Spec.model_validate({"folder": str(folder)}), cache.folder())


def _measure(items: Sequence[Item], survey: Survey) -> None:
    """Read the files whose hashes come first whole, and of the others the first bytes."""
    waiting = sorted((i for i in items if i.kept and i.file), key=lambda i: hashlib.sha256(i.id.encode()).digest())
    done = 0
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
            item.medium, item.sha256 = measured.medium, measured.sha256 or None
            item.characters, item.width, item.height = measured.characters, measured.width, measured.height
            if measured.drop:
                item.drop(measured.drop)


def _whole(item: Item) -> Measured:
    data = read_regular(str(item.file))
    return measure(data, kind(data[:HEAD_BYTES]))


def _head(item: Item) -> Measured:
    head = read_regular(str(item.file), HEAD_BYTES)
    if not head:
        return Measured(reason="empty")
    medium = kind(head)
    return Measured(medium=medium, characters=item.bytes if medium == "text" else None)


def _captions(items: Sequence[Item]) -> set[str]:
    """Paths of the texts that are the caption of a picture beside them."""
    stems = {posixpath.splitext(item.path)[0] for item in items if item.kept and item.medium == "image"}
    texts = (item for item in items if item.kept and item.path.lower().endswith(_CAPTIONS))
    return {item.path for item in texts if posixpath.splitext(item.path)[0] in stems}


def _without_duplicates(items: Sequence[Item]) -> list[Item]:
    first: dict[str, Item] = {}
    for item in items:
        if item.sha256 and first.setdefault(item.sha256, item) is not item:
            item.drop(Drop("duplicate"))
    return [item for item in items if item.kept]


def _labels(pictures: Sequence[Item]) -> dict[str, int]:
    counts = Counter(posixpath.basename(posixpath.dirname(item.path)) for item in pictures)
    counts.pop("", None)
    named = {name: count for name, count in counts.most_common() if count >= _FEW_PER_LABEL}
    return named if len(named) >= 2 and 2 * sum(named.values()) > len(pictures) else {}


def _choose(survey: Survey, judged: Sequence[Verdict], task: str | None) -> Verdict:
    if task is not None:
        chosen = next((verdict for verdict in judged if verdict.task == task), None)
        if chosen is None or not chosen.items:
            medium = TASKS[task].load_options().MEDIUM
            raise RequestError(f"{survey.folder}: nothing for `{task}`, which works with {medium}; {_in_it(survey)}.")
        return chosen
    usable = [verdict for verdict in judged if verdict.items]
    if not usable:
        raise RequestError(f"{survey.folder}: nothing usable in it; {_in_it(survey)}.")
    # Among what there is enough of, the medium that most files have; else whatever there is most of.
    return max(usable, key=lambda verdict: (verdict.enough, verdict.items, verdict.made_for))


def _in_it(survey: Survey) -> str:
    found = [f"{count:,} {medium}" for medium, count in survey.media.items()]
    dropped = [
        f"{count:,} {reason} ({REASONS[reason]}), such as {survey.examples[reason]}"
        for reason, count in survey.dropped.items()
    ]
    return f"it holds {'; '.join((found + dropped)[:4])}" if survey.offered else "it is empty"


def _told(survey: Survey, judged: Sequence[Verdict]) -> list[str]:
    lines = [f"{printable(survey.folder)}: {_count(survey.offered, 'file')}, {survey.bytes / 1e6:,.1f} MB usable"]
    if survey.texts:
        about = "" if survey.measured_whole >= sum(survey.media.values()) else "about "
        lines.append(
            f"  {_count(survey.texts, 'text')}, {about}{survey.characters:,} characters, {survey.median_characters:,} in the middle one"
        )
    if survey.code:
        lines.append(f"  {survey.code:,} of them program text, {survey.code_characters:,} characters")
    if survey.pictures:
        lines.append(
            f"  {_count(survey.pictures, 'picture')}, {survey.median_width} x {survey.median_height} pixels in the middle one"
        )
    if survey.captions:
        lines.append(f"  {survey.captions:,} of them with a caption beside them (same name, .txt)")
    if survey.labels:
        shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(survey.labels.items())[:5])
        lines.append(f"  in folders that can be their labels: {shown}{', ...' if len(survey.labels) > 5 else ''}")
    if survey.table:
        lines.append(f"  {survey.table.sentence()}")
    for medium, count in survey.media.items():
        if medium not in ("text", "image"):
            lines.append(f"  {_count(count, 'file')} of another kind ({medium})")
    for reason, count in survey.dropped.items():
        lines.append(f"  {count:,} left out, {reason}: {REASONS[reason]} ({survey.examples[reason]})")
    if survey.licences.get("unknown"):
        lines.append(
            "  no licence was found in it: make sure that you may use it, and say so with `licence:` in the recipe"
        )
    lines += ["", "What it is good for:", *(f"  {verdict.task}: {verdict.text}" for verdict in judged)]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _median(values: Sequence[int | None]) -> int:
    known = [value for value in values if value is not None]
    return round(statistics.median(known)) if known else 0


def _quoted(file: Path) -> str:
    import shlex

    return shlex.quote(str(file))
