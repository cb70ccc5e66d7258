"""Text: bytes to str, in whatever encoding they are, and never a guess that nothing speaks for."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from genwright.console import count
from genwright.ledger import Drop
from genwright.media.base import Measures, Medium, Probed
from genwright.media.documents.base import Document
from genwright.media.documents.opening import is_document, read_document, read_web_page, readers
from genwright.media.encodings import detect, named
from genwright.media.kind import CODE_SUFFIXES, DOCUMENT_SUFFIXES, HEAD_BYTES, is_svg, kind
from genwright.media.notebook import notebook
from genwright.media.numbers import share_of_numbers

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Longest first where one is the start of another."""

_CONTROLS = frozenset(range(32)) - {9, 10, 11, 12, 13, 26, 27}
_ASCII = bytes(range(128))
_ENDS = ("<|endoftext|>", "<|end_of_text|>", "<|endofdoc|>", "<|eot_id|>", "<|im_end|>", "\n</s>", "\n<eos>", "\n[EOS]")
"""What other programs put between texts of one file."""


@dataclass(frozen=True)
class Decoded:
    """A text, and what is to be known of how it was read: "" where it was plain UTF-8."""

    text: str
    remark: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    """What a document says of itself, and "reader": the library that made this text of it, and its version."""


TABLE_OF_NUMBERS = "a table of numbers, which `write` leaves out"
PROMPT_END = ">>>"
"""Stands between a prompt and what the model made of it in texts that tasks write for people."""
_LARGEST_SHOWN = 6000
"""Characters of a text that a page shows."""


def decode(data: bytes) -> str | Drop:
    """The text behind some bytes, with `\\n` line ends and without a byte order mark, or why it can't be had."""
    found = read(data)
    return found if isinstance(found, Drop) else found.text


@lru_cache(maxsize=1)  # a file is measured, and then looked into
def read(data: bytes) -> Decoded | Drop:
    """As `decode`, with what there is to say of it. A document (docx, PDF, web page, ...) is read by its library."""
    if (document := read_document(data)) is not None:
        return _of_document(document)
    found = _plain(data)
    if isinstance(found, Drop):
        return found
    if (page := read_web_page(found.text)) is not None:
        return _of_document(page, found.remark)
    if (cells := notebook(found.text)) is not None:
        return _remarked(cells, found.remark, "a notebook, read as its cells without what they put out")
    return _remarked(found.text, found.remark)


def _plain(data: bytes) -> Decoded | Drop:
    """What is text as it stands.

    In this order: a byte order mark decides; NUL bytes and control characters are no text; UTF-8, a few bad bytes replaced; what a
    web page says of itself; else the detector of charset-normalizer, whose guess must be plausible.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark) and encoding != "utf-8":
            try:
                return Decoded(_lines(data[len(mark) :].decode(encoding)), f"read as {encoding}")
            except UnicodeDecodeError as error:
                return Drop("undecodable", f"starts as {encoding}, but byte {error.start} does not go on so")
    data = data.removeprefix(codecs.BOM_UTF8)
    present = set(data)
    if 0 in present:
        return Drop("undecodable", "has NUL bytes: not text")
    if controls := present & _CONTROLS:
        count = sum(data.count(byte) for byte in controls)
        if count > len(data) // 1000:
            return Drop("undecodable", "has control characters: not text")
    try:
        return Decoded(_lines(data.decode("utf-8")))
    except UnicodeDecodeError as error:
        if bad := _bad_bytes(data, error):
            remark = f"bytes that are not UTF-8 were replaced by \ufffd ({bad:,}, the first at {error.start:,})"
            return Decoded(_lines(data.decode("utf-8", "replace")), remark)
    encoding = named(data) or detect(data)
    if encoding is None:
        return Drop("undecodable", "neither UTF-8 nor any other encoding that fits")
    try:
        return Decoded(_lines(data.decode(encoding)), f"read as {encoding}")
    except UnicodeDecodeError as error:
        return Drop("undecodable", f"seems to be {encoding}, but byte {error.start} does not fit")


def _remarked(text: str, *remarks: str) -> Decoded:
    """With what is to be known of any text besides."""
    mark = next((mark for mark in _ENDS if f"{mark}\n" in text or text.endswith(mark)), None)
    end = (
        f"lines end in {mark.strip()}, which is learnt as letters and ends no text: cut it into files or rows there"
        if mark
        else ""
    )
    code = "a drawing in SVG, learnt as its code" if is_svg(text[:HEAD_BYTES].encode("utf-8", "replace")) else ""
    return Decoded(text, "; ".join(filter(None, (*remarks, code, end))))


def _of_document(found: tuple[Document, str] | Drop, remark: str = "") -> Decoded | Drop:
    if isinstance(found, Drop):
        return found
    document, how = found
    reader = how.rpartition(" read by ")[2]
    return Decoded(document.text, "; ".join(filter(None, (remark, how))), {**document.about, "reader": reader})


def _bad_bytes(data: bytes, error: UnicodeDecodeError) -> int:
    """How many bytes of a text in UTF-8 are not; 0 where it is not UTF-8 at all.

    Hardly any byte may be bad, and letters of several bytes must speak for UTF-8, because English with a few accents in Latin-1 is
    nearly all UTF-8 too. A letter that is cut off by the end of the file speaks for it as well.
    """
    whole = data.decode("utf-8", "ignore").encode()
    bad = len(data) - len(whole)
    good = len(whole.translate(None, _ASCII))
    few, cut = 100 * bad < len(data), error.reason == "unexpected end of data"
    return bad if good >= 10 * bad or (few and (cut or good >= bad)) else 0


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


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


def probe_row(text: str) -> Probed | Drop:
    """What a text measures that a table holds: it is learnt as it stands there."""
    found = _plain(text.encode("utf-8", "surrogatepass"))
    if isinstance(found, Drop):
        return found
    found = _remarked(found.text, found.remark)
    return Probed({"characters": len(found.text)}, found.remark) if found.text.strip() else Drop("empty")


class Text:
    """The medium of everything that is read."""

    name, noun, plural = "text", "text", "texts"
    suffixes: tuple[str, ...] = (
        *(".txt", ".text", ".md", ".markdown", ".rst", ".log", ".csv", ".tsv", ".htm", ".html", ".xml", ".tex"),
        *DOCUMENT_SUFFIXES,
        *sorted(CODE_SUFFIXES),
    )
    textual = True
    size: tuple[str, ...] = ("characters",)
    size_title = "characters a text"

    def is_kind(self, head: bytes) -> bool:
        return kind(head) == self.name or is_document(head)

    def probe(self, data: bytes) -> Probed | Drop:
        found = read(data)
        if isinstance(found, Drop):
            return found
        if not found.text.strip():
            return Drop("empty", found.remark)
        measures: Measures = {"characters": len(found.text)}
        remark = found.remark
        if numbers := share_of_numbers(found.text):
            measures["numbers"] = round(numbers, 2)
            remark = "; ".join(filter(None, (remark, TABLE_OF_NUMBERS)))
        return Probed(measures, remark, found.fields)

    def limit(self, measures: Measures, size_bytes: int, settings: Mapping[str, Any]) -> Drop | None:
        characters, least = measures["characters"], settings.get("min_characters", 1)
        if characters < least:
            return Drop("too_small", f"{count(int(characters), 'character')}; the recipe asks for {least:,}")
        if "numbers" in measures and settings.get("numbers") is False:
            return Drop("numbers", f"{measures['numbers']:.0%} of its cells; `prepare.numbers: true` learns it")
        return None

    def decoder(self) -> str:
        return f"charset-normalizer {version('charset-normalizer')}, {readers()}"

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
