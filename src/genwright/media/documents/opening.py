"""The one door to documents: which of them some bytes are, and what stands in them."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from genwright.ledger import Drop
from genwright.media.documents import docx, epub, html, odt, pdf, rtf
from genwright.media.documents.base import EXTRA, LARGEST_TEXT, Document, UnreadableError


class Format(NamedTuple):
    """A kind of document, what people call it, the library that reads it, and how."""

    noun: str
    library: str
    read: Callable[[bytes], Document]


DOCX = Format("a Word document", "mammoth", docx.read_docx)
ODT = Format("a text of LibreOffice", "lxml", odt.read_odt)
EPUB = Format("a book", "lxml", epub.read_epub)
PDF = Format("a PDF", "pypdfium2", pdf.read_pdf)
RTF = Format("a rich text", "striprtf", rtf.read_rtf)
PAGE = ("a web page", "lxml")

_LIBRARIES = ("lxml", "mammoth", "pypdfium2", "striprtf")
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MEMBER = re.compile(rb"PK\x03\x04.{22}(..)..", re.DOTALL)
_OFFICE = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"word/", b"customXml/", b"xl/", b"ppt/")
_BOOK = (b"META-INF/container.xml", b"OEBPS/", b"OPS/", b"EPUB/")
_MOST_MEMBERS = 10_000
_APPLE = (b"Index/", b"Index.zip", b"Metadata/", b"preview")


def is_document(head: bytes) -> bool:
    """Whether a file that starts with `head` is a document that is read here, or is told what to do with."""
    return _format(head) is not None or _told(head) is not None


def read_document(data: bytes) -> tuple[Document, str] | Drop | None:
    """The text of a document and what read it, or why it can't be had; None where the bytes are no document."""
    head = data[:4096]
    format = _format(head) or _by_members(data)
    if format is None:
        return _told(head, data)
    return _read(format.noun, format.library, lambda: format.read(data))


def read_web_page(text: str) -> tuple[Document, str] | Drop | None:
    """The same for what was decoded already, where it is a web page."""
    return _read(*PAGE, lambda: html.read_page(text)) if html.is_page(text) else None


def readers() -> str:
    """Names and versions of the libraries that read documents, those that are missing too."""
    return ", ".join(f"{name} {_version(name) or 'missing'}" for name in _LIBRARIES)


def _read(noun: str, library: str, read: Callable[[], Document]) -> tuple[Document, str] | Drop:
    try:
        found = read()
    except ImportError:
        return Drop("needs_library", EXTRA)
    except UnreadableError as error:
        return error.drop
    except RecursionError:
        return Drop("undecodable", f"{noun} with parts in parts without end")
    if len(found.text) > LARGEST_TEXT:
        return Drop("bomb", f"{noun} of {len(found.text):,} characters")
    return found, f"{noun}, read by {library} {_version(library)}"


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _format(head: bytes) -> Format | None:
    if re.match(rb"%PDF-\d", head):
        return PDF
    if re.match(rb"\{\\rtf\d", head):
        return RTF
    first = _first_member(head)
    if first == b"mimetype":
        return (
            EPUB
            if b"application/epub+zip" in head[:200]
            else ODT
            if b"application/vnd.oasis.opendocument" in head[:200]
            else None
        )
    if first.startswith(_OFFICE):
        return DOCX
    return EPUB if first.startswith(_BOOK) else None


def _by_members(data: bytes) -> Format | None:
    """The same by all that an archive holds, for one that another program packed again."""
    if not data.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist()[:_MOST_MEMBERS])
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return None
    if "META-INF/container.xml" in names:
        return EPUB
    if "word/document.xml" in names:
        return DOCX
    return ODT if {"mimetype", "content.xml"} <= names else None


def _first_member(head: bytes) -> bytes:
    found = _MEMBER.match(head)
    return head[30 : 30 + int.from_bytes(found[1], "little")] if found else b""


def _told(head: bytes, data: bytes = b"") -> Drop | None:
    """What to do with a document of a kind that is not read."""
    if head.startswith(_OLE):
        if "EncryptedPackage".encode("utf-16-le") in data:
            return Drop("encrypted", "needs a password; save it without one")
        return Drop("wrong_medium", "a file of old Word, Excel or PowerPoint; save it as .docx, .csv or .pdf")
    first = _first_member(head)
    if first.startswith(_APPLE) and (b".iwa" in head or first.startswith((b"Metadata/", b"preview"))):
        return Drop("wrong_medium", "a file of Apple's Pages, Numbers or Keynote; export it as .docx, .csv or .pdf")
    return None
