"""From a picture to the training pictures nearest to it, by the same features as the check for copies, and a sheet that shows them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.ledger import Drop
from genwright.media import image as media
from genwright.media.sheet import sheet
from genwright.metrics import features
from genwright.metrics import image as metrics
from genwright.recipe import Recipe
from genwright.run import Run, read_json
from genwright.shards import ExampleStore

MOST_SEARCHED = 5_000
"""Training pictures whose features are compared; of more, those that are nearest by their pixels."""
_AT_ONCE = 1_000


@dataclass(frozen=True)
class Near:
    """A training picture. `item` is its id in the ledger; `distance` is between features, 0 for the same picture."""

    item: str
    distance: float
    picture: NDArray[np.uint8]


@dataclass(frozen=True)
class FoundPictures:
    asked: NDArray[np.uint8]
    """The picture as the model would have been shown it."""
    pictures: int
    """How many training pictures there are."""
    searched: int
    near: list[Near]


def nearest_pictures(run: Run, file: Path, n: int) -> FoundPictures:
    """The `n` training pictures nearest to one in a file. Raises RequestError when either can't be used."""
    features.weights_file()  # says what to install
    recipe = recipes.load(run.recipe)
    store = _training(run)
    asked = _as_learned(file, recipe)
    if asked.shape != store[0]["image"].shape:
        raise RequestError(
            f"{run.folder}: its training pictures are of another size than its recipe says; prepare again."
        )
    rows = _close_by_pixels(store, asked)
    searched = np.stack([store[int(row)]["image"] for row in rows])
    found = features.extract_cached(searched, title="features of training pictures")
    distances = metrics.distances(features.extract(asked[None]), found)[0]
    best = np.argsort(distances, kind="stable")[:n]
    near = [Near(store.ids[int(rows[i])], float(distances[i]), searched[i]) for i in best]
    return FoundPictures(asked, len(store), len(rows), near)


def write_sheet(run: Run, file: Path, found: FoundPictures, names: list[str]) -> Path:
    """A picture of the one that was asked for and those nearest to it, the names below; returns its file."""
    stem = re.sub(r"[^\w-]+", "-", file.stem)[:60] or "picture"
    place = run.explain / "pictures" / f"{stem}.png"
    words = [f"{file.name}, as the model would be shown it"]
    words += [f"{near.distance:.1f}  {name}" for near, name in zip(found.near, names, strict=True)]
    pictures = [found.asked, *(near.picture for near in found.near)]
    media.save_png(sheet([(Image.fromarray(one), text) for one, text in zip(pictures, words, strict=True)]), place)
    return place


def _training(run: Run) -> ExampleStore:
    prepare = run.stage("prepare")
    return ExampleStore([prepare / "parts" / name for name in read_json(prepare / "index.json")["train"]])


def _as_learned(file: Path, recipe: Recipe) -> NDArray[np.uint8]:
    """A picture as prepare makes an example of it."""
    settings: Any = recipe.prepare
    try:
        picture = media.decode(file.read_bytes(), settings.background)
    except OSError as error:
        raise RequestError(f"--nearest-file {file}: can't be read ({error.strerror}); name a picture.") from error
    if isinstance(picture, Drop):
        raise RequestError(
            f"--nearest-file {file}: no picture that can be read ({picture.detail or picture.reason}); name one."
        )
    model: Any = recipe.model
    return media.resize_square(picture, model.size, settings.fit)


def _close_by_pixels(store: ExampleStore, asked: NDArray[np.uint8]) -> NDArray[np.intp]:
    """All rows, or of very many those whose pixels are nearest; in their order."""
    if len(store) <= MOST_SEARCHED:
        return np.arange(len(store))
    wanted = metrics.pixels(asked[None])
    distances = []
    for start in range(0, len(store), _AT_ONCE):
        rows = range(start, min(start + _AT_ONCE, len(store)))
        distances.append(metrics.distances(wanted, metrics.pixels(np.stack([store[row]["image"] for row in rows])))[0])
    return np.sort(np.argsort(np.concatenate(distances), kind="stable")[:MOST_SEARCHED])
