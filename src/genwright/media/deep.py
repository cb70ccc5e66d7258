"""Pictures of 16 bits a value: read by OpenCV where they have colours, which Pillow cuts to 8 bits; written as PNG here, which neither
does with a profile beside.

Such a picture goes through the program as a Pillow image of 8 bits, which anything can show, with its own values in `info`.

Shapes: H W pixels, C channels (grey, grey and alpha, RGB, RGBA).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

Deep = NDArray[np.uint16]

VALUES = "genwright_16_bits"
"""Key of `info` under which the uint16[H, W, C] of a picture stand."""
EXTRA = "pip install 'genwright[repair]'"
"""How OpenCV comes."""
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for so many channels."""
_BITS, _SAMPLES = 258, 277
"""Tags of a TIFF."""
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def is_deep(picture: Image.Image, data: bytes) -> bool:
    """Whether an opened picture has 16 bits a value and colours or alpha, so that Pillow would lose half of them."""
    if picture.format == "PNG":
        return data[24] == 16 and data[25] != 0
    tags: Any = picture.tag_v2 if picture.format == "TIFF" else {}  # type: ignore[attr-defined]
    bits = tags.get(_BITS, (8,))
    return max(bits if isinstance(bits, tuple) else (bits,)) == 16 and tags.get(_SAMPLES, 1) > 1


def read(data: bytes) -> Deep:
    """The values of a picture that `is_deep`, in the order of its file, as it is stored. Raises ImportError without OpenCV, ValueError where
    it can't read it."""
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if found is None or found.dtype != np.uint16:
        raise ValueError("a picture of 16 bits that can't be read")
    values: Deep = (
        found.astype(np.uint16, copy=False)[..., None] if found.ndim == 2 else found.astype(np.uint16, copy=False)
    )
    return np.ascontiguousarray(values[..., [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] > 2 else values)


def shown(values_HWC: Deep) -> Image.Image:
    """The picture at 8 bits, with its own values in `info`."""
    bytes_HWC = (values_HWC // 257).astype(np.uint8)
    channels = values_HWC.shape[2]
    picture = Image.fromarray(bytes_HWC[..., 0] if channels == 1 else bytes_HWC, _MODES[channels])
    picture.info[VALUES] = values_HWC
    return picture


def png(values_HWC: Deep, info: Mapping[Any, Any], chunks: PngImagePlugin.PngInfo) -> bytes:
    """A PNG of 16 bits with the profile and the EXIF block that `info` holds, and `chunks`."""
    height, width, channels = values_HWC.shape
    out = io.BytesIO()
    out.write(b"\x89PNG\r\n\x1a\n")
    header = struct.pack(">IIBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0)
    PngImagePlugin.putchunk(out, b"IHDR", header)
    if profile := info.get("icc_profile"):
        PngImagePlugin.putchunk(out, b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile))
    for chunk in chunks.chunks:
        PngImagePlugin.putchunk(out, *chunk[:2])
    if exif := info.get("exif"):
        PngImagePlugin.putchunk(out, b"eXIf", exif.removeprefix(b"Exif\0\0"))
    PngImagePlugin.putchunk(out, b"IDAT", _packed(values_HWC))
    PngImagePlugin.putchunk(out, b"IEND", b"")
    return out.getvalue()


def _packed(values_HWC: Deep) -> bytes:
    """The rows, each as its difference to the one above (PNG's filter 2)."""
    rows = values_HWC.astype(">u2").view(np.uint8).reshape(len(values_HWC), -1)
    above = np.zeros_like(rows)
    above[1:] = rows[:-1]
    filtered = np.concatenate([np.full((len(rows), 1), 2, np.uint8), rows - above], 1)
    return zlib.compress(filtered.tobytes(), 6)
