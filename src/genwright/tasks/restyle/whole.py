"""A request's picture as a whole: what the networks see of it, and what comes back in its shape, as see-through as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media import image as pictures
from genwright.request import Blob
from genwright.tasks.image.pixels import Pictures


@dataclass(frozen=True)
class Whole:
    """`square` is the picture on a square of the networks' side, `inside` where on it the picture lies."""

    square: Pictures
    inside: tuple[slice, slice]
    opaque: NDArray[np.uint8] | None
    """[H, W] of what lies inside, 255 where nothing shines through; None where nothing does anywhere."""

    @classmethod
    def of(cls, blob: Blob, prepare: Any, size: int) -> Whole:
        """Raises RequestError when it is no picture that can be used. Says it where it is larger than what the networks see."""
        name = blob.name or "the picture"
        picture = pictures.decode(blob.data, prepare.background, max_pixels=prepare.max_pixels)
        if isinstance(picture, Drop):
            raise RequestError(f"`picture`: {name} can't be used ({picture.reason}: {picture.detail}); give another.")
        height, width = picture.shape[:2]
        longer = max(height, width)
        if longer > size:
            say(f"{name} has {width} x {height} pixels; it is made anew at the {size} of the model.")
        rows, columns = (max(1, round(side * size / longer)) for side in (height, width))
        top, left = (size - rows) // 2, (size - columns) // 2
        opaque = pictures.opacity(blob.data)
        small = None if opaque is None else Image.fromarray(opaque).resize((columns, rows), Image.Resampling.LANCZOS)
        return cls(
            pictures.resize_square(picture, size, "pad"),
            (slice(top, top + rows), slice(left, left + columns)),
            None if small is None else np.asarray(small, np.uint8),
        )

    def restored(self, found_HWC: Pictures) -> Pictures:
        """What the networks made of the square, in the picture's own shape: uint8[H, W, 3], or 4 with its own transparency."""
        inside_HWC = np.ascontiguousarray(found_HWC[self.inside])
        return inside_HWC if self.opaque is None else np.dstack([inside_HWC, self.opaque])
