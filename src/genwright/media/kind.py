"""What a file is by its first bytes. Names lie: a `.png` may be a JPEG, a web page or nothing at all."""

from __future__ import annotations

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
_OTHER = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!\x1a\x07",
    b"(\xb5/\xfd",
    b"%PDF",
    b"%!PS",
    b"\x7fELF",
    b"MZ\x90",
    b"SQLite format 3",
    b"PAR1",
    b"\xd0\xcf\x11\xe0",
    b"\xca\xfe\xba\xbe",
    b"{\\rtf",
    b"GGUF",
    b"\x1aE\xdf\xa3",
)


def kind(head: bytes) -> str:
    """The medium of a file that starts with `head`: text, image, audio, midi or other.

    "text" says that nothing speaks against text; whether it can be decoded, `media.text.decode` finds out.
    """
    if head.startswith(_BOMS):
        return "text"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image", b"WAVE": "audio", b"RMID": "midi"}.get(head[8:12], "other")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
            return "image"
        return "audio" if brand in (b"M4A ", b"M4B ") else "other"
    if head.startswith(b"MThd"):
        return "midi"
    if head.startswith(_OTHER):
        return "other"
    binary = _binary(head)
    if head[:2] in (b"P4", b"P5", b"P6") and head[2:3].isspace() and (binary or head[3:4].isdigit()):
        return "image"
    if head.startswith(_IMAGE) and (binary or not head.startswith((b"BM", b"qoif", b"8BPS"))):
        return "image"
    if (head.startswith(_AUDIO) or _mpeg_audio(head)) and binary:
        return "audio"
    return "other" if binary else "text"


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
