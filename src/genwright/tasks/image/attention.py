"""Where each word of a prompt was looked at while a flow drew: attention maps word by word (DAAM, arXiv:2210.04885).

The shares of attention that every place pays to a token, mean over heads, layers and steps, summed over the tokens of a word. A token has
read those before it, so a word's map is that of the word in its context.

# Shapes: L tokens, W words, H W pixels, P a picture's side
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.model import Model
from genwright.networks import dit, unet
from genwright.tasks.image.facts import DrawFacts
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.image.sampling import draw

_LAYERS = (unet.Attention, dit.Attention)
_DARKEST = 0.12
"""How bright a picture is shown where a word was looked at least."""


@dataclass(frozen=True)
class WordMap:
    """`share`: of all attention, that went to the word. `map` [P, P] is brightest (1) where most of it did, and 0 where least."""

    word: str
    share: float
    map: NDArray[np.floating]


@dataclass(frozen=True)
class Looked:
    picture: Pictures
    words: list[WordMap]

    def tiles(self) -> list[tuple[Pictures, str]]:
        """The picture, then the picture lit where each word was looked at, with what stands below each."""
        lit = [(_lit(self.picture, one.map), f"{one.word}  {one.share:.0%}") for one in self.words]
        return [(self.picture, " ".join(one.word for one in self.words)), *lit]


def can_look(model: Model) -> bool:
    """Whether a model reads words and has layers in which it looks at them."""
    return model.facts.condition == "text" and bool(_layers(model))


def look(model: Model, engine: Engine, prompt: str, seed: int, controls: BaseModel | None = None) -> Looked:
    """Draw picture 0 of a seed, and where it looked at each word. Raises RequestError for a model that can't, or without a word."""
    if not can_look(model):
        raise RequestError(
            f"attention maps are for a flow that was trained with words, and this is a {model.task.family} with `condition: {model.facts.condition}`; "
            "ask one of those."
        )
    spans = word_tokens(model.facts, prompt)
    if not spans:
        raise RequestError("attention maps need a prompt with a word in it; give one.")
    with _recorded(model) as found:
        controls = controls or model.family.Controls()
        (picture,) = draw(model, engine, [model.facts.encode(prompt, prompt)], seed, controls)
    side = picture.shape[0]
    whole_LPP = np.mean([_resized(one, side) for one in found], axis=0)
    return Looked(picture, [_of_word(word, whole_LPP[tokens].sum(0)) for word, tokens in spans])


def word_tokens(facts: DrawFacts, prompt: str) -> list[tuple[str, list[int]]]:
    """The words of a prompt as far as it is read, each with the places of its tokens; place 0 is the token that opens every caption."""
    read = facts.captions.encode(prompt)
    found: dict[int, tuple[int, int, list[int]]] = {}
    for place, (number, (start, stop)) in enumerate(zip(read.word_ids, read.offsets, strict=True), start=1):
        if number is not None and place < facts.tokens:
            first, _, places = found.get(number, (start, stop, []))
            found[number] = (first, stop, [*places, place])
    words = [(prompt[start:stop].strip(), places) for start, stop, places in found.values()]
    return [(word, places) for word, places in words if any(letter.isalnum() for letter in word)]


def _layers(model: Model) -> list[nn.Module]:
    return [layer for layer in model.family.modules.modules() if isinstance(layer, _LAYERS)]


@contextmanager
def _recorded(model: Model) -> Iterator[list[Tensor]]:
    """What the first request of every batch looks at, layer by layer: [L, H, W] each."""
    found: list[Tensor] = []

    def record(layer: Any, inputs: tuple[Any, ...]) -> None:
        found.append(layer.looked_at(*inputs)[0].float().cpu())

    hooks = [layer.register_forward_pre_hook(record) for layer in _layers(model)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _resized(map_LHW: Tensor, side: int) -> NDArray[np.floating]:
    return F.interpolate(map_LHW[None], (side, side), mode="bicubic", align_corners=False)[0].clamp(min=0).numpy()


def _of_word(word: str, map_PP: NDArray[np.floating]) -> WordMap:
    low, high = float(map_PP.min()), float(map_PP.max())
    return WordMap(word, float(map_PP.mean()), (map_PP - low) / max(high - low, 1e-9))


def _lit(picture_HWC: Pictures, map_PP: NDArray[np.floating]) -> Pictures:
    return np.round(picture_HWC * (_DARKEST + (1 - _DARKEST) * map_PP[..., None])).astype(np.uint8)
