"""Pictures that were made, as WebP without loss or as JPEG: 8 bits a channel, and in EXIF what made them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image

from genwright.console import say
from genwright.media import deep

_QUALITY = 95


def encode(data: Any, metadata: Mapping[str, Any], suffix: str) -> bytes:
    """`suffix`: .webp, .jpg or .jpeg. What is transparent stands on white in a JPEG."""
    made = data if isinstance(data, Image.Image) else Image.fromarray(data)
    if made.info.get(deep.VALUES) is not None:
        say(f"a {suffix} file has 8 bits a channel; name it .png to keep the picture's 16.")
    exif = Image.Exif()
    exif.load(made.info.get("exif") or b"")
    if metadata:
        exif[ExifTags.Base.ImageDescription] = json.dumps(dict(metadata), default=str)
    kept = {"exif": exif.tobytes(), "icc_profile": made.info.get("icc_profile") or b""}
    out = io.BytesIO()
    if suffix == ".webp":
        as_it_is = (
            made if made.mode in ("RGB", "RGBA") else made.convert("RGBA" if made.has_transparency_data else "RGB")
        )
        as_it_is.save(out, format="WEBP", lossless=True, exact=True, **kept)
    else:
        _on_white(made).save(out, format="JPEG", quality=_QUALITY, subsampling=0, **kept)
    return out.getvalue()


def _on_white(made: Image.Image) -> Image.Image:
    if made.has_transparency_data:
        over = made.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return made if made.mode in ("L", "RGB") else made.convert("RGB")
