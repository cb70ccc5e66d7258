"""What `genwright new` prints of a folder, for people."""

from __future__ import annotations

import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from shutil import get_terminal_size

from genwright.about import Found, Private, Survey, Verdict
from genwright.console import count, size
from genwright.files import legible, printable
from genwright.media.base import is_textual, medium
from genwright.registry import MEDIA
from genwright.survey.choice import Choice
from genwright.survey.examples import Examples
from genwright.survey.privacy import ADDRESS, PHONE
from genwright.survey.sources import Sources, by_ending

_WIDTH = 80
_ENDINGS = 12
_FOLDERS = 4
"""Folders left out whole that are named."""
_LINES = 6
"""Lines of a passage of an example that are shown."""
_PLURALS = {ADDRESS: "e-mail addresses", PHONE: "phone numbers"}


def lines_of(survey: Survey, judged: Mapping[str, Verdict], choice: Choice) -> list[str]:
    """What lies in the folder, what of it the task takes, what it is good for."""
    sources = Sources(survey, choice.task, judged[choice.task])
    return [
        f"{printable(survey.folder)}: {count(survey.offered, 'file')}, {size(survey.bytes)} usable",
        *_of_media(survey),
        *(f"  {_sentence(table)}" for table in survey.tables[:5]),
        *([f"  and {len(survey.tables) - 5:,} more such files"] if len(survey.tables) > 5 else []),
        *(
            f"  {count(files, 'file')} of another kind ({name})"
            for name, files in survey.media.items()
            if name not in MEDIA
        ),
        *(f"  {count(files, 'file')}: {remark}" for remark, files in survey.remarks.items()),
        *_no_prose(survey, sources),
        "",
        f"What `{choice.task}` takes of it:",
        *_table(by_ending(survey, sources), sources, survey),
        *_warnings(survey, sources),
        *_licence(survey),
        "",
        "What it is good for:",
        *(f"  {task}: {verdict.text}" for task, verdict in judged.items()),
    ]


def show(lines: Sequence[str]) -> None:
    """Print lines; long ones are broken where they go to a terminal."""
    width = max(get_terminal_size((_WIDTH, 24)).columns, 40) if sys.stdout.isatty() else None
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        wrapped = textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False) if width else [line]
        print("\n".join(wrapped or [""]), flush=True)


def show_examples(found: Examples) -> None:
    """Print examples as they are; no line is broken, long passages and lines are cut."""
    marked = f"; {found.marked} is marked by >" if found.marked else ""
    print(
        f"\n{count(len(found.seen), 'example')}, as the model will see {'it' if len(found.seen) == 1 else 'them'}{marked}:"
    )
    for seen in found.seen:
        print(f"\n  {seen.name}")
        last = max((i for i, passage in enumerate(seen.passages) if passage.text.strip()), default=-1)
        for passage in seen.passages[: last + 1]:
            for line in _cut(passage.text.removesuffix("\n").split("\n")):
                print(f"  {'>' if passage.marked else '|'} {legible(line)}")


def _cut(lines: list[str]) -> list[str]:
    if len(lines) > _LINES:
        half = _LINES // 2
        lines = [*lines[:half], f"... {len(lines) - 2 * half:,} lines ...", *lines[-half:]]
    return [line if len(line) < _WIDTH - 4 else f"{line[: _WIDTH - 8]} ..." for line in lines]


def _of_media(survey: Survey) -> Iterator[str]:
    for name in sorted((name for name in survey.media if name in MEDIA), key=lambda name: not is_textual(name)):
        yield f"  {_of_medium(survey, name)}"
        if name == "text" and survey.code:
            yield f"  {survey.code:,} of them program text, {survey.code_characters:,} characters"
    if survey.captions:
        yield f"  {survey.captions:,} of them with a caption beside them (a text of the same name)"
    if survey.languages:
        shown = ", ".join(list(survey.languages)[:5]) + (", ..." if len(survey.languages) > 5 else "")
        yield f"  the captions are in {len(survey.languages):,} languages: {shown}"
    if survey.titles:
        yield f"  {survey.titles:,} of them say inside what they are: a title, as drawings and photographs may have"
    if survey.labels:
        shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(survey.labels.items())[:5])
        yield f"  in folders that can be their labels: {shown}{', ...' if len(survey.labels) > 5 else ''}"


def _of_medium(survey: Survey, name: str) -> str:
    """How many files of a medium there are, and what was measured of them."""
    one = medium(name)
    counted = count(survey.media[name], one.noun, one.plural)
    if name not in survey.medians:
        return counted
    about = "" if survey.measured_whole >= sum(survey.media.values()) else "about "
    try:
        return f"{counted}, {about}{one.words(survey.totals[name], survey.medians[name])}"
    except Exception as error:  # a medium from another package must not keep the others from being told
        return f"{counted} (`words` of {name} failed: {type(error).__name__}: {error})"


def _sentence(table: Found) -> str:
    what = [
        f"{name} by {template}"
        for name, template in (("file", table.path), ("text", table.text), ("label", table.label))
        if template
    ]
    what += [f"{count:,} that `{task}` takes as they stand" for task, count in table.whole.items()]
    kind = (
        f"a table, {printable(table.table)}, with {count(table.rows, 'row')}"
        if table.joined
        else printable(table.table)
    )
    return f"{kind}: {', '.join(what)}"


def _no_prose(survey: Survey, sources: Sources) -> Iterator[str]:
    """Files that are no prose, where the task takes prose."""
    if not sources.prose:
        return
    if survey.figures:
        yield f"  {_some(survey.figures)} figures, or a table without sentences"
    if survey.columns:
        yield f"  {_some(survey.columns)} a table without sentences; there is nothing else, so it would be learned as text"


def _some(paths: Sequence[str]) -> str:
    return f"{count(len(paths), 'file')} ({printable(paths[0])}{', ...' if len(paths) > 1 else ''}):"


def _table(counted: Mapping[str, Counter[str]], sources: Sources, survey: Survey) -> Iterator[str]:
    """A row for each ending: files, taken, left, and why; within 80 columns."""
    examples: dict[tuple[str, str], list[str]] = {}
    for file in survey.files:
        named = examples.setdefault((file.ending, sources.left(file)), [])
        if len(named) < (_FOLDERS if file.ending == "/" else 1):
            named.append(printable(file.path))
    yield f"  {'ending':<12}{'files':>7}{'taken':>7}{'left':>7}  why"
    for ending, outcomes in list(counted.items())[:_ENDINGS]:
        taken, whole = outcomes[""], outcomes.total()
        reasons = [
            f"{count:,} {reason}: {', '.join(examples[ending, reason])}"
            for reason, count in outcomes.most_common()
            if reason
        ]
        shown = "(folders)" if ending == "/" else printable(ending)
        head = f"  {shown[:11]:<12}{whole:>7,}{taken:>7,}{whole - taken:>7,}  "
        yield from textwrap.wrap(
            "; ".join(reasons), _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)
        ) or [head.rstrip()]
    if more := list(counted.values())[_ENDINGS:]:
        whole, taken = sum(one.total() for one in more), sum(one[""] for one in more)
        yield f"  {'others':<12}{whole:>7,}{taken:>7,}{whole - taken:>7,}  {len(more):,} more endings"


def _warnings(survey: Survey, sources: Sources) -> list[str]:
    """What is private in the files that are taken."""
    taken = {file.path for file in survey.files if not sources.left(file)}
    kinds: dict[str, list[Private]] = {}
    for one in sorted(survey.private, key=lambda one: one.path):
        if one.path in taken:
            kinds.setdefault(_PLURALS.get(one.kind, "keys or passwords"), []).append(one)
    lines = []
    for plural, found in sorted(kinds.items(), key=lambda pair: pair[0] in _PLURALS.values()):
        what = f"a {found[0].kind} in " if plural not in _PLURALS.values() else ""
        files = count(len({one.path for one in found}), "file")
        lines.append(f"  {plural} in {files}, such as {what}{printable(found[0].path)} line {found[0].line:,}")
    if not lines:
        return []
    part = "" if survey.searched_whole else " (some of the texts were looked into)"
    return ["", f"What a model has learned it can say again. Look whether it may learn{part}:", *lines]


def _licence(survey: Survey) -> list[str]:
    if not survey.licences.get("unknown"):
        return []
    return ["", "No licence was found in it: make sure that you may use it, and say so with `licence:` in the recipe."]
