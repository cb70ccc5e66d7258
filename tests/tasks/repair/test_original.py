"""What a picture has is kept: the way up, profile, alpha, grey, 16 bits; and what is not to change does not, bit for bit."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from genwright.media import deep
from genwright.media.image import IMAGE, stored
from genwright.model import Model
from genwright.request import Blob
from helpers.repairing import blob, hole, mended, repair_model, texture

HEIGHT, WIDTH = 37, 50
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module")
def model() -> Model:
    return repair_model()


def _filled(model: Model, picture: Blob, **asked: object) -> Image.Image:
    """What the command line would write, read again."""
    mask, _ = hole(HEIGHT, WIDTH)
    (made,) = mended(model, picture=picture, mask=blob(mask), steps=2, **asked)
    found = stored(IMAGE.encode(made.data, made.metadata))
    assert isinstance(found, Image.Image)
    return found


def _values(picture: Image.Image) -> np.ndarray:
    values = picture.info.get(deep.VALUES)
    values = np.asarray(picture) if values is None else values
    return values[..., None] if values.ndim == 2 else values


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA"])
def test_known_pixels_stay_bit_for_bit(model: Model, mode: str):
    values = texture(HEIGHT, WIDTH, len(mode))
    original = Image.fromarray(values[..., 0] if mode == "L" else values, mode)
    found, (_, white) = _filled(model, blob(original)), hole(HEIGHT, WIDTH)
    assert found.mode == mode and found.size == original.size
    assert np.array_equal(_values(found)[~white], values[~white])
    assert not np.array_equal(_values(found)[white], values[white])
    if "A" in mode:
        assert np.array_equal(_values(found)[..., -1], values[..., -1])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay_sixteen_bits(model: Model, channels: int):
    values = texture(HEIGHT, WIDTH, channels, 65_535)
    data = deep.png(values, {"icc_profile": PROFILE}, Image_chunks())
    found, (_, white) = _filled(model, blob(data, "deep.png")), hole(HEIGHT, WIDTH)
    assert _values(found).dtype == np.uint16 and _values(found).shape == values.shape
    assert np.array_equal(_values(found)[~white], values[~white])
    assert not np.array_equal(_values(found)[white], values[white])
    assert found.info["icc_profile"] == PROFILE


def Image_chunks():  # noqa: N802 - reads as the class that it makes
    from PIL import PngImagePlugin

    return PngImagePlugin.PngInfo()


def test_a_tiff_of_sixteen_bits_is_read_whole():
    import cv2

    values = texture(9, 8, 3, 65_535)
    found = stored(cv2.imencode(".tiff", values[..., ::-1])[1].tobytes())
    assert isinstance(found, Image.Image) and np.array_equal(found.info[deep.VALUES], values)


def test_the_way_up_and_the_profile_are_kept(model: Model):
    """The file lies on its side and says so: the mask is of what people see, and so is what comes of it."""
    upright = Image.fromarray(texture(HEIGHT, WIDTH))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "A camera"
    lying = upright.transpose(Image.Transpose.ROTATE_90)
    found, (_, white) = _filled(model, blob(lying, exif=exif.tobytes(), icc_profile=PROFILE)), hole(HEIGHT, WIDTH)
    assert found.size == (WIDTH, HEIGHT) and np.array_equal(_values(found)[~white], np.asarray(upright)[~white])
    assert found.info["icc_profile"] == PROFILE
    assert found.getexif().get(0x0112, 1) == 1 and found.getexif()[0x010F] == "A camera"


def test_sixteen_bits_are_turned_too():
    values = texture(5, 9, 3, 65_535)
    exif = Image.Exif()
    exif[0x0112] = 8
    found = stored(deep.png(values, {"exif": exif.tobytes()}, Image_chunks()))
    assert isinstance(found, Image.Image)
    assert np.array_equal(found.info[deep.VALUES], np.rot90(values)) and found.size == (5, 9)


def test_a_palette_is_as_the_colours_in_it(model: Model):
    picture = Image.fromarray(texture(HEIGHT, WIDTH)).quantize(40)
    found, (_, white) = _filled(model, blob(picture)), hole(HEIGHT, WIDTH)
    assert found.mode == "RGB" and np.array_equal(_values(found)[~white], np.asarray(picture.convert("RGB"))[~white])


def test_a_jpeg_comes_back_as_it_was_decoded(model: Model, tmp_path: Path):
    picture = blob(Image.fromarray(texture(HEIGHT, WIDTH)), "photo.jpg", "JPEG", quality=60)
    found, (_, white) = _filled(model, picture), hole(HEIGHT, WIDTH)
    decoded = np.asarray(Image.open(io.BytesIO(picture.data)))
    assert np.array_equal(_values(found)[~white], decoded[~white])


def test_transparent_pixels_stay_transparent_when_something_else_is_mended(model: Model):
    values = texture(HEIGHT, WIDTH, 4)
    values[:20, :, 3], values[20:, :, 3] = 0, 255
    (made,) = mended(model, picture=blob(Image.fromarray(values)), fix=["noise"])
    found = np.asarray(made.data)
    assert np.array_equal(found[:20], values[:20]) and np.array_equal(found[..., 3], values[..., 3])
    assert not np.array_equal(found[20:], values[20:])


def test_transparent_pixels_are_filled_when_nothing_else_is_asked(model: Model, capsys: pytest.CaptureFixture[str]):
    values, (_, white) = texture(HEIGHT, WIDTH, 4), hole(HEIGHT, WIDTH)
    values[..., 3] = np.where(white, 0, 255)
    (made,) = mended(model, picture=blob(Image.fromarray(values)), steps=2)
    found = np.asarray(made.data)
    assert made.data.mode == "RGB" and np.array_equal(found[~white], values[~white][:, :3])
    assert "transparent pixels are filled" in capsys.readouterr().err
