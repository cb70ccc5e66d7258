"""A picture that is to be mended, with all that it has: its depth, grey or colours, alpha, profile and EXIF block.

The network sees it as RGB in [-1, 1], laid on the recipe's background. What comes of that is put into the picture's own values where they
are to change, and nowhere else: every other value stays as it is, bit for bit.

Shapes: H W pixels, C channels (1 or 3), R rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media import deep
from genwright.media import image as pictures
from genwright.request import Blob

Values = NDArray[Any]
"""uint8 or uint16."""
Seen = NDArray[np.floating]
"""What the network sees, or found: values in [-1, 1]."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_KEPT = ("icc_profile", "exif")
"""Of what Pillow tells of a file, that is put into the new one."""


@dataclass(frozen=True)
class Original:
    """`values`: uint8 or uint16[H, W, C]; `alpha`: [H, W] of the same kind, or None."""

    name: str
    values: Values
    alpha: Values | None
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def height(self) -> int:
        return self.values.shape[0]

    @property
    def width(self) -> int:
        return self.values.shape[1]

    @property
    def most(self) -> int:
        """The largest value: 255 or 65,535."""
        return int(np.iinfo(self.values.dtype).max)

    def seen(self, rows: Any, columns: Any, background: tuple[int, int, int]) -> Seen:
        """Some rows and columns (indexes) as the network sees them: float32[R, W, 3] in [-1, 1], on a background of 8 bits."""
        values = self.values[rows][:, columns].astype(np.float32) * (2 / self.most) - 1
        values = np.array(np.broadcast_to(values, (*values.shape[:2], 3)))
        if self.alpha is None:
            return values
        ground = np.array(background, np.float32) / 127.5 - 1
        share = self.alpha[rows][:, columns, None].astype(np.float32) / self.most
        return share * values + (1 - share) * ground

    def put(self, first: int, found_RWC: Seen, changes_RW: NDArray[np.bool_], ground: tuple[int, int, int]) -> None:
        """Write what was found, float32[R, W, 3] in [-1, 1] on the background, into the pixels of some rows that are to change. Where the
        picture is partly transparent the background is taken out of it again; where it is wholly so, nothing would be seen."""
        rows = slice(first, first + len(found_RWC))
        if self.alpha is not None:
            share = self.alpha[rows, :, None].astype(np.float32) / self.most
            laid = np.array(ground, np.float32) / 127.5 - 1
            found_RWC = np.where(share > 0, (found_RWC - (1 - share) * laid) / np.maximum(share, 1e-6), found_RWC)
            changes_RW = changes_RW & (self.alpha[rows] > 0)
        if self.values.shape[2] == 1:
            found_RWC = found_RWC @ _LUMA[:, None]
        scaled = ((np.clip(found_RWC, -1, 1) + 1) * (self.most / 2)).round().astype(self.values.dtype)
        self.values[rows][changes_RW] = scaled[changes_RW]

    def opaque(self, where_HW: NDArray[np.bool_]) -> Original:
        """The same with some pixels no longer transparent; without an alpha channel where that leaves none."""
        assert self.alpha is not None
        alpha = np.where(where_HW, self.alpha.dtype.type(self.most), self.alpha)
        return replace(self, alpha=None if (alpha == self.most).all() else alpha)

    def copy(self) -> Original:
        return replace(self, values=self.values.copy())

    def larger(self, factor: int) -> Original:
        """Bicubic, each channel by itself."""
        if factor == 1:
            return self
        values = np.stack([self._resized(self.values[..., c], factor) for c in range(self.values.shape[2])], -1)
        return replace(self, values=values, alpha=None if self.alpha is None else self._resized(self.alpha, factor))

    def _resized(self, plane_HW: Values, factor: int) -> Values:
        plane = Image.fromarray(plane_HW.astype(np.float32))
        found = plane.resize((self.width * factor, self.height * factor), Image.Resampling.BICUBIC)
        return np.clip(np.asarray(found).round(), 0, self.most).astype(plane_HW.dtype)

    def picture(self) -> Image.Image:
        """As what a medium encodes."""
        planes = self.values if self.alpha is None else np.concatenate([self.values, self.alpha[..., None]], 2)
        if self.most > 255:
            made = deep.shown(planes)
        else:
            modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
            made = Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes, modes[planes.shape[2]])
        made.info.update(self.info)
        return made


def read(blob: Blob, name: str, max_pixels: int) -> Image.Image:
    """A picture of a request, upright, as it is stored. Raises RequestError naming the field and the file."""
    found = pictures.stored(blob.data, max_pixels)
    if isinstance(found, Drop):
        cure = f"{found.detail}, then ask again" if found.reason == "needs_library" else "give another"
        detail = "" if found.reason == "needs_library" else f": {found.detail}"
        raise RequestError(f"`{name}`: {blob.name or 'the picture'} can't be used ({found.reason}{detail}); {cure}.")
    return found


def original_of(blob: Blob, max_pixels: int) -> Original:
    """Raises RequestError where the picture can't be used."""
    picture = read(blob, "picture", max_pixels)
    info = {key: picture.info[key] for key in _KEPT if picture.info.get(key)}
    if (deep_HWC := picture.info.get(deep.VALUES)) is not None:
        return _with_alpha(blob.name, deep_HWC, info)
    if picture.mode in ("I;16", "I;16B", "I;16L", "I"):
        values = np.clip(np.asarray(picture), 0, 65_535).astype(np.uint16)
        return Original(blob.name, values[..., None], None, info)
    has_alpha = "A" in picture.getbands() or "transparency" in picture.info
    grey = picture.mode in ("1", "L", "LA")
    if picture.mode in ("CMYK", "YCbCr", "LAB", "HSV", "F"):
        say(f"{blob.name}: its colours ({picture.mode}) are turned into RGB, without its profile.")
        info.pop("icc_profile", None)
        grey = picture.mode == "F"
        picture = pictures.to_rgb(picture, (255, 255, 255))
    mode = ("LA" if grey else "RGBA") if has_alpha else ("L" if grey else "RGB")
    values = np.asarray(picture.convert(mode))
    return _with_alpha(blob.name, values if values.ndim == 3 else values[..., None], info)


def _with_alpha(name: str, values_HWC: Values, info: dict[str, Any]) -> Original:
    if values_HWC.shape[2] in (2, 4):
        return Original(name, values_HWC[..., :-1].copy(), values_HWC[..., -1].copy(), info)
    return Original(name, values_HWC.copy(), None, info)
