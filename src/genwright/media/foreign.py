"""Pictures that Pillow can't read alone: photographs of phones (HEIC) and drawings (SVG), by libraries that may be missing."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from PIL import features

from genwright.ledger import Drop
from genwright.media import vector
from genwright.media.kind import HEAD_BYTES, is_cut_short, is_heif, is_svg

EXTRA = "pip install 'genwright[pictures]'"
"""How the libraries come that read HEIC and SVG."""


def opened(data: bytes) -> bytes | Drop:
    """A file that Pillow can open: of a drawing its PNG. A Drop where a library is missing that could read it."""
    head = data[:HEAD_BYTES]
    try:
        if is_svg(head):
            return vector.drawn(data)
        if is_heif(head):
            heif: Any = import_module("pillow_heif")
            heif.register_heif_opener()
    except ImportError:
        return Drop("needs_library", EXTRA)
    if head[4:8] == b"ftyp" and is_cut_short(data):  # its header alone would tell its size
        return Drop("undecodable", "cut short: the end of the picture is missing")
    if head[4:12] in (b"ftypavif", b"ftypavis") and not features.check("avif"):
        return Drop("needs_library", "pip install -U pillow")
    return data


def remark_of(data: bytes) -> tuple[str, str]:
    """The library beside Pillow that reads a file, with its version, and what is to be known of that; "" for Pillow itself."""
    head = data[:HEAD_BYTES]
    name = "resvg_py" if is_svg(head) else "pillow_heif" if is_heif(head) else ""
    if not name:
        return "", ""
    reader = f"{name} {_version(name)}"
    words = ", without the words in it" if name == "resvg_py" and vector.has_words(data) else ""
    return reader, f"read by {reader}{words}"


def readers() -> str:
    """Names and versions of the libraries that read pictures, those that are missing too."""
    return ", ".join(f"{name} {_version(name)}" for name in ("pillow", "pillow_heif", "resvg_py"))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
