"""Texts of LibreOffice and OpenOffice (odt): their XML, its elements called as those of HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genwright.media.documents.base import Document, UnreadableError, about
from genwright.media.documents.html import write
from genwright.media.documents.parts import Parts, local, said

if TYPE_CHECKING:
    from lxml.etree import _Element

_NAMES = {
    "p": "p",
    "list": "ul",
    "list-item": "li",
    "list-header": "li",
    "table": "table",
    "table-row": "tr",
    "table-cell": "td",
    "line-break": "br",
    "section": "div",
    "text-box": "div",
}
_LEFT_OUT = frozenset(
    [
        "tracked-changes",
        "annotation",
        "annotation-end",
        "sequence-decls",
        "forms",
        "table-of-content",
        "alphabetical-index",
        "bibliography",
        "user-index",
        "object-index",
        "illustration-index",
        "title",
        "desc",
        "event-listeners",
    ]
)


def read_odt(data: bytes) -> Document:
    """Raises UnreadableError where it is none, and ImportError without the library."""
    parts = Parts(data)
    if "META-INF/manifest.xml" in parts and b"encryption-data" in parts.read("META-INF/manifest.xml"):
        raise UnreadableError("encrypted", "needs a password")
    root = parts.xml("content.xml")
    body = next((element for element in root.iter() if local(element.tag) == "text"), None)
    if body is None:
        raise UnreadableError(
            "wrong_medium", "a document of LibreOffice that is no text; save it as .odt, .csv or .pdf"
        )
    _rename(body)
    meta = parts.xml("meta.xml") if "meta.xml" in parts else None
    facts = about(said(meta, "title"), said(meta, "creator")) if meta is not None else {}
    return Document(write(body, empties=True), facts)


def _rename(body: _Element) -> None:
    for element in list(body.iter()):
        name = local(element.tag)
        if name in _LEFT_OUT and element is not body:
            element.tag = "script"
        elif name == "h":
            element.tag = f"h{min(6, max(1, _level(element)))}"
        elif name == "note":
            _note(element)
        elif name in ("s", "tab"):
            element.tag, element.text = "span", " "
        elif name:
            element.tag = _NAMES.get(name, "span" if element is not body else "div")


def _note(element: _Element) -> None:
    """A footnote stands in brackets where its number is."""
    for child in element:
        if local(child.tag) == "note-citation":
            child.text = " ["
        else:
            for inner in child.iter():
                if local(inner.tag) in ("p", "h"):
                    inner.tag = "span"
            child.tail = "]"
    element.tag = "span"


def _level(element: _Element) -> int:
    found = next((value for name, value in element.attrib.items() if local(name) == "outline-level"), "1")
    return int(found) if str(found).isdecimal() and len(found) < 4 else 1
