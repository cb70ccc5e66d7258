"""What a file is by its first bytes. Names lie: a `.png` may be a JPEG, a web page or nothing at all."""

from __future__ import annotations

import re
import zlib

HEAD_BYTES = 4096
"""How much of a file `kind` wants to see."""

_BOMS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_IMAGE = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"\x00\x00\x01\x00",
    b"8BPS",
    b"qoif",
    b"\x00\x00\x00\x0cjP  ",
    b"\xff\x4f\xff\x51",
)
_AUDIO = (b"fLaC", b"OggS", b"ID3", b"FORM", b".snd", b"#!AMR")
_PACKED = re.compile(
    rb"BZh[1-9](1AY&SY|\x17rE8P\x90)|\x1f\x8b|\xfd7zXZ\x00|7z\xbc\xaf|Rar!\x1a\x07|\(\xb5/\xfd|PK\x03\x04|PK\x05\x06"
)
_WRITTEN = re.compile(rb"%PDF-\d|%!PS-Adobe-\d|\{\\rtf\d")
"""Formats that are no text to learn from, though their own may be plain text."""
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_SVG = re.compile(
    rb"\s*(<\?xml[^>]*\?>\s*)?((<!--.*?-->|<!DOCTYPE\s+svg(\[.*?\]|[^\[>])*>)\s*)*<(\w+:)?svg[\s>]", re.DOTALL
)
_SIZE = rb"\s+(?:#[^\n]*\n\s*)*(\d+)\s+(\d+)\s"
_PIXMAPS = (re.compile(b"P4" + _SIZE), re.compile(b"P[56]" + _SIZE + rb"\s*\d+\s"))
"""Headers of portable pixmaps, with width and height; those of more than two colours name the largest value too."""


def kind(head: bytes) -> str:
    """The medium of a file that starts with `head`: text, image, audio, midi or other.

    A signature of plain letters is believed where the rest is no text, since notes may begin with any word. "text" says that
    nothing speaks against text; whether it can be decoded, `media.text.decode` finds out.
    """
    if head.startswith(_BOMS):
        return "text"
    if _PACKED.match(head) or _WRITTEN.match(head):
        return "other"
    binary = _binary(head)
    if _is_pixmap(head, binary) or (head.startswith(_IMAGE) and (binary or head[0] > 127)):
        return "image"
    return _of_binary(head) if binary else "text"


def is_heif(head: bytes) -> bool:
    """Whether a photograph of a phone begins here (HEIC)."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF


def is_svg(head: bytes) -> bool:
    """Whether a drawing in SVG begins here, which is a text too, or one in gzip (.svgz)."""
    return _SVG.match(ungzipped(head, HEAD_BYTES).removeprefix(_BOMS[0])) is not None


def ungzipped(data: bytes, most: int) -> bytes:
    """What data in gzip unpack to, no more than `most` bytes of it, nor behind what is broken; other data as they are."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, most)
    except zlib.error:
        return b""


def is_cut_short(data: bytes) -> bool:
    """Whether a picture is longer than its file, where its form says how long it is: HEIC and AVIF box by box, WebP."""
    if data.startswith(b"RIFF"):
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    place = 0
    while data[4:8] == b"ftyp" and place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        size = int.from_bytes(data[place + 8 : place + 16], "big") if size == 1 else size
        if size < 8:  # to the end of the file
            return False
        place += size
    return place > len(data)


def _of_binary(head: bytes) -> str:
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image", b"WAVE": "audio", b"RMID": "midi"}.get(head[8:12], "other")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis", *_HEIF):
            return "image"
        return "audio" if brand in (b"M4A ", b"M4B ") else "other"
    if head.startswith(b"MThd"):
        return "midi"
    return "audio" if head.startswith(_AUDIO) or _mpeg_audio(head) else "other"


def _is_pixmap(head: bytes, binary: bool) -> bool:
    """Whether a portable pixmap stands there; where the head could be text, no more of it than the picture has bytes."""
    found = next(filter(None, (header.match(head) for header in _PIXMAPS)), None)
    return found is not None and (binary or len(head) - found.end() <= 3 * int(found[1]) * int(found[2]))


# Control characters that no text has; the form feed, the escape of terminals and the old DOS end of file do occur.
_NO_TEXT = bytes(byte for byte in range(32) if byte not in (9, 10, 11, 12, 13, 26, 27))


def _binary(head: bytes) -> bool:
    return len(head.translate(None, _NO_TEXT)) < len(head)


def _mpeg_audio(head: bytes) -> bool:
    """Whether an MPEG audio frame (11 bits of sync, a layer, a bit rate and a sample rate that exist) stands at the start."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    layer, rate, sampling = head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return layer != 0 and rate not in (0, 15) and sampling != 3


CODE_SUFFIXES = frozenset(
    [
        ".py",
        ".pyi",
        ".ipynb",
        ".c",
        ".h",
        ".cc",
        ".cpp",
        ".hpp",
        ".cs",
        ".go",
        ".rs",
        ".java",
        ".kt",
        ".scala",
        ".js",
        ".jsx",
        ".ts",
        ".tsx",
        ".rb",
        ".php",
        ".swift",
        ".m",
        ".lua",
        ".pl",
        ".r",
        ".jl",
        ".hs",
        ".ml",
        ".ex",
        ".exs",
        ".clj",
        ".sh",
        ".bash",
        ".zsh",
        ".ps1",
        ".sql",
        ".zig",
        ".dart",
        ".vue",
        ".css",
        ".scss",
    ]
)
"""What program text is called; nothing in its first bytes tells it from prose."""

DOCUMENT_SUFFIXES = (".docx", ".odt", ".epub", ".pdf", ".rtf")
"""What files are called that hold a text in a form of their own, so that a text alone is none."""
