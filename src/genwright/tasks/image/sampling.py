"""Drawing pictures from a trained model, each from a random stream of its own; always through the engine.

Picture `index` of a seed is the same whether it is drawn alone or with others, by a request or for the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.engine.engine import Engine
from genwright.families.base import Between, Session, State
from genwright.families.given import Given
from genwright.model import Model
from genwright.seeds import request_stream
from genwright.tasks.image.pixels import Pictures, given_of, to_bytes


def draw(
    model: Model,
    engine: Engine,
    conditions: Iterable[np.ndarray],
    seed: int,
    controls: BaseModel,
    first: int = 0,
    also: Given | None = None,
) -> Iterator[Pictures]:
    """One picture for each condition (as `Example["condition"]` holds it), in order: uint8[H, W, 3].

    Picture i is that of `request_stream(seed, first + i)`. `also` is given with each condition: see `families/given.asked`.
    """
    givens = (given_of(row) | (also or {}) for row in conditions)
    yield from (to_bytes(image_CHW[None])[0] for image_CHW in made(model, engine, givens, seed, controls, first))


def made(
    model: Model, engine: Engine, givens: Iterable[Given], seed: int, controls: BaseModel, first: int = 0
) -> Iterator[Tensor]:
    """What the family makes for all that is given with each, by name, as it makes it: [C, H, W]."""

    def starter(given: Given, index: int) -> Callable[[Session], State]:
        return lambda session: session.start(given, request_stream(seed, index), controls)

    return _collected(model, engine, [starter(given, first + i) for i, given in enumerate(givens)])


def sample(model: Model, engine: Engine, conditions_NL: np.ndarray, seed: int) -> Pictures:
    """`draw` with the family's default controls, whole -> uint8[N, H, W, 3]."""
    return np.stack(list(draw(model, engine, conditions_NL, seed, model.family.Controls())))


def interpolate(
    model: Model, engine: Engine, start: np.ndarray, stop: np.ndarray, seed: int, steps: int = 8
) -> Pictures:
    """Pictures on the way from one drawing (condition `start`, stream 0 of the seed) to another (`stop`, stream 1).

    The noise goes from one to the other; the condition changes half way. The model's session must be one that `Interpolates`.
    -> uint8[steps, H, W, 3].
    """
    controls = model.family.Controls()

    def starter(share: float) -> Callable[[Any], State]:
        given = given_of(start if share < 0.5 else stop)
        return lambda session: session.start(
            given, Between(request_stream(seed, 0), request_stream(seed, 1), share), controls
        )

    found = _collected(model, engine, [starter(share) for share in np.linspace(0, 1, steps).tolist()])
    return to_bytes(torch.stack(list(found)))


def _collected(model: Model, engine: Engine, starts: list[Callable[[Session], State]]) -> Iterator[Tensor]:
    """The picture that comes of each request; those not yet drawn are given up when the caller goes."""
    outputs = [engine.submit(model.session(), start) for start in starts]
    try:
        for output in outputs:
            yield from output
    finally:
        for output in outputs:
            output.close()
