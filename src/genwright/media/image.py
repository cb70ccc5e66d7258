"""Pictures: any file Pillow reads, photographs of phones (HEIC) and drawings (SVG) to uint8[H, W, 3], and arrays back to PNG files.

Decoding never trusts a file: the size in the header is checked before a pixel is unpacked, formats that would start other
programs (PostScript) are not opened, and whatever goes wrong is a `Drop`, not an exception.
"""

from __future__ import annotations

import io
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image, ImageColor, ImageOps, PngImagePlugin

from genwright.ledger import Drop
from genwright.media import compressed, deep
from genwright.media.base import Measures, Medium, Probed, write_whole
from genwright.media.foreign import opened, readers, remark_of
from genwright.media.inside import said_by_drawing, said_by_packet
from genwright.media.kind import HEAD_BYTES, is_cut_short, is_heif, is_svg, kind
from genwright.media.sheet import sheet
from genwright.pages import page

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "ICO", "AVIF", "JPEG2000", "PSD")
"""Formats with a signature, decoded by Pillow itself."""

BOMB_PIXELS = 2 * 89_478_485
"""More pixels than this are never unpacked: Pillow's own limit for a decompression bomb."""

BOMB_RATIO = 200
"""A picture over the recipe's limit that unpacks to more than this many times its file is called a bomb, not a large picture."""

_LARGEST_PADDED = 4096
"""Pixels of a square's side to which a picture is padded before it is shrunk; a longer one is shrunk first, for a strip of few pixels
may be very long."""

_SMALL, _SHOWN = 300, 256
"""Pixels: a picture less wide than the first is shown about as wide as the second."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By the orientation in an EXIF block."""

_one_at_a_time = threading.RLock()

# Pillow logs what it finds wrong with a file, and without a handler that ends on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def probe(
    file: Path | str | bytes, *, min_pixels: int = 1, max_pixels: int = BOMB_PIXELS, checksums: bool = True
) -> tuple[int, int] | Drop:
    """Width and height by the header alone, or why the picture can't be used.

    `min_pixels` is the least length of the shorter side, `max_pixels` the most pixels in all. With `checksums` a PNG's
    blocks are checked too, which finds a truncated one without unpacking it. Raises OSError when the file can't be opened.
    """
    found = opened(file if isinstance(file, bytes) else Path(file).read_bytes())
    if isinstance(found, Drop):
        return found
    data = found
    try:
        with _quiet(), _open(data) as picture:
            width, height = picture.size
            if drop := size_drop(width, height, len(data), min_pixels, max_pixels):
                return drop
            is_png = picture.format == "PNG"
            # Asked for the EXIF block of a PNG that has none in front, Pillow would unpack it all to look behind.
            if (not is_png or "exif" in picture.info) and picture.getexif().get(0x0112, 1) in (5, 6, 7, 8):
                width, height = height, width
        if checksums and is_png:
            with _quiet(), _open(data) as picture:
                picture.verify()
            if b"IEND" not in data:
                return Drop("undecodable", "cut short: the end of the PNG is missing")
    except Exception as error:
        return _undecodable(error, data)
    return width, height


def said_inside(data: bytes) -> dict[str, str]:
    """What a picture that can be opened says of itself, see media/inside.py."""
    if is_svg(data[:HEAD_BYTES]):
        return said_by_drawing(data)
    try:
        with _quiet(), _open(data) as picture:
            return said_by_packet(picture.info.get("xmp") or picture.info.get("XML:com.adobe.xmp"))
    except Exception:  # as `probe`, which says what is wrong with it
        return {}


def decode(
    data: bytes, background: str = "white", *, min_pixels: int = 1, max_pixels: int = BOMB_PIXELS
) -> np.ndarray | Drop:
    """A picture's first frame as uint8[H, W, 3], upright, transparency laid on `background` (a name or #rrggbb).

    16-bit and floating-point pictures are scaled to 8 bits. Colour profiles are not applied. A drawing in SVG is drawn to 512 pixels.
    """
    found = opened(data)
    if isinstance(found, Drop):
        return found
    data = found
    try:
        with _quiet(), _open(data) as picture:
            if drop := size_drop(*picture.size, len(data), min_pixels, max_pixels):
                return drop
            picture.load()
            # An icon's header may say less than the picture has that lies in it.
            if drop := size_drop(*picture.size, len(data), 1, max_pixels):
                return drop
            upright = _upright(picture)
            return np.asarray(to_rgb(upright, colour(background)), np.uint8)
    except Exception as error:
        return _undecodable(error, data)


def stored(data: bytes, max_pixels: int = BOMB_PIXELS) -> Image.Image | Drop:
    """A picture's first frame upright with all that it has: its own channels and depth, and in `info` its profile and EXIF block."""
    found = opened(data)
    if isinstance(found, Drop):
        return found
    try:
        with _quiet(), _open(found) as picture:
            if drop := size_drop(*picture.size, len(found), 1, max_pixels):
                return drop
            is_deep = deep.is_deep(picture, found)
            picture.load()
            if drop := size_drop(*picture.size, len(found), 1, max_pixels):
                return drop
            upright = _upright(picture)
            return _deep_upright(picture, upright, deep.read(found)) if is_deep else upright
    except ImportError:
        return Drop("needs_library", deep.EXTRA)
    except Exception as error:
        return _undecodable(error, found)


def _deep_upright(picture: Image.Image, upright: Image.Image, values_HWC: np.ndarray) -> Image.Image:
    """The values turned as the EXIF block says, with what stands beside them."""
    planes = [Image.fromarray(np.ascontiguousarray(values_HWC[..., c])) for c in range(values_HWC.shape[2])]
    turn = _TURNS.get(picture.getexif().get(0x0112, 1))
    turned = [np.asarray(plane if turn is None else plane.transpose(turn)) for plane in planes]
    shown = deep.shown(np.stack(turned, -1))
    shown.info.update({key: upright.info[key] for key in ("icc_profile", "exif") if key in upright.info})
    return shown


def opacity(data: bytes) -> np.ndarray | None:
    """How opaque the pixels of a picture that `decode` takes are, uint8[H, W], upright; None where all of them are."""
    found = opened(data)
    if isinstance(found, Drop):
        return None
    with _quiet(), _open(found) as picture:
        if not _has_alpha(picture):
            return None
        alpha_HW = np.asarray(_upright(picture).convert("RGBA").getchannel("A"), np.uint8)
    return None if alpha_HW.min() == 255 else alpha_HW


def colour(text: str) -> tuple[int, int, int]:
    """A colour's red, green and blue. Raises ValueError when `text` is no colour."""
    red, green, blue = ImageColor.getrgb(text)[:3]
    return red, green, blue


def resize_square(array: np.ndarray, size: int, fit: str = "auto") -> np.ndarray:
    """uint8[H, W, 3] to uint8[size, size, 3] with Lanczos.

    `crop` takes the middle square, as people expect of photographs; `pad` keeps the whole picture and fills the square
    with its border's colour; `auto` pads a picture whose four edges have one colour (a drawing or a symbol on a plain
    ground, of which a crop might cut the ends) and crops every other.
    """
    height, width = array.shape[:2]
    if fit == "auto":
        fit = "pad" if height != width and _plain_border(array) else "crop"
    if fit == "pad" and height != width:
        array = _shrunk_strip(array, size)
        height, width = array.shape[:2]
        side = max(height, width)
        square = np.empty((side, side, 3), np.uint8)
        square[:] = array[0, 0]
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = array
        array, height, width = square, side, side
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    picture = Image.fromarray(np.ascontiguousarray(array))
    return np.asarray(
        picture.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)), np.uint8
    )


def _shrunk_strip(array: np.ndarray, size: int) -> np.ndarray:
    """A picture that is too long to be padded as it is, with `size` pixels on its longer side."""
    height, width = array.shape[:2]
    longer = max(height, width)
    if longer <= max(_LARGEST_PADDED, size):
        return array
    small = (max(1, round(width * size / longer)), max(1, round(height * size / longer)))
    picture = Image.fromarray(np.ascontiguousarray(array))
    return np.asarray(picture.resize(small, Image.Resampling.LANCZOS), np.uint8)


def grid(
    images: Sequence[np.ndarray | Image.Image], columns: int | None = None, gap: int = page.GAP, scale: int = 1
) -> Image.Image:
    """A sheet of equally large pictures on white, row by row; `scale` enlarges each by whole pixels."""
    if not images:
        raise ValueError("a sheet needs at least one picture")
    pictures = [image if isinstance(image, Image.Image) else Image.fromarray(image) for image in images]
    width, height = pictures[0].width * scale, pictures[0].height * scale
    columns = columns or max(1, round(len(pictures) ** 0.5))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for index, picture in enumerate(pictures):
        enlarged = picture.resize((width, height), Image.Resampling.NEAREST) if scale > 1 else picture
        sheet.paste(enlarged, ((index % columns) * (width + gap), (index // columns) * (height + gap)))
    return sheet


def save_png(image: np.ndarray | Image.Image, file: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a PNG, whole or not at all; `metadata` goes into text chunks, which any picture viewer shows."""
    write_whole(file, IMAGE.encode(image, metadata or {}))


@contextmanager
def _quiet() -> Iterator[None]:
    # Filters of warnings belong to the process, so threads take turns; work that should be parallel runs in processes.
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data), formats=("HEIF",) if is_heif(data[:HEAD_BYTES]) else FORMATS)


def _undecodable(error: Exception, data: bytes) -> Drop:
    if isinstance(error, Image.DecompressionBombError):
        return Drop("bomb", f"more than {BOMB_PIXELS:,} pixels")
    if is_cut_short(data):
        return Drop("undecodable", "cut short: the end of the picture is missing")
    if isinstance(error, Image.UnidentifiedImageError):
        known = kind(data[:HEAD_BYTES]) == "image"
        return Drop(
            "undecodable", "a picture that is cut short or broken" if known else "no picture of a kind that is known"
        )
    return Drop("undecodable", str(error).replace("\n", " ")[:200] or type(error).__name__)


def size_drop(width: int, height: int, size_bytes: int, min_pixels: int, max_pixels: int) -> Drop | None:
    """Why a picture of this size, in a file of so many bytes, is not to be used; None when it is."""
    pixels = width * height
    about = f"{width} x {height} pixels"
    if pixels > BOMB_PIXELS or (pixels > max_pixels and 3 * pixels > BOMB_RATIO * size_bytes):
        return Drop("bomb", f"{about} in {size_bytes:,} bytes")
    if pixels > max_pixels:
        return Drop("too_large", f"{about}; the limit is {max_pixels:,} in all")
    if min(width, height) < min_pixels:
        return Drop("too_small", f"{about}; the shorter side must have {min_pixels}")
    return None


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # a broken EXIF block does not make the picture unusable
        return picture


def to_rgb(picture: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """A picture of any mode at 8 bits, laid on a background where it is transparent."""
    if picture.mode.startswith(("I", "F")):
        return Image.fromarray(_to_8_bits(np.asarray(picture))).convert("RGB")
    if _has_alpha(picture):
        layer = picture.convert("RGBA")
        ground = Image.new("RGBA", layer.size, (*background, 255))
        return Image.alpha_composite(ground, layer).convert("RGB")
    return picture.convert("RGB")


def _has_alpha(picture: Image.Image) -> bool:
    return "A" in picture.getbands() or "a" in picture.getbands() or "transparency" in picture.info


def _to_8_bits(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
        low, high = float(values.min()), float(values.max())
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        elif low >= 0 and high <= 255:
            low, high = 0.0, 255.0
        return ((values - low) * (255 / max(high - low, 1e-12))).round().astype(np.uint8)
    return (values.clip(0, 65_535).astype(np.int32) * 255 // 65_535).astype(np.uint8)


def _plain_border(array: np.ndarray, tolerance: int = 8) -> bool:
    edges = np.concatenate([array[0], array[-1], array[:, 0], array[:, -1]]).astype(np.int16)
    return int(np.abs(edges - edges[0]).max()) <= tolerance


class Picture:
    """The medium of still pictures."""

    name, noun, plural = "image", "picture", "pictures"
    suffixes: tuple[str, ...] = (
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".avif"),
        *(".svg", ".svgz", ".ico", ".ppm", ".pgm", ".pbm", ".jp2", ".psd", ".heic", ".heif"),
    )
    writes: tuple[str, ...] = (".png", ".webp", ".jpg", ".jpeg")
    lossy: tuple[str, ...] = (".jpg", ".jpeg")
    textual = False
    size: tuple[str, ...] = ("width", "height")
    size_title = "pixels of the longer side"

    def is_kind(self, head: bytes) -> bool:
        return kind(head) == self.name or is_svg(head)

    def probe(self, data: bytes) -> Probed | Drop:
        found = probe(data)
        if isinstance(found, Drop):
            return found
        reader, remark = remark_of(data)
        fields = said_inside(data) | ({"reader": reader} if reader else {})
        return Probed({"width": found[0], "height": found[1]}, remark, fields)

    def limit(self, measures: Measures, size_bytes: int, settings: Mapping[str, Any]) -> Drop | None:
        least, most = settings.get("min_pixels", 1), settings.get("max_pixels", BOMB_PIXELS)
        return size_drop(int(measures["width"]), int(measures["height"]), size_bytes, least, most)

    def decoder(self) -> str:
        return readers()

    def words(self, total: Measures, middle: Measures) -> str:
        return f"{middle['width']:.0f} x {middle['height']:.0f} pixels in the middle one"

    def encode(self, data: Any, metadata: Mapping[str, Any]) -> bytes:
        made = data if isinstance(data, Image.Image) else Image.fromarray(data)
        chunks = PngImagePlugin.PngInfo()
        for key, value in metadata.items():
            chunks.add_itxt(key, str(value))
        if (values := made.info.get(deep.VALUES)) is not None:
            return deep.png(values, made.info, chunks)
        out = io.BytesIO()
        made.save(out, format="PNG", pnginfo=chunks, exif=made.info.get("exif") or b"")
        return out.getvalue()

    def encode_as(self, data: Any, metadata: Mapping[str, Any], suffix: str) -> bytes:
        return self.encode(data, metadata) if suffix == ".png" else compressed.encode(data, metadata, suffix)

    def sheet(self, made: Sequence[tuple[Any, str]]) -> Image.Image:
        return sheet([(one if isinstance(one, Image.Image) else Image.fromarray(one), words) for one, words in made])

    def show(self, file: Path, title: str, public: bool) -> str:
        found = page.picture(file)
        width, crisp = found["width"], ""
        if width and width < _SMALL:  # shown at a size that can be seen, its pixels as they are
            width, crisp = width * max(2, _SHOWN // width), ' style="image-rendering:pixelated"'
        wide = f' width="{width}"' if width else ""
        return Markup('<img src="{}" alt="{}"{} decoding="async">').format(found["uri"], title, Markup(wide + crisp))


IMAGE: Medium = Picture()
