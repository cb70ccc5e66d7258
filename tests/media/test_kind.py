"""What a file is by its first bytes, notes that begin like a signature among them."""

from __future__ import annotations

import bz2
import gzip
import io

import pytest
from PIL import Image

from genwright.media.kind import HEAD_BYTES, kind

PROSE = b" and this is ordinary prose, written by hand, of some length.\n" * 80


@pytest.mark.parametrize(
    "start",
    [
        b"GGUF files hold weights.",
        b"RIFF 1:\ne|--3--2--|\n",
        b"RIFF in WEBP and WAVE",
        b"%PDF is the magic of PDF files",
        b"%! is how PostScript begins",
        b"BZh is how bzip2 begins",
        b"BZh9 is a plate",
        b"The ftyp box of an MP4",
        b"P5 1 Mathematics, lesson one",
        b"P6 1 2 3 and on we go",
        b"BM25 ranks pages",
        b"GIF89a is a format of 1989",
        b"MThd opens a MIDI file",
        b"OggS, ID3 and FORM",
        b"PAR1 SQLite format 3",
        b"{\\rtf is how rich text begins",
        b"caf\xe9 ol\xe9",
    ],
)
def test_notes_may_begin_with_any_word(start: bytes) -> None:
    assert kind((start + PROSE)[:HEAD_BYTES]) == "text"
    assert kind(b"RIFF " + start + PROSE[:40]) == "text"


@pytest.mark.parametrize("name", ["PPM", "PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "ICO"])
@pytest.mark.parametrize("size", [(1, 1), (24, 7), (300, 200)])
def test_pictures_are_known_whatever_is_on_them(name: str, size: tuple[int, int]) -> None:
    for colour in ("white", "black", (65, 66, 67)):
        out = io.BytesIO()
        Image.new("RGB", size, colour).save(out, name)
        assert kind(out.getvalue()[:HEAD_BYTES]) == "image"


def test_a_pixmap_of_two_colours_is_a_picture() -> None:
    out = io.BytesIO()
    Image.new("1", (24, 7), 1).save(out, "PPM")
    assert out.getvalue().startswith(b"P4")
    assert kind(out.getvalue()) == "image"


@pytest.mark.parametrize(
    ("head", "medium"),
    [
        (bz2.compress(b"abc"), "other"),
        (bz2.compress(b""), "other"),
        (gzip.compress(b"abc", mtime=0), "other"),
        (b"%PDF-1.7\n1 0 obj\n", "other"),
        (b"%!PS-Adobe-3.0\n%%Title: x\n", "other"),
        (b"{\\rtf1\\ansi Hello}", "other"),
        (b"GGUF\x03\x00\x00\x00", "other"),
        (b"RIFF\x24\x08\x00\x00WAVEfmt ", "audio"),
        (b"MThd\x00\x00\x00\x06", "midi"),
        (b"\x00\x00\x00\x20ftypmp42", "other"),
        (b"\x00\x00\x00\x20ftypheic", "image"),
        (b"fLaC\x00\x00\x00\x22", "audio"),
    ],
)
def test_what_is_no_text(head: bytes, medium: str) -> None:
    assert kind(head) == medium
