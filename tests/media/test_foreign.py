"""Photographs of phones and drawings: read where the library is there, else named with the cure; nothing outside is read."""

from __future__ import annotations

import gzip
import io
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from genwright.ledger import Drop
from genwright.media.base import is_of, medium_of
from genwright.media.image import IMAGE, decode, resize_square

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 20 10">{}</svg>'
)
RED = DRAWING.format('<rect width="20" height="10" fill="red"/>').encode()


def phone() -> bytes:
    out = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 48), (200, 30, 30))).save(out)
    return out.getvalue()


def test_a_photograph_of_a_phone() -> None:
    found = IMAGE.probe(phone())
    assert not isinstance(found, Drop)
    assert found.measures == {"width": 64, "height": 48}
    assert found.fields["reader"].startswith("pillow_heif ")
    picture = decode(phone())
    assert isinstance(picture, np.ndarray) and abs(picture.mean(axis=(0, 1)) - (200, 30, 30)).max() < 12


def test_a_drawing() -> None:
    found = IMAGE.probe(RED)
    assert not isinstance(found, Drop)
    assert found.measures == {"width": 512, "height": 256}
    picture = decode(RED)
    assert isinstance(picture, np.ndarray) and (picture == (255, 0, 0)).all()
    assert medium_of(RED) == "image" and is_of(RED, "text")


def test_a_drawing_with_words_says_that_they_are_not_drawn() -> None:
    found = IMAGE.probe(DRAWING.format('<rect width="5" height="5"/><text>hello</text>').encode())
    assert not isinstance(found, Drop)
    assert "without the words" in found.remark


def test_a_drawing_reads_no_file(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(tmp_path / "secret.png")
    for name in ("href", "xlink:href"):
        outside = f'<image {name}="{tmp_path}/secret.png" width="20" height="10"/>'
        picture = decode(DRAWING.format(f'{outside}<rect width="5" height="5" fill="white"/>').encode())
        assert isinstance(picture, np.ndarray) and (picture == 255).all()
        nothing = decode(DRAWING.format(outside).encode())
        assert isinstance(nothing, Drop) and nothing.reason == "empty"


MANY = "".join(f'<g id="a{i}">' + f'<use xlink:href="#a{i - 1}"/>' * 10 + "</g>" for i in range(1, 9))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'<!DOCTYPE svg [<!ENTITY a "x"><!ENTITY b "&a;&a;">]>' + DRAWING.format("<g>&b;</g>").encode(), "bomb"),
        (DRAWING.format('<g id="a0"><rect width="1" height="1"/></g>' + MANY).encode(), "bomb"),
        (DRAWING.format("<g>" * 300 + "</g>" * 300).encode(), "bomb"),
        (b'<!DOCTYPE svg [<!ENTITY a SYSTEM "/etc/passwd">]>' + DRAWING.format("<g>&a;</g>").encode(), "undecodable"),
        (RED[:60], "undecodable"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>', "undecodable"),
        (b"\0\0\0\x18ftypheic" + bytes(300), "undecodable"),
    ],
)
def test_what_can_not_be_drawn_is_told(data: bytes, reason: str) -> None:
    found = IMAGE.probe(data)
    assert isinstance(found, Drop) and found.reason == reason and found.detail


@pytest.mark.parametrize(("data", "library"), [(phone(), "pillow_heif"), (RED, "resvg_py")])
def test_where_the_library_is_missing_the_cure_is_named(
    monkeypatch: pytest.MonkeyPatch, data: bytes, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    assert IMAGE.probe(data) == Drop("needs_library", "pip install 'genwright[pictures]'")


def test_a_long_strip_is_padded_in_little_memory() -> None:
    import tracemalloc

    strip = np.full((8, 20_000, 3), 255, np.uint8)
    strip[:, 4_000:8_000] = 0
    tracemalloc.start()
    square = resize_square(strip, 64, "pad")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert square.shape == (64, 64, 3) and square[0].min() == 255 and square[31].min() < 128
    assert peak < 100e6


def test_a_strip_of_usual_length_is_padded_as_ever() -> None:
    strip = np.random.default_rng(0).integers(0, 255, (10, 40, 3), np.uint8)
    square = np.empty((40, 40, 3), np.uint8)
    square[:] = strip[0, 0]
    square[15:25] = strip
    wanted = np.asarray(Image.fromarray(square).resize((16, 16), Image.Resampling.LANCZOS))
    assert (resize_square(strip, 16, "pad") == wanted).all()


def test_an_icon_whose_header_says_less_than_it_holds() -> None:
    inside = io.BytesIO()
    Image.new("RGBA", (600, 600), "red").save(inside, "PNG")
    png = inside.getvalue()
    icon = (
        b"\0\0\1\0\1\0"
        + bytes([16, 16, 0, 0, 1, 0, 32, 0])
        + len(png).to_bytes(4, "little")
        + (22).to_bytes(4, "little")
        + png
    )
    found = decode(icon, max_pixels=100_000)
    assert isinstance(found, Drop) and found.reason in ("too_large", "bomb")


def written(form: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["HEIC", "AVIF", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.95])
def test_a_picture_that_is_cut_short_is_told_as_one(form: str, part: float) -> None:
    data = phone() if form == "HEIC" else written(form)
    assert not isinstance(IMAGE.probe(data), Drop)
    for found in (IMAGE.probe(data[: int(len(data) * part)]), decode(data[: int(len(data) * part)])):
        assert isinstance(found, Drop) and "cut short" in found.detail


def test_a_drawing_in_gzip() -> None:
    packed = gzip.compress(RED)
    assert medium_of(packed) == "image" and not is_of(packed, "text")
    picture = decode(packed)
    assert isinstance(picture, np.ndarray) and (picture == (255, 0, 0)).all()
    bomb = gzip.compress(RED.replace(b"<rect", b" " * 50_000_000 + b"<rect"))
    found = IMAGE.probe(bomb)
    assert isinstance(found, Drop) and found.reason == "too_large"
    assert isinstance(decode(packed[: len(packed) // 2]), Drop)
    assert medium_of(gzip.compress(b"words")) == "other"
