"""The pictures that stand beside the numbers in `draw`'s score sheet. Nothing in them is picked by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from genwright.engine.engine import Engine
from genwright.families.base import Interpolates, Reconstructs
from genwright.media.image import grid, save_png
from genwright.model import Model
from genwright.scores import Exhibit
from genwright.tasks.image import attention
from genwright.tasks.image.pixels import Pictures, given_of, to_bytes, to_network
from genwright.tasks.image.sampling import interpolate

_ACROSS = 12
SHOWN = 4 * _ACROSS
"""Samples on the sheet."""
_LOOKED_AT = 4
_SIDE = 64
"""Pixels a picture is shown at, at least."""


@dataclass(frozen=True)
class Neighbours:
    """The training picture nearest to each sample: by features, with the distances, and by pixels."""

    distances: NDArray[np.floating]
    by_features: Pictures
    by_pixels: Pictures


def samples_sheet(folder: Path, samples_NHWC: Pictures, words: Sequence[str], seed: int, held_out: bool) -> Exhibit:
    """`words`: those that the samples were drawn for, in turn."""
    chosen = _evenly(len(samples_NHWC), SHOWN)
    shown = samples_NHWC[chosen]
    whose = "held-out" if held_out else "training"
    return Exhibit(
        name="samples",
        title="Samples",
        caption=f"{len(shown)} samples, spread evenly over the {whose} words and otherwise unpicked; seed {seed}.",
        file=_sheet(folder, "samples", [shown]),
        words=[words[int(i) % len(words)] for i in chosen],
        across=_ACROSS,
        shows_training_items=False,
    )


def _evenly(there: int, wanted: int) -> NDArray[np.intp]:
    """Indices spread over a list, since neighbours in it are often of one kind."""
    return np.linspace(0, there - 1, min(wanted, there)).round().astype(np.intp)


def beside_real(folder: Path, samples_NHWC: Pictures, real_NHWC: Pictures, words: list[str]) -> Exhibit:
    shown = _evenly(len(real_NHWC), _ACROSS)
    return Exhibit(
        name="beside_real",
        title="Beside real pictures",
        caption="Top: samples; bottom: the held-out pictures that their words belong to.",
        file=_sheet(folder, "beside_real", [samples_NHWC[shown], real_NHWC[shown]], columns=len(shown)),
        words=[words[int(i)] for i in shown],
        across=len(shown),
        shows_training_items=True,
    )


def neighbours(
    folder: Path, samples_NHWC: Pictures, words: Sequence[str], found: Neighbours, limit: float
) -> list[Exhibit]:
    """The first samples, and those that come nearest to a training picture, each above its nearest training pictures."""
    worst = np.argsort(found.distances, kind="stable")[:_ACROSS]
    below = "below each, the training picture nearest by features, and the one nearest by pixels"
    captions = {
        "nearest": (
            np.arange(min(_ACROSS, len(samples_NHWC))),
            "Nearest training pictures",
            f"The first samples; {below}.",
        ),
        "nearest_worst": (
            worst,
            "The samples nearest to a training picture",
            f"The worst case, nearest first (distances {found.distances[worst[0]]:.1f} to {found.distances[worst[-1]]:.1f}; "
            f"under {limit:.1f} counts as copied); {below}.",
        ),
    }
    return [
        Exhibit(
            name=name,
            title=title,
            caption=caption,
            file=_sheet(
                folder,
                name,
                [samples_NHWC[chosen], found.by_features[chosen], found.by_pixels[chosen]],
                columns=len(chosen),
            ),
            words=[words[int(i)] for i in chosen],
            across=len(chosen),
            shows_training_items=True,
        )
        for name, (chosen, title, caption) in captions.items()
    ]


def interpolation(folder: Path, model: Model, engine: Engine, conditions_NL: np.ndarray, seed: int) -> list[Exhibit]:
    """Two rows for one text each, two from one text to the next; nothing for a family that can't."""
    if not isinstance(model.session(), Interpolates):
        return []
    count = len(conditions_NL)
    pairs = [(0, 0), (1 % count, 1 % count), (2 % count, 3 % count), (4 % count, 5 % count)]
    rows = [
        interpolate(model, engine, conditions_NL[a], conditions_NL[b], seed + number, steps=_ACROSS)
        for number, (a, b) in enumerate(pairs)
    ]
    return [
        Exhibit(
            name="interpolation",
            title="Between two pictures",
            caption="Each row goes from one noise to another on the great circle; the first two rows keep their text, the others "
            "change it half way. A model that had only learnt pictures by heart would jump from one to the next.",
            file=_sheet(folder, "interpolation", rows, columns=_ACROSS),
            shows_training_items=False,
        )
    ]


def attention_maps(folder: Path, model: Model, engine: Engine, words: Sequence[str], seed: int) -> list[Exhibit]:
    """Some samples, each with where it looked at the words that it was drawn for; nothing for a model that can't say."""
    told = [one for one in dict.fromkeys(words) if one]
    if not attention.can_look(model) or not told:
        return []
    images: list[Pictures] = []
    below: list[str] = []
    for number in _evenly(len(told), _LOOKED_AT):
        tiles = attention.look(model, engine, told[int(number)], seed).tiles()[:_ACROSS]
        blank = (np.full_like(tiles[0][0], 255), "")
        for image, text in [*tiles, *[blank] * (_ACROSS - len(tiles))]:
            images.append(image)
            below.append(text)
    return [
        Exhibit(
            name="attention",
            title="Where each word was looked at",
            caption="Samples, each followed by itself lit where the network looked at each word (attention maps, mean over layers and steps), and "
            'how much of all its attention the word got. `genwright explain RUN "some words"` does so for any.',
            file=_sheet(folder, "attention", [np.stack(images)]),
            words=below,
            across=_ACROSS,
            shows_training_items=False,
        )
    ]


def reconstructions(
    folder: Path, family: object, real_NHWC: Pictures, conditions_NL: np.ndarray, device: torch.device
) -> list[Exhibit]:
    """Held-out pictures through the model and back, for a family that can; else nothing."""
    if not isinstance(family, Reconstructs):
        return []
    shown = real_NHWC[:_ACROSS]
    given = {name: value.to(device) for name, value in given_of(conditions_NL[: len(shown)]).items()}
    with torch.inference_mode():
        back = to_bytes(family.reconstruct(to_network(shown).to(device), given))
    return [
        Exhibit(
            name="reconstruction",
            title="Reconstruction",
            caption="Top: held-out pictures; bottom: what the model makes of them when it encodes and decodes them.",
            file=_sheet(folder, "reconstruction", [shown, back], columns=len(shown)),
            shows_training_items=True,
        )
    ]


def _sheet(folder: Path, name: str, rows: list[Pictures], columns: int = _ACROSS) -> str:
    images = [image for row in rows for image in row]
    save_png(grid(images, columns=columns, scale=max(1, _SIDE // images[0].shape[0])), folder / f"{name}.png")
    return f"{name}.png"
