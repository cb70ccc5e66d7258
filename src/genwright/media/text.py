"""Text: bytes to str, in whatever encoding they are, and never a guess that nothing speaks for."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from genwright.ledger import Drop
from genwright.media.base import Measures, Medium
from genwright.media.kind import CODE_SUFFIXES, kind

if TYPE_CHECKING:
    from charset_normalizer import CharsetMatch

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Longest first where one is the start of another."""

_CONTROLS = frozenset(range(32)) - {9, 10, 11, 12, 13, 26, 27}
_CHAOS_LIMIT = 0.15
"""The detector's share of characters that look like a mess; above it a guess is not believed."""

_WESTERN_SHARE = 0.05
"""Up to this share of bytes above 127 a text that makes sense in Windows-1252 is taken as such: ASCII with a few accents, for
which a dozen tables would do."""

_TYPOGRAPHY = frozenset("‘’“”‚„«»‹›–—…•°§£€©®™½¼¾·¿¡\u00a0\u00ad†‡²³¹×´")
_SAMPLE_BYTES = 1 << 20

PROMPT_END = ">>>"
"""Stands between a prompt and what the model made of it in texts that tasks write for people."""
_LARGEST_SHOWN = 6000
"""Characters of a text that a page shows."""


def decode(data: bytes) -> str | Drop:
    """The text behind some bytes, with `\\n` line ends and without a byte order mark, or why it can't be had.

    In this order: a byte order mark decides; NUL bytes and control characters are no text; UTF-8; else the detector of
    charset-normalizer, whose guess must be plausible.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return _lines(data[len(mark) :].decode(encoding))
            except UnicodeDecodeError as error:
                return Drop("undecodable", f"starts as {encoding}, but byte {error.start} does not go on so")
    present = set(data)
    if 0 in present:
        return Drop("undecodable", "has NUL bytes: not text")
    if controls := present & _CONTROLS:
        count = sum(data.count(byte) for byte in controls)
        if count > len(data) // 1000:
            return Drop("undecodable", "has control characters: not text")
    try:
        return _lines(data.decode("utf-8"))
    except UnicodeDecodeError:
        pass
    encoding = _detect(data)
    if encoding is None:
        return Drop("undecodable", "neither UTF-8 nor any other encoding that fits")
    try:
        return _lines(data.decode(encoding))
    except UnicodeDecodeError as error:
        return Drop("undecodable", f"seems to be {encoding}, but byte {error.start} does not fit")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _detect(data: bytes) -> str | None:
    if sum(map(data.count, range(128, 256))) <= _WESTERN_SHARE * len(data) and _fits(data, "cp1252"):
        return "cp1252"
    from charset_normalizer import from_bytes

    guesses = from_bytes(data[:_SAMPLE_BYTES], threshold=_CHAOS_LIMIT, enable_fallback=False)
    best = min(guesses, key=_rank, default=None)
    if best is None:
        return None
    return "cp1252" if _may_be_western(best) else best.encoding


def _rank(guess: CharsetMatch) -> tuple[float, float, int, bool]:
    """Less mess, then a likelier language; of equals the one with fewer capitals (KOI8-R read as Windows-1251 is all capitals)."""
    return guess.chaos, -guess.coherence, sum(map(str.isupper, str(guess)[:10_000])), not _may_be_western(guess)


def _may_be_western(guess: CharsetMatch) -> bool:
    return "cp1252" in (guess.encoding, *guess.could_be_from_charset)


def _fits(data: bytes, encoding: str) -> bool:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return False
    # Letters and the marks of good typography, as against the mathematics and boxes that another table's letters turn into.
    strange = sum(not (c.isalpha() or c in _TYPOGRAPHY) for c in text if c > "\x7f")
    return strange <= 0.1 * sum(c > "\x7f" for c in text)


@dataclass
class Passage:
    """A piece of generated text, and the prompt that it goes on from where there is one."""

    prompt: str
    text: str


def passages(text: str, public: bool = False) -> list[Passage]:
    """The passages of a text written for people; a public view has no prompts, and nothing of a passage without a mark."""
    found = []
    for part in re.split(r"\n+-{3,}\n+", text.strip("\n")):
        prompt, mark, made = part.partition(PROMPT_END)
        if mark:
            found.append(Passage("" if public else prompt, made))
        elif not public:
            found.append(Passage("", part))
    return found


class Text:
    """The medium of everything that is read."""

    name, noun, plural = "text", "text", "texts"
    suffixes: tuple[str, ...] = (
        *(".txt", ".text", ".md", ".markdown", ".rst", ".log", ".csv", ".tsv", ".htm", ".html", ".xml", ".tex"),
        *sorted(CODE_SUFFIXES),
    )
    textual = True
    size: tuple[str, ...] = ("characters",)
    size_title = "characters a text"

    def is_kind(self, head: bytes) -> bool:
        return kind(head) == self.name

    def probe(self, data: bytes) -> Measures | Drop:
        text = decode(data)
        if isinstance(text, Drop):
            return text
        return {"characters": len(text)} if text.strip() else Drop("empty")

    def limit(self, measures: Measures, size_bytes: int, settings: Mapping[str, Any]) -> Drop | None:
        characters, least = measures["characters"], settings.get("min_characters", 1)
        if characters < least:
            return Drop("too_small", f"{characters:,} characters; the recipe asks for {least:,}")
        return None

    def decoder(self) -> str:
        return f"charset-normalizer {version('charset-normalizer')}"

    def words(self, total: Measures, middle: Measures) -> str:
        return f"{total['characters']:,.0f} characters, {middle['characters']:,.0f} in the middle one"

    def encode(self, data: Any, metadata: Mapping[str, Any]) -> bytes:
        return data.encode("utf-8")

    def show(self, file: Path, title: str, public: bool) -> str:
        parts = [
            Markup("<p>{}{}</p>").format(
                Markup('<span class="soft">{}</span>').format(p.prompt) if p.prompt else "", p.text
            )
            for p in passages(file.read_text("utf-8", "replace")[:_LARGEST_SHOWN], public)
        ]
        left_out = Markup(
            '<p class="soft">Left out of the public version, because it begins with lines of the data.</p>'
        )
        return Markup('<div class="quote" tabindex="0">{}</div>').format(Markup("").join(parts) or left_out)


TEXT: Medium = Text()
