"""Captions in files of their own beside what they describe, in one language or, as Tux Paint has them, in many."""

from __future__ import annotations

import posixpath
import re

from genwright.files import read_regular
from genwright.ledger import Drop, Item
from genwright.media.base import medium
from genwright.media.text import read
from genwright.registry import MEDIA
from genwright.sources.place import same
from genwright.sources.tree import Entry

CAPTION = (".txt", ".caption")
_LONGEST = 65_536
_TRANSLATED = re.compile(r"([a-z]{2,3}(?:[_@][A-Za-z@]+)*)(?:\.utf8)?\s*=\s*(.*)")
_FIRST = "en"
"""The language of the first line, where others follow under their names."""


def captions(entries: list[Entry]) -> tuple[dict[str, Entry], int]:
    """The caption file of each picture, or file of another medium that is no text, that has one beside it, and how many such files
    there are."""
    suffixes = {suffix for one in map(medium, MEDIA) if not one.textual for suffix in one.suffixes}
    by_stem: dict[str, Entry] = {}
    usable = [entry for entry in entries if entry.file is not None and entry.drop is None]
    for entry in usable:
        stem, suffix = posixpath.splitext(entry.path)
        if suffix.lower() in CAPTION:
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


def caption(item: Item, entry: Entry, language: str | None) -> None:
    """Put what a caption file says into an item, or drop it where that says nothing."""
    found: str | Drop
    remark = ""
    try:
        said = read(read_regular(entry.file or ""))
        found, remark = (said, "") if isinstance(said, Drop) else (in_language(said.text, language), said.remark)
    except OSError as error:
        found = Drop("missing_text", error.strerror or "can't be read")
    if isinstance(found, str) and len(found) > _LONGEST:
        found = Drop("missing_text", f"too long for a caption ({len(found):,} characters)")
    if isinstance(found, Drop):
        item.drop(Drop("missing_text", f"{entry.name}: {found.detail or 'empty'}"))
    else:
        item.fields["text"], item.detail = found, remark and f"caption {remark}"


def languages(text: str) -> dict[str, str]:
    """What a caption says by language; {} where it is in one language, whichever that is. Where it has several, the first line is
    English, and one such as `de.utf8=Ein roter Apfel.` is behind it for each other language."""
    first, *others = [line.strip() for line in text.strip().splitlines() if line.strip()] or [""]
    found = [match for line in others if (match := _TRANSLATED.fullmatch(line))]
    if not found or 2 * len(found) < len(others) or _TRANSLATED.fullmatch(first):
        return {}
    return {_FIRST: first} | {match[1]: match[2] for match in found if match[2]}


def in_language(text: str, language: str | None) -> str | Drop:
    """What a caption says in a language; None: in that of its first line."""
    by_language = languages(text)
    if not by_language:
        return text.strip() or Drop("missing_text")
    wanted = language or _FIRST
    near = (one for one in by_language if re.split("[_@]", one)[0] == wanted)
    name = wanted if wanted in by_language else next(near, None)
    return by_language[name] if name else Drop("missing_text", f"nothing in the language `{wanted}`")
