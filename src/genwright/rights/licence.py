"""Whose the content is and what may be done with it: read from the nearest notice inside it, never guessed."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from email import message_from_string

from genwright.rights.debian import Copyright, is_machine_readable, is_of_package


@dataclass(frozen=True)
class Notice:
    """A text that says something about rights, found in a source."""

    path: str
    text: str
    licence: str | None
    """SPDX id, or "public domain", where the text could be recognised."""


INSIDE = "the file itself"
"""Stands for the path of a notice where a file says what its licence is."""

_CC = re.compile(
    r"(?:creativecommons\.org/licenses/|\bCC[- ])(?P<short>by(?:-(?:nc|nd|sa))*)[-/ v]+(?P<v>\d\.\d)"
    r"|\bAttribution(?P<long>(?:[- ](?:NonCommercial|ShareAlike|NoDeriv\w*))*) (?:licen[cs]e\s+|International\s+)?v?(?P<w>\d\.\d)",
    re.IGNORECASE,
)
_GNU_LATER = (
    r"General\s+Public\s+License\s+as\s+published\s+by\s+the\s+Free\s+Software\s+Foundation[;,:]\s+either\s+version\s+"
)
"""What a program says of itself under a licence of GNU, before the version's number."""
_TEXTS: tuple[tuple[str, str], ...] = (
    ("GPL-3.0-or-later", rf"GNU\s+{_GNU_LATER}3"),
    ("GPL-2.0-or-later", rf"GNU\s+{_GNU_LATER}2"),
    ("LGPL-3.0-or-later", rf"GNU\s+Lesser\s+{_GNU_LATER}3"),
    ("LGPL-2.1-or-later", rf"GNU\s+Lesser\s+{_GNU_LATER}2\.1"),
    ("CC0-1.0", r"\bCC0\b|creativecommons\.org/publicdomain/zero"),
    ("AGPL-3.0-only", r"GNU AFFERO GENERAL PUBLIC LICENSE|\bAGPL"),
    ("LGPL-3.0-only", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3|\bLGPL-?v?3"),
    ("LGPL-2.1-only", r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 2\.1|\bLGPL-?v?2"),
    ("GPL-3.0-only", r"GNU GENERAL PUBLIC LICENSE\s+Version 3|\bGPL[-/]?v?3"),
    ("GPL-2.0-only", r"GNU GENERAL PUBLIC LICENSE\s+Version 2|\bGPL[-/]?v?2"),
    ("Apache-2.0", r"Apache License,?\s+(?:Version )?2\.0|\bApache-2\.0"),
    ("MPL-2.0", r"Mozilla Public License,? (?:Version |v\. ?)?2\.0"),
    ("OFL-1.1", r"SIL Open Font License"),
    ("Unlicense", r"This is free and unencumbered software released into the public domain"),
    ("PSF-2.0", r"PYTHON SOFTWARE FOUNDATION LICENSE"),
    ("ISC", r"Permission to use, copy, modify, and(?:/or)? distribute this software for any"),
    ("MIT", r"Permission is hereby granted, free of charge, to any person obtaining|\bMIT Licen[sc]e"),
    ("BSD-3-Clause", r"Redistribution and use in source and binary forms[\s\S]{0,1500}Neither the name"),
    ("BSD-2-Clause", r"Redistribution and use in source and binary forms"),
    ("public domain", r"\bpublic ?domain\b"),
)
_PATTERNS = tuple((licence, re.compile(pattern, re.IGNORECASE)) for licence, pattern in _TEXTS)

_LEGAL = re.compile(
    r"^(third[-_. ]?party[-_. ]?)?(un)?(licen[cs]es?|copying|copyrights?|notices?)([-_.+][^ ]*| (agreement|notice|information|v?\d\S*)(\.\w+)?)?$",
    re.IGNORECASE,
)
"""Names that say nothing but that a licence stands there: LICENSE, COPYING.LESSER, License-MIT.txt; not "License to Kill.txt"."""
_NO_LEGAL = re.compile(r"\.(py|js|c|h|png|jpe?g|gif|webp|avif|svg|ogg|wav|mp3|flac)$", re.IGNORECASE)
_LEGAL_WORDS = re.compile(
    r"licen[cs]|copyright|©|permi(t|ssion)|rights?\b|warrant|distribut|copy|copies|modif|terms|condition|liab|public domain|you may|"
    r"grant|attribution|software",
    re.IGNORECASE,
)
_WORDS_PER_LEGAL_WORD = 25
"""How many words come to one of those in a licence or notice, at most; it is 10 in MIT's and 14 in the GPL."""
_FEW_WORDS = 60
"""A text of fewer need only name a licence."""
_BARE = re.compile(r"^(un)?licen[cs]e$|^copying$", re.IGNORECASE)
"""What no text of anybody's is called."""
_NEGATED = re.compile(r"\b(not|never|nor|isn't|aren't|wasn't|weren't)\b[^.,;:!?\n]{0,30}$", re.IGNORECASE)
_BESIDE = re.compile(r"^(readme|authors?|credits|attribution)(\.(txt|md|rst))?$", re.IGNORECASE)
_METADATA = re.compile(r"^(package\.json|PKG-INFO|METADATA)$")
_PICTURES = re.compile(
    r"\b(images?|pictures?|graphics|artwork|photos?|photographs?|drawings|icons|emoji)\b", re.IGNORECASE
)
_TEXT_WORDS = re.compile(
    r"\b(texts?|poems?|works?|books?|plays|stories|corpus|content|data|translations?)\b", re.IGNORECASE
)
_TEXT_SUFFIX = re.compile(r"\.(txt|md|rst|html?|xml|json|jsonl|csv|tsv|parquet|tex)$", re.IGNORECASE)
_PICTURE_SUFFIX = re.compile(r"\.(png|jpe?g|gif|webp|bmp|tiff?|avif|svg)$", re.IGNORECASE)
_LARGEST_NOTICE_BYTES = 8 << 20


def is_legal_text(name: str) -> bool:
    """Whether a file of this name may be a licence or notice, which is no data whatever the task; `read_notice` looks into it."""
    return bool(_LEGAL.match(name)) and not _NO_LEGAL.search(name)


def may_be_notice(name: str, size: int | None) -> bool:
    """Whether a file is worth looking into for what it says of rights."""
    small = size is not None and 0 < size <= _LARGEST_NOTICE_BYTES
    return small and bool(is_legal_text(name) or _BESIDE.match(name) or _METADATA.match(name))


def recognise(text: str) -> str | None:
    """The SPDX id of the licence that a text is, or names first; "public domain" where it says so. What it says "not" of is none."""
    head = text[:20_000]
    hits = [
        (match.start(), order, licence) for order, (licence, p) in enumerate(_PATTERNS) if (match := _first(p, head))
    ]
    if match := _first(_CC, head):
        hits.append((match.start(), -1, _creative_commons(match)))
    if not hits:
        return None
    # Longer names hold shorter ones, so of hits close together the first in the list counts.
    first = min(start for start, _, _ in hits)
    return min((order, licence) for start, order, licence in hits if start <= first + 200)[1]


def _first(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    found = pattern.finditer(text)
    return next(
        (match for match in found if not _NEGATED.search(text, max(0, match.start() - 60), match.start())), None
    )


def _reads_legal(text: str) -> bool:
    """Whether a text speaks of rights all along, as a licence does and a story called "Notice" does not."""
    head = text[:20_000]
    if len(head.split()) < _FEW_WORDS and recognise(head):
        return True
    return len(head.split()) <= _WORDS_PER_LEGAL_WORD * len(_LEGAL_WORDS.findall(head))


def _creative_commons(match: re.Match[str]) -> str:
    if match["short"]:
        return f"CC-{match['short'].upper()}-{match['v']}"
    parts = {"n": "NC", "s": "SA"}
    words = re.findall(r"[A-Za-z]+", match["long"] or "")
    short = "".join(f"-{'ND' if word.lower().startswith('nod') else parts[word[0].lower()]}" for word in words)
    return f"CC-BY{short}-{match['w']}"


def read_notice(path: str, text: str) -> Notice | None:
    """What a file says of rights, or None when it says nothing."""
    name = posixpath.basename(path)
    if is_legal_text(name):
        return Notice(path, text, recognise(text)) if _BARE.match(name) or _reads_legal(text) else None
    if _METADATA.match(name):
        licence = _of_metadata(name, text)
        return Notice(path, text, licence) if licence else None
    if not _BESIDE.match(name):
        return None
    speaks = [
        line for line in text.splitlines() if re.search(r"licen[cs]e|public domain|copyright", line, re.IGNORECASE)
    ]
    licence = recognise("\n".join(speaks)) if speaks else None
    return Notice(path, text, licence) if licence else None


def _of_metadata(name: str, text: str) -> str | None:
    if name == "package.json":
        try:
            content = json.loads(text)
        except ValueError:
            return None
        licence = content.get("license") if isinstance(content, dict) else None
        licence = licence.get("type") if isinstance(licence, dict) else licence
        return licence if isinstance(licence, str) and licence and not licence.startswith("SEE ") else None
    headers = message_from_string(text)
    if expression := headers.get("License-Expression"):
        return expression.strip()
    classifiers = [c.rpartition(" :: ")[2] for c in headers.get_all("Classifier") or [] if c.startswith("License :: ")]
    named = (headers.get("License") or "").strip()
    for statement in (named, *classifiers):
        if statement and statement.upper() != "UNKNOWN":
            return recognise(statement) or statement.splitlines()[0][:60]
    return None


class Rights:
    """Finds the notice that is nearest to a path: in its folder, else in one above.

    In each folder, what a README, AUTHORS or licence file says of pictures or of texts counts before the licence text as
    such, which in many packages is that of the code only.
    """

    def __init__(self, notices: Mapping[str, Notice], given: str | None = None):
        self.notices, self._given = notices, given
        self._by_folder: dict[str, list[Notice]] = {}
        self._by_file: dict[str, Copyright] = {}
        for notice in sorted(notices.values(), key=lambda n: (_rank(n.path), n.path)):
            folder = "" if is_of_package(notice.path) else posixpath.dirname(notice.path)
            self._by_folder.setdefault(folder, []).append(notice)
            if is_machine_readable(notice.text):
                self._by_file[notice.path] = Copyright(notice.text)
        self._found: dict[tuple[str, str], tuple[str | None, str | None]] = {}

    def of(self, path: str) -> tuple[str | None, str | None]:
        """Licence and path of the notice; (None, None) where nothing is said. A notice that can't be recognised is its own name."""
        if self._given is not None:
            return self._given, "recipe"
        key = posixpath.dirname(path), _content(path)
        if key not in self._found:
            self._found[key] = self._search(*key)
        licence, notice = self._found[key]
        by_file = self._by_file.get(notice or "")
        if by_file is None:
            return licence, notice
        return by_file.of(path) or f"see {posixpath.basename(str(notice))}", notice

    def _search(self, folder: str, content: str) -> tuple[str | None, str | None]:
        inside = folder
        while True:
            here = self._by_folder.get(folder, [])
            if content and (said := _said_of(content, here, inside)):
                return said
            for notice in here:
                return notice.licence or f"see {posixpath.basename(notice.path)}", notice.path
            if folder in ("", "/", "//"):
                return None, None
            folder = posixpath.dirname(folder)


def _content(path: str) -> str:
    return "picture" if _PICTURE_SUFFIX.search(path) else "text" if _TEXT_SUFFIX.search(path) else ""


def _rank(path: str) -> int:
    name = posixpath.basename(path)
    return 0 if is_legal_text(name) else 1 if _BESIDE.match(name) else 2


def _said_of(content: str, notices: Iterable[Notice], folder: str) -> tuple[str, str] | None:
    """What a notice says of pictures or texts in particular; of several statements the one that names a part of the path."""
    words = {word.lower() for word in re.split(r"[^A-Za-z]+", folder) if len(word) > 3}
    speaks = _PICTURES if content == "picture" else _TEXT_WORDS
    # An AUTHORS file tells where each work is from; a README is nearer to the content than a licence text is.
    for notice in sorted(notices, key=lambda n: (-_rank(n.path), n.path.lower())):
        if _METADATA.match(posixpath.basename(notice.path)) or is_machine_readable(notice.text):
            continue
        said = [(s, licence) for s in _statements(notice.text) if speaks.search(s) and (licence := recognise(s))]
        named = [licence for statement, licence in said if words & set(re.split(r"[^a-z]+", statement.lower()))]
        of_all = {licence for _, licence in said}
        if named or len(of_all) == 1:
            return (named or sorted(of_all))[0], notice.path
    return None


def _statements(text: str) -> Iterator[str]:
    """Sentences, list entries and table rows: what one claim can be read from."""
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[*•|-] )", text[:200_000]):
        yield from re.split(r"(?<=[.!?])\s+(?=[A-Z*])", " ".join(paragraph.split()))
