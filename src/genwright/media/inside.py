"""What a picture says of itself: the metadata of a drawing in SVG (Dublin Core, Creative Commons) and XMP in other files.

Both are RDF. What stands there was written by whoever made the file, so it is read as XML that may be broken or made to grow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from genwright.ledger import Drop
from genwright.media import vector
from genwright.rights.licence import recognise

_LONGEST = 10_000
"""Characters; what is longer is no title."""
_LARGEST_PACKET = 1_000_000
"""Bytes of XMP that are looked at."""
_NAMES = {"title": "title", "creator": "author", "subject": "keywords", "description": "description"}
"""Elements of Dublin Core, and what they are called here."""
_RIGHTS = ("license", "WebStatement", "UsageTerms", "rights")
"""Where a licence may be said, the plainest first."""


def said_by_drawing(data: bytes) -> dict[str, str]:
    """Of `title`, `author`, `keywords`, `description` and `licence` (an SPDX id) those that a drawing in SVG says of itself."""
    root = vector.parsed(data)
    return {} if isinstance(root, Drop) else _said(root)


def said_by_packet(packet: bytes | str | None) -> dict[str, str]:
    """The same of the XMP that stands in another picture."""
    text = packet.encode() if isinstance(packet, str) else bytes(packet or b"").strip(b"\0 \r\n")
    if not text or len(text) > _LARGEST_PACKET or vector.may_grow(text):
        return {}
    try:
        return _said(ElementTree.fromstring(text))
    except (ElementTree.ParseError, ValueError, LookupError):  # broken metadata takes nothing from the picture
        return {}


def _said(root: ElementTree.Element) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, values in _statements(root):
        found.setdefault(name, []).extend(value for value in values if value)
    said = {ours: ", ".join(dict.fromkeys(found[name])) for name, ours in _NAMES.items() if found.get(name)}
    if licence := next(filter(None, (recognise(" ".join(found.get(name, []))) for name in _RIGHTS)), None):
        said["licence"] = licence
    return {name: value for name, value in said.items() if value and len(value) <= _LONGEST}


def _statements(root: ElementTree.Element) -> Iterator[tuple[str, list[str]]]:
    """Names and values of what is said of the work itself; a drawing's own title and description come last."""
    for about in root.iter():
        if _local(about.tag) not in ("Work", "Description"):
            continue
        yield from ((_local(name), [_clean(value)]) for name, value in about.attrib.items())
        yield from ((_local(one.tag), list(_values(one))) for one in about)
    if _local(root.tag) == "svg" and not any(_local(one.tag) == "Work" for one in root.iter()):
        yield from (
            (_local(one.tag).replace("desc", "description"), [_clean(one.text)])
            for one in root
            if _local(one.tag) in ("title", "desc")
        )


def _values(element: ElementTree.Element) -> Iterator[str]:
    """The texts of a property: its own, those of a list, the name of an agent, an address."""
    yield _clean(element.text)
    yield from (_clean(value) for name, value in element.attrib.items() if _local(name) == "resource")
    for inner in element.iter():
        if _local(inner.tag) in ("li", "title") and inner is not element:
            yield _clean(inner.text)


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2]


def _clean(text: str | None) -> str:
    return re.sub(r"[\x00-\x1f\x7f\s]+", " ", text or "").strip()
