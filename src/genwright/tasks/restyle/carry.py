"""Carrying pictures over to another hand by a trained model; always through the engine.

Picture `index` of a seed comes out the same whether it is carried over alone or with others, by a request or for the scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel

from genwright.engine.engine import Engine
from genwright.families.given import AS_IT_IS, START, Given
from genwright.model import Model
from genwright.tasks.image.pixels import Pictures, given_of, to_bytes, to_network
from genwright.tasks.image.sampling import made
from genwright.tasks.restyle.facts import RestyleFacts

_STEPS_THERE_AND_BACK = 32
"""Back along a flow no large steps were learned."""


def controls(model: Model, asked: dict[str, Any] | None = None) -> BaseModel:
    """A family's controls as `restyle` has them where a request says nothing: all may change, by the style as it was learned."""
    default = {"strength": 1.0, "guidance": 1.0} | ({} if model.facts.paired else {"steps": _STEPS_THERE_AND_BACK})
    wanted = default | {name: value for name, value in (asked or {}).items() if value is not None}
    known = model.family.Controls.model_fields
    return model.family.Controls.model_validate({name: value for name, value in wanted.items() if name in known})


def restyled(
    model: Model,
    engine: Engine,
    source_NHWC: Pictures,
    styles: Sequence[np.ndarray],
    seed: int,
    asked: dict[str, Any] | None = None,
    first: int = 0,
) -> Iterator[Pictures]:
    """Each picture in the hand of a style (as `Example["style"]` holds it), in order: uint8[H, W, 3]."""
    source_NCHW = to_network(source_NHWC)
    givens = [_given(model.facts, source_CHW, style) for source_CHW, style in zip(source_NCHW, styles, strict=True)]
    found = made(model, engine, givens, seed, controls(model, asked), first)
    paired = model.facts.paired
    for source_CHW, found_CHW in zip(source_NCHW, found, strict=True):
        yield to_bytes((source_CHW + found_CHW if paired else found_CHW)[None])[0]


def _given(facts: RestyleFacts, source_CHW: torch.Tensor, style: np.ndarray) -> Given:
    """All there may be to go by; a family takes of it what it needs."""
    given = given_of(style)
    if facts.paired:
        return given | {START: torch.zeros_like(source_CHW), "beside": source_CHW}
    return (
        given | {START: source_CHW} | {AS_IT_IS + name: value for name, value in given_of(facts.other(style)).items()}
    )
