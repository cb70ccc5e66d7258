"""What a picture says of itself: the metadata of a drawing in SVG (Dublin Core, Creative Commons) and XMP in other files.

Both are RDF. What stands there was written by whoever made the file, so it is read as XML that may be broken or made to grow.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from PIL import Image

from genwright.ledger import Drop
from genwright.media import vector
from genwright.media.kind import HEAD_BYTES, is_svg
from genwright.rights.licence import recognise

_LONGEST = 10_000
"""Characters; what is longer is no title."""
_LARGEST_PACKET = 1_000_000
"""Bytes of XMP that are looked at."""
_NAMES = {"title": "title", "creator": "author", "subject": "keywords", "description": "description"}
"""Elements of Dublin Core, and what they are called here."""
_RIGHTS = ("license", "WebStatement", "UsageTerms", "rights")
"""Where a licence may be said, the plainest first."""


def said_inside(data: bytes) -> dict[str, str]:
    """Of `title`, `author`, `keywords`, `description` and `licence` (an SPDX id) those that a picture says of itself."""
    try:
        root = _drawing(data) if is_svg(data[:HEAD_BYTES]) else _packet(data)
    except Exception:  # metadata may be broken in any way, which takes nothing from the picture
        return {}
    if root is None:
        return {}
    found: dict[str, list[str]] = {}
    for name, values in _statements(root):
        found.setdefault(name, []).extend(value for value in values if value)
    said = {ours: ", ".join(dict.fromkeys(found[name])) for name, ours in _NAMES.items() if found.get(name)}
    if licence := next(filter(None, (recognise(" ".join(found.get(name, []))) for name in _RIGHTS)), None):
        said["licence"] = licence
    return {name: value for name, value in said.items() if value and len(value) <= _LONGEST}


def _drawing(data: bytes) -> ElementTree.Element | None:
    root = vector.parsed(data)
    return None if isinstance(root, Drop) else root


def _packet(data: bytes) -> ElementTree.Element | None:
    with Image.open(io.BytesIO(data)) as picture:
        packet = picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp")
    text = packet.encode() if isinstance(packet, str) else bytes(packet or b"").strip(b"\0 \r\n")
    return None if not text or len(text) > _LARGEST_PACKET or vector.may_grow(text) else ElementTree.fromstring(text)


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
