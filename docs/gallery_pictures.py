"""The page of a run of pictures: what it draws when it is asked, unpicked, its scores, and the pictures of the evaluation."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

from gallery_parts import origin, scores_of, table
from PIL import Image

from genwright.media.image import grid
from genwright.recipe import load

IMAGES = Path(__file__).parent / "images" / "gallery"
ASKED = (
    '"a red heart" -n 8',
    '"a yellow face" -n 8',
    '"a flag" -n 8',
    '"a blue car" -n 8',
    '"a clock" -n 8',
    '"a cat" -n 8',
)
"""What is asked of a model that draws from words."""
_WIDTH = 760
"""Pixels of a row, about: small pictures are enlarged by whole pixels."""


def page(run: Path) -> str:
    """The page in Markdown; its pictures go to docs/images/gallery/."""
    sheet = scores_of(run)
    IMAGES.mkdir(parents=True, exist_ok=True)
    parts = [f"# {run.name}: what it makes", origin(run)]
    if load(run / "recipe.yaml").task == "draw":
        told = "Each row is the first that came, with seed 0."
        parts += [told, *(answer(run, number, words) for number, words in enumerate(ASKED))]
    parts += ["## Scores", table(sheet)]
    for exhibit in sheet.exhibits:
        if exhibit.file.endswith(".png"):
            kept = kept_as(Image.open(run / "evaluate" / exhibit.file), f"{run.name}-{exhibit.name}")
            parts += [f"## {exhibit.title}", exhibit.caption, kept]
    return "\n\n".join(parts) + "\n"


def answer(run: Path, number: int, words: str) -> str:
    with tempfile.TemporaryDirectory() as place:
        command = ["genwright", "generate", str(run), *shlex.split(words), "--out", place]
        subprocess.run(command, capture_output=True, text=True, check=True)
        made = [Image.open(file).convert("RGB") for file in sorted(Path(place).rglob("*.png"))]
        row = grid(made, columns=len(made))
    return f"```sh\ngenwright generate runs/{run.name} {words} --out pictures\n```\n\n" + kept_as(
        row, f"{run.name}-{number}"
    )


def kept_as(picture: Image.Image, name: str) -> str:
    times = max(1, _WIDTH // picture.width)
    large = picture.convert("RGB").resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    large.save(IMAGES / f"{name}.png", optimize=True)
    return f"![{name}](../images/gallery/{name}.png)"
