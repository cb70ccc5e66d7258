"""Books (epub): their chapters in the order in which they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genwright.media.documents.base import LARGEST_TEXT, Document, UnreadableError, about
from genwright.media.documents.html import read_fragment
from genwright.media.documents.parts import Parts, beside, check_entities, local, said

if TYPE_CHECKING:
    from lxml.etree import _Element

_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read_epub(data: bytes) -> Document:
    """Raises UnreadableError where it is none or bears a lock, and ImportError without the library."""
    parts = Parts(data)
    container = parts.xml("META-INF/container.xml")
    package = next((str(e.get("full-path")) for e in container.iter() if local(e.tag) == "rootfile"), None)
    if package is None:
        raise UnreadableError("undecodable", "its container names no book")
    book = parts.xml(package)
    locked = parts.read("META-INF/encryption.xml") if "META-INF/encryption.xml" in parts else b""
    chapters, length = [], 0
    for name in _chapters(book, package):
        if name in parts:
            if name.encode() in locked:
                raise UnreadableError("encrypted", "bears a publisher's lock (DRM)")
            page = parts.read(name)
            check_entities(page, name)
            chapters.append(read_fragment(page.decode("utf-8-sig", "replace")))
            length += len(chapters[-1])
            if length > LARGEST_TEXT:
                raise UnreadableError("bomb", f"more than {LARGEST_TEXT:,} characters")
    return Document("\n\n".join(filter(None, chapters)), about(said(book, "title"), said(book, "creator")))


def _chapters(book: _Element, package: str) -> list[str]:
    """The parts that are read in order; a table of contents is none, nor what stands outside the order, such as notes of ads."""
    items = {e.get("id"): e for e in book.iter() if local(e.tag) == "item"}
    spine = [e for e in book.iter() if local(e.tag) == "itemref"]
    found = [items.get(e.get("idref")) for e in spine if e.get("linear") != "no"]
    return list(
        dict.fromkeys(
            beside(package, str(item.get("href")))
            for item in found
            if item is not None
            and item.get("media-type") in _CHAPTERS
            and "nav" not in str(item.get("properties") or "").split()
        )
    )
