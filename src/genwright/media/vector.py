"""Drawings in SVG, drawn to pixels by resvg: without a network, and no file is read that a drawing names."""

from __future__ import annotations

import base64
import binascii
import io
import re
from importlib import import_module
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from genwright.ledger import Drop
from genwright.media.kind import ungzipped

SIDE = 512
"""Pixels of the longer side that a drawing is drawn to, because it has no size of its own in pixels."""

_MOST_BYTES = 20_000_000
_MOST_ELEMENTS = 200_000
_DEEPEST = 200
_MOST_PIXELS = 16_000_000
"""Pixels of all pictures inside a drawing."""
_NESTED_ENTITY = re.compile(rb"<!ENTITY[^>]*&")
_LENGTH = re.compile(r"\s*([0-9.]+(?:[eE][-+]?\d+)?)\s*(px|pt|pc|mm|cm|in|em|ex)?\s*")
_INSIDE = re.compile(r"data:image/(png|jpe?g|gif|webp);base64,", re.IGNORECASE)


def drawn(data: bytes) -> bytes | Drop:
    """A drawing as a PNG with a transparent ground, or why it can't be drawn. Raises ImportError without the library."""
    resvg: Any = import_module("resvg_py")
    root = parsed(data)
    if isinstance(root, Drop):
        return root
    size = _size(root)
    if size is None:
        return Drop("undecodable", "the drawing says no size: neither a viewBox nor width and height")
    width, height = (max(1, round(side * SIDE / max(size))) for side in size)
    root.attrib.setdefault("viewBox", f"0 0 {size[0]} {size[1]}")
    root.set("width", str(width))
    root.set("height", str(height))
    text = ElementTree.tostring(root, "unicode")
    try:
        picture = bytes(resvg.svg_to_bytes(svg_string=text, skip_system_fonts=True))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the library is no Exception
        reason = "bomb" if "limit reached" in str(error) else "undecodable"
        return Drop(reason, f"the drawing can't be drawn: {str(error)[:160]}")
    with Image.open(io.BytesIO(picture)) as seen:
        nothing = seen.mode == "RGBA" and seen.getchannel("A").getextrema()[1] == 0
    return Drop("empty", "a drawing of nothing, or of pictures and words that stand elsewhere") if nothing else picture


def has_words(data: bytes) -> bool:
    """Whether there are words in a drawing, which are not drawn because no two machines have the same fonts."""
    return re.search(rb"<(\w+:)?text[\s>]", ungzipped(data, _MOST_BYTES)) is not None


def may_grow(data: bytes) -> bool:
    """Whether XML has entities that hold entities, and so could grow without end."""
    return _NESTED_ENTITY.search(data) is not None


def parsed(data: bytes) -> ElementTree.Element | Drop:
    """The drawing's elements, nothing in them that leads outside."""
    data = ungzipped(data, _MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        return Drop("too_large", f"a drawing of more than {_MOST_BYTES:,} bytes")
    if may_grow(data):
        return Drop("bomb", "a drawing whose entities hold entities, which would grow without end")
    try:
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        grows = "amplification" in str(error)
        return Drop("bomb" if grows else "undecodable", f"the drawing is no XML that can be read: {str(error)[:160]}")
    return _closed(root) or root


def _closed(root: ElementTree.Element) -> Drop | None:
    stack, count, pixels = [(root, 0)], 0, 0
    while stack:
        element, depth = stack.pop()
        count += 1
        if depth > _DEEPEST or count > _MOST_ELEMENTS:
            return Drop("bomb", f"a drawing with more than {_MOST_ELEMENTS:,} parts, or {_DEEPEST} inside each other")
        for name in [name for name in element.attrib if name.rpartition("}")[2] == "href"]:
            link = element.attrib[name].strip()
            if _INSIDE.match(link):
                pixels += _pixels(link)
            elif not link.startswith("#"):
                del element.attrib[name]
        stack += [(child, depth + 1) for child in element]
    return Drop("bomb", f"a drawing with pictures of {pixels:,} pixels in it") if pixels > _MOST_PIXELS else None


def _pixels(link: str) -> int:
    try:
        with Image.open(io.BytesIO(base64.b64decode(link.partition(",")[2]))) as picture:
            return picture.width * picture.height
    except Image.DecompressionBombError:
        return _MOST_PIXELS + 1
    except (OSError, ValueError, SyntaxError, binascii.Error):
        return 0


def _size(root: ElementTree.Element) -> tuple[float, float] | None:
    box = re.split(r"[\s,]+", root.get("viewBox", "").strip())
    lengths = [_LENGTH.fullmatch(root.get(name, "")) for name in ("width", "height")]
    try:
        sides = [float(side) for side in box[2:]] if len(box) == 4 else [float(found[1]) for found in lengths if found]
    except ValueError:
        return None
    return (sides[0], sides[1]) if len(sides) == 2 and all(0 < side < 1e9 for side in sides) else None
