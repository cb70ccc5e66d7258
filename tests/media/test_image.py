"""Pictures of every common kind decode to what they show; broken and dangerous ones are dropped."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from genwright.ledger import Drop
from genwright.media.image import decode, grid, probe, resize_square, save_png
from genwright.media.kind import kind

NOISE = np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8)
GRADIENT = np.stack(np.broadcast_arrays(np.arange(40)[:, None] * 6, np.arange(30) * 8, 100), -1).astype(np.uint8)


def encoded(picture: Image.Image, kind_of_file: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind_of_file, **options)
    return out.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of few bytes whose header says that it is huge."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "PPM", "GIF", "AVIF", "JPEG2000"])
def test_every_kind_of_picture_decodes(name: str) -> None:
    data = encoded(Image.fromarray(GRADIENT), name)
    shown = decode(data)
    assert kind(data) == "image"
    assert probe(data) == (30, 40)
    assert isinstance(shown, np.ndarray)
    assert shown.shape == (40, 30, 3)
    assert shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - GRADIENT).mean() < 6


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "AVIF"])
def test_a_truncated_picture_is_undecodable(name: str) -> None:
    data = encoded(Image.fromarray(NOISE), name)
    dropped = decode(data[: len(data) // 2])
    assert isinstance(dropped, Drop)
    assert dropped.reason == "undecodable"


def test_the_header_check_finds_a_truncated_png_without_decoding_it() -> None:
    data = encoded(Image.fromarray(NOISE), "PNG")
    for cut in (len(data) - 13, len(data) // 2, 20):
        dropped = probe(data[:cut])
        assert isinstance(dropped, Drop)
        assert dropped.reason == "undecodable"


def test_transparency_is_laid_on_the_background() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    half = Image.new("RGBA", (4, 4), (255, 0, 0, 128))
    assert decode(encoded(clear, "PNG"), "#00ff00")[0, 0].tolist() == [0, 255, 0]  # type: ignore[index]
    assert decode(encoded(half, "PNG"), "white")[0, 0].tolist() == [255, 127, 127]  # type: ignore[index]
    assert decode(encoded(clear.convert("LA"), "PNG"), "blue")[0, 0].tolist() == [0, 0, 255]  # type: ignore[index]


def test_a_palette_with_a_transparent_colour() -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([10, 20, 30] * 256)
    assert decode(encoded(picture, "PNG"))[0, 0].tolist() == [10, 20, 30]  # type: ignore[index]
    assert decode(encoded(picture, "PNG", transparency=0))[0, 0].tolist() == [255] * 3  # type: ignore[index]


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = (np.arange(1200, dtype=np.uint16) * 54).reshape(40, 30)
    shown = decode(encoded(Image.fromarray(values), "PNG"))
    assert isinstance(shown, np.ndarray)
    assert np.abs(shown[..., 0].astype(int) - values // 257).max() <= 1


def test_cmyk_looks_as_it_did() -> None:
    shown = decode(encoded(Image.fromarray(GRADIENT).convert("CMYK"), "JPEG", quality=95))
    assert isinstance(shown, np.ndarray)
    assert np.abs(shown.astype(int) - GRADIENT).mean() < 6


def test_a_turned_picture_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned 90 degrees clockwise
    data = encoded(Image.fromarray(GRADIENT), "JPEG", exif=exif, quality=95)
    shown = decode(data)
    assert probe(data) == (40, 30)
    assert isinstance(shown, np.ndarray)
    assert np.abs(shown.astype(int) - np.rot90(GRADIENT, -1)).mean() < 6


def test_sizes_are_judged_by_the_header() -> None:
    assert probe(png_that_claims(50_000, 50_000)).reason == "bomb"  # type: ignore[union-attr]
    assert decode(png_that_claims(50_000, 50_000)).reason == "bomb"  # type: ignore[union-attr]
    assert probe(png_that_claims(9_000, 9_000), max_pixels=50_000_000).reason == "bomb"  # type: ignore[union-attr]
    data = encoded(Image.fromarray(NOISE), "PNG")
    assert probe(data, max_pixels=1000).reason == "too_large"  # type: ignore[union-attr]
    assert probe(data, min_pixels=31).reason == "too_small"  # type: ignore[union-attr]


def test_postscript_is_not_opened() -> None:
    # Pillow would start another program for it.
    data = encoded(Image.fromarray(NOISE), "EPS")
    assert isinstance(decode(data), Drop)
    assert kind(data) == "other"


def test_what_pillow_complains_of_stays_out_of_sight() -> None:
    data = bytearray(encoded(Image.fromarray(NOISE), "TIFF"))
    place = data.index(struct.pack("<HHI", 277, 3, 1))  # the tag "samples per pixel"
    data[place + 8 : place + 10] = struct.pack("<H", 2048)
    code = "import sys; from genwright.media.image import decode; print(decode(sys.stdin.buffer.read()).reason)"
    done = subprocess.run([sys.executable, "-W", "always", "-c", code], input=bytes(data), capture_output=True)
    assert (done.stdout, done.stderr) == (b"undecodable\n", b"")


def test_a_photograph_is_cropped_and_a_symbol_is_padded() -> None:
    photograph = np.zeros((20, 40, 3), np.uint8)
    photograph[:, :10] = 255
    photograph[:, 10:30] = np.arange(20, dtype=np.uint8)[:, None, None] * 12
    cropped = resize_square(photograph, 20)
    assert np.array_equal(cropped, photograph[:, 10:30])
    symbol = np.full((20, 40, 3), 250, np.uint8)
    symbol[5:15, 1:39] = 30
    padded = resize_square(symbol, 40)
    assert padded[0, 0].tolist() == [250] * 3
    assert (padded[15:25, 2:38] == 30).all()


def test_a_square_picture_of_the_size_is_left_as_it_is() -> None:
    picture = np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(resize_square(picture, 16), picture)


def test_a_sheet_places_pictures_row_by_row() -> None:
    sheet = np.asarray(grid([np.full((4, 4, 3), v, np.uint8) for v in (10, 20, 30)], columns=2, gap=1, scale=2))
    assert sheet.shape == (17, 17, 3)
    assert [sheet[0, 0, 0], sheet[0, 9, 0], sheet[9, 0, 0], sheet[9, 9, 0]] == [10, 20, 30, 255]


def test_png_metadata_is_kept(tmp_path: Path) -> None:
    save_png(NOISE, tmp_path / "a.png", {"prompt": "ein süßes Herz", "seed": 3})
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.info["prompt"] == "ein süßes Herz"
        assert picture.info["seed"] == "3"
        assert np.array_equal(np.asarray(picture), NOISE)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("head", "medium"),
    [
        (b"Hello\n", "text"),
        (b"\xff\xfeh\x00i\x00", "text"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image"),
        (b"BM is how this text begins", "text"),
        (b"FORMAT: a text about forms", "text"),
        (b"ID3\x04\x00\x00", "audio"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "audio"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image"),
        (b"\xff\xfb\x90\x00\x00\x00", "audio"),
        (b"MThd\x00\x00\x00\x06", "midi"),
        (b"PK\x03\x04\x14\x00", "other"),
        (b"%PDF-1.7\n", "other"),
        (b"\x00\x01\x02", "other"),
        ("Äpfel über Öl".encode("latin-1"), "text"),
    ],
)
def test_what_a_file_is_by_its_first_bytes(head: bytes, medium: str) -> None:
    assert kind(head) == medium
