"""What every family but the token ones learns from: a batch is {"data": data_BX, **given}.

`data` is what is to be generated, in [-1, 1] (pictures: C, H, W behind the batch). `given` is what it is generated from: tensors
by name, a row for each row of the data. A family hands `given` on to its networks and looks into neither.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

Given = dict[str, Tensor]


def split(batch: Mapping[str, Any]) -> tuple[Tensor, Given]:
    """A batch's data, and what is given with it."""
    return batch["data"], {name: value for name, value in batch.items() if name != "data"}


def rows(given: Given, chosen: slice) -> Given:
    """What is given of some rows."""
    return {name: value[chosen] for name, value in given.items()}


def stack(singles: Sequence[Given]) -> Given:
    """Of several requests one batch; each must have the shapes of the others (see `shapes`)."""
    return {name: torch.stack([single[name] for single in singles]) for name in singles[0]}


def shapes(given: Given) -> Hashable:
    """What requests must have in common to share a batch."""
    return tuple((name, tuple(value.shape)) for name, value in given.items())


START = "start"
"""Under this name a request may hold data for a session of several steps to start from, in place of noise alone."""
AGAINST = "against."
"""Before the name of what is given: what guidance is to lead away from."""
AS_IT_IS = "as_it_is."
"""Before the name of what is given: what is true of the data to start from. Then noise is not mixed into it but found by going back
along the flow under that, and what is made of it keeps what both have in common (arXiv:2203.08382)."""


class Asked(NamedTuple):
    """What a request for a session of several steps holds. `against`: None where it is led away from nothing in particular; `as_it_is`: None
    where the data to start from is mixed with noise."""

    given: Given
    start: Tensor | None
    against: Given | None
    as_it_is: Given | None


def asked(condition: Given) -> Asked:
    """A request's condition, taken apart by its names."""
    given = {k: v for k, v in condition.items() if k != START and not k.startswith((AGAINST, AS_IT_IS))}
    return Asked(given, condition.get(START), _under(AGAINST, condition), _under(AS_IT_IS, condition))


def _under(prefix: str, condition: Given) -> Given | None:
    return {k.removeprefix(prefix): value for k, value in condition.items() if k.startswith(prefix)} or None
