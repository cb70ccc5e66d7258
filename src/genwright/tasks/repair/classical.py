"""Ways of old that a model that mends pictures has to beat, by OpenCV: inpainting after Telea (2004) and by the equations of Navier and Stokes
(Bertalmio and others 2001), and non-local means (Buades and others 2005, for colours)."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from genwright.tasks.repair.damage import Picture
from genwright.tasks.repair.masks import Known

INSTALL = "pip install 'genwright[repair]'"
TITLES = {
    "identity": "left as it is",
    "telea": "Telea's inpainting",
    "navier_stokes": "Navier-Stokes inpainting",
    "nlm": "non-local means",
}
_RADIUS = 3
"""Pixels around a missing one that inpainting looks at: OpenCV's own example has 3."""
_LEAST_STRENGTH, _MOST_STRENGTH = 3.0, 30.0


def is_there() -> bool:
    return find_spec("cv2") is not None


def filled(seen: Picture, known: Known, way: str) -> Picture:
    """The missing parts filled by "telea" or "navier_stokes". Where nothing is known nothing can be: it stays as it is."""
    import cv2

    if not known.any():
        return seen
    flags = {"telea": cv2.INPAINT_TELEA, "navier_stokes": cv2.INPAINT_NS}
    missing = (~known).astype(np.uint8)
    found = cv2.inpaint(np.where(known[..., None], seen, np.uint8(0)), missing, _RADIUS, flags[way])
    return np.where(known[..., None], seen, found).astype(np.uint8)


def denoised(seen: Picture, deviation: float) -> Picture:
    """Non-local means, told the deviation of the noise in 8-bit steps, as its filter's strength; patches of 7 and a search of 21, OpenCV's
    own."""
    import cv2

    strength = float(np.clip(deviation, _LEAST_STRENGTH, _MOST_STRENGTH))
    swapped = cv2.fastNlMeansDenoisingColored(np.ascontiguousarray(seen[..., ::-1]), None, strength, strength, 7, 21)
    return np.ascontiguousarray(swapped[..., ::-1], np.uint8)
