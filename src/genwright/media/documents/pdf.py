"""PDF, by PDFium: without what stands on every page, words that were cut at a line's end whole again."""

from __future__ import annotations

import ctypes
import re
import threading
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from genwright.console import count
from genwright.media.documents.base import LARGEST_TEXT, Document, UnreadableError, about
from genwright.media.documents.html import clean
from genwright.media.documents.lines import HYPHEN, Line, paragraphs, usual_pitch

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument, PdfTextPage

_MOST_PAGES = 20_000
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_LONGEST_STREAM = 50_000_000
_MOST_PACKED = 1032
"""How many times longer zlib can make what it unpacks."""
_EDGE = 2
"""So many lines at the top and at the bottom of a page may be what stands on every page."""
_PAGE_NUMBER = re.compile(r"\W*(page|seite|p\.?|s\.)?\W*#\W*((of|von|sur|de|/)?\W*#)?\W*", re.IGNORECASE)
_CUT = re.compile(rf"(\w*){HYPHEN}(\w*)")
_SENTENCE_ENDS = (".", "!", "?", ":", ";", "…", '"', "”", "»", ")", "|")
_WIDE = 2.0
"""A gap of so many sizes of letters stands between two cells of a table."""
_LEAST_LETTERS = 20
"""Letters a page; with fewer and a picture on each, a document is a scan, whose few letters a stamp or a header."""

_HYPHENS = (0x02, 0xAD, 0xFFFE)
"""What PDFium gives for a hyphen at the end of a line."""
_IMAGE = 3
"""FPDF_PAGEOBJ_IMAGE"""

_one_at_a_time = threading.RLock()
"""PDFium can't be used by two threads."""


def read_pdf(data: bytes) -> Document:
    """Raises UnreadableError where it is locked, broken or only pictures of pages, and ImportError without the library."""
    from pypdfium2 import PdfDocument, PdfiumError

    _refuse_bomb(data)
    with _one_at_a_time:
        try:
            file = PdfDocument(data)
        except PdfiumError as error:
            if "password" in str(error).lower():
                raise UnreadableError("encrypted", "needs a password; save it without one") from error
            raise UnreadableError("undecodable", f"no PDF that can be read: {str(error)[:160]}") from error
        try:
            pages, scanned = _pages(file)
            facts = file.get_metadata_dict(skip_empty=True)
        except PdfiumError as error:
            raise UnreadableError("undecodable", f"a page of it can't be read: {str(error)[:160]}") from error
        finally:
            file.close()
    if scanned or not any(pages):
        raise UnreadableError(
            "no_text",
            f"{count(len(pages), 'page')} without letters, as of a scan; a program for OCR puts them in",
        )
    inside = _without_margins(pages)
    pitch = usual_pitch(inside)
    text = _joined([paragraphs(page, pitch) for page in inside])
    return Document(clean(_whole_words(text)), about(facts.get("Title"), facts.get("Author")))


def _refuse_bomb(data: bytes) -> None:
    """PDFium unpacks what a page is drawn by however long that is, and can't be stopped. Pictures may be long; what draws is not."""
    for found in _STREAM.finditer(data):
        start = found.end()
        stop = data.find(b"endstream", start)
        length = (stop if stop >= 0 else len(data)) - start
        if length * _MOST_PACKED < _LONGEST_STREAM or b"/Image" in data[max(0, found.start() - 400) : found.start()]:
            continue
        try:
            unpacked = zlib.decompressobj().decompress(data[start : start + length], _LONGEST_STREAM)
        except zlib.error:  # packed in another way, by which it grows little
            continue
        if len(unpacked) >= _LONGEST_STREAM:
            raise UnreadableError("bomb", f"a PDF with a page that unpacks to more than {_LONGEST_STREAM:,} bytes")


def _pages(file: PdfDocument) -> tuple[list[list[Line]], bool]:
    """The lines of every page, and whether they are pictures with hardly a letter."""
    if len(file) > _MOST_PAGES:
        raise UnreadableError("bomb", f"{len(file):,} pages; the limit is {_MOST_PAGES:,}")
    pages, letters, pictures = [], 0, 0
    for number in range(len(file)):
        page = file[number]
        found = page.get_textpage()
        pages.append(_lines(found))
        length = sum(len(line.text) for line in pages[-1])
        letters += length
        if length < _LEAST_LETTERS:
            pictures += any(True for _ in page.get_objects(filter=[_IMAGE], max_depth=2))
        found.close()
        page.close()
        if letters > LARGEST_TEXT:
            raise UnreadableError("bomb", f"more than {LARGEST_TEXT:,} characters")
    return pages, bool(pages) and pictures == len(pages) and letters < _LEAST_LETTERS * len(pages)


def _lines(page: PdfTextPage) -> list[Line]:
    lines: list[Line] = []
    letters: list[_Letter] = []
    for letter in _letters(page):
        ends = letter.text in ("\r", "\n")
        if not ends:
            letters.append(letter)
        if (ends or letter.text == HYPHEN) and letters:
            lines += _line(letters)
            letters = []
    return lines + (_line(letters) if letters else [])


@dataclass(frozen=True, slots=True)
class _Letter:
    """A letter, where it stands and how high its line is; of what PDFium put between words there is no box."""

    text: str
    left: float = 0.0
    right: float = 0.0
    base: float = 0.0
    size: float = 0.0


def _letters(page: PdfTextPage) -> Iterator[_Letter]:
    from pypdfium2 import raw

    box, x, y = raw.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    for index in range(page.count_chars()):
        code = raw.FPDFText_GetUnicode(page, index)
        text = HYPHEN if code in _HYPHENS else chr(code) if 0 < code < 0x110000 else "\ufffd"
        if text.isspace() or raw.FPDFText_IsGenerated(page, index):
            yield _Letter(text)
        else:
            raw.FPDFText_GetLooseCharBox(page, index, box)
            raw.FPDFText_GetCharOrigin(page, index, x, y)
            yield _Letter(text, box.left, box.right, y.value, abs(box.top - box.bottom))


def _line(letters: Sequence[_Letter]) -> list[Line]:
    """The line that some letters make; none where they are only white space."""
    boxed = [letter for letter in letters if letter.size]
    if not boxed:
        return []
    size = median(letter.size for letter in boxed)
    pieces, last = [], boxed[0]
    for letter in letters:
        if letter.size:
            if letter.left - last.right > _WIDE * size and pieces:
                pieces[-1] = "\t"
            last = letter
        pieces.append(letter.text)
    text = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").strip(" \t\x00")
    first = boxed[: len(text.split()[0])] if text else boxed
    wide = first[-1].right - first[0].left
    return [Line(text, boxed[0].left, boxed[-1].right, median(one.base for one in boxed), size, wide)] if text else []


def _without_margins(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Pages without the headers, footers and page numbers that stand on most of them."""
    edges = [_edges(page) for page in pages]
    counts = Counter(key for page in edges for key in {_key(line) for line in page})
    most = max(3, len(pages) // 2)

    def repeated(line: Line) -> bool:
        key = _key(line)
        return counts[key] >= most or (counts[key] > 1 and _PAGE_NUMBER.fullmatch(key) is not None)

    return [
        [line for line in page if not (line in edge and repeated(line))]
        for page, edge in zip(pages, edges, strict=True)
    ]


def _edges(page: Sequence[Line]) -> list[Line]:
    ranked = sorted(page, key=lambda line: line.bottom)
    return [*ranked[:_EDGE], *ranked[_EDGE:][-_EDGE:]]


def _key(line: Line) -> str:
    return re.sub(r"\d+", "#", line.text)


def _joined(pages: Sequence[Sequence[str]]) -> str:
    """Pages, a paragraph that goes on over a page's end whole again."""
    found: list[str] = []
    for page in filter(None, pages):
        first, *rest = page
        if found and first[:1].islower() and not found[-1].endswith(_SENTENCE_ENDS):
            found[-1] += first if found[-1].endswith(HYPHEN) else f" {first}"
        else:
            found.append(first)
        found += rest
    return "\n\n".join(found)


def _whole_words(text: str) -> str:
    """Words cut at a line's end put together, unless the text writes them with their hyphen elsewhere, or a capital or number follows."""
    known = set(re.findall(r"\w+-\w+", text))

    def join(match: re.Match[str]) -> str:
        first, second = match[1], match[2]
        own = not second[:1].islower() or not first[-1:].isalpha() or f"{first}-{second}" in known
        return f"{first}{'-' * own}{second}"

    return _CUT.sub(join, text)
