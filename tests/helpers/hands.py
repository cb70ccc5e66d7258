"""The 64 emoji in two hands: as they are, and with their colours turned (red to green to blue)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from helpers import ASSETS


def drawings() -> list[tuple[str, Image.Image, Image.Image]]:
    """(name, plain, turned), RGBA."""
    found = []
    for file in sorted((ASSETS / "pictures").glob("*.png")):
        plain = Image.open(file).convert("RGBA")
        red, green, blue, alpha = plain.split()
        found.append((file.stem, plain, Image.merge("RGBA", (blue, red, green, alpha))))
    return found


def write_hands(folder: Path, same_names: bool) -> Path:
    """plain/ and turned/ with files of the same names or of others; beside the folder the picture that the task's example names."""
    for name, *pictures in drawings():
        for hand, picture in zip(("plain", "turned"), pictures, strict=True):
            (folder / hand).mkdir(parents=True, exist_ok=True)
            picture.save(folder / hand / (f"{name}.png" if same_names else f"{hand}-{name}.png"))
    drawings()[0][1].save(folder.parent / "picture.png")
    return folder


def turned(image_HWC: np.ndarray) -> np.ndarray:
    """What the other hand makes of 8-bit RGB."""
    return image_HWC[..., [2, 0, 1]]
