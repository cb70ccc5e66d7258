"""When each phase runs, from shares of the training to steps; and which phase's average stands for a module.

A border (a phase's beginning or end) becomes a step number when the training is laid out, and is kept in its checkpoints. When the
number of steps changes, a border that was passed stays where it is and the others follow the new total.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn

from genwright.families.base import Family, Phase
from genwright.training.optimizers import Ema, TensorState


class Span(NamedTuple):
    """The steps of a phase, from `begin` up to but not with `end`."""

    begin: int
    end: int

    def holds(self, step: int) -> bool:
        return self.begin <= step < self.end


Borders = dict[str, Span]
"""By phase."""


def trained_networks(family: Family) -> nn.ModuleDict:
    """The modules that some phase trains."""
    trained = {name for phase in family.phases for name in phase.trains}
    return nn.ModuleDict({name: module for name, module in family.modules.items() if name in trained})


def not_trained(networks: nn.ModuleDict) -> dict[str, Tensor]:
    """The parameters inside trained modules that ask for no gradient: what a low-rank change is of."""
    return {name: value.detach() for name, value in networks.named_parameters() if not value.requires_grad}


def laid_out(phases: Sequence[Phase], steps: int) -> Borders:
    """The borders in a training of so many steps. Raises ValueError when there is a time at which no phase runs."""
    for edge in {0.0, *(phase.ends for phase in phases)} - {1.0}:
        if not any(phase.begins <= edge < phase.ends for phase in phases):
            raise ValueError(f"no phase runs from {edge:.0%} of the training on; let one begin there.")
    found: Borders = {}
    for phase in phases:
        begin = min(round(phase.begins * steps), steps - 1)
        found[phase.name] = Span(begin, max(round(phase.ends * steps), begin + 1))
    return found


def laid_anew(phases: Sequence[Phase], steps: int, before: Borders, done: int) -> Borders:
    """The borders after the number of steps changed to `steps`, `done` of which were taken with the borders of `before`.

    A border is passed once a step behind it was taken; one that was not passed is not drawn behind `done`.
    """
    found: Borders = {}
    for name, new in laid_out(phases, steps).items():
        old = before[name]
        begin = old.begin if old.begin < done else max(new.begin, done)
        found[name] = Span(begin, old.end if old.end < done else max(new.end, begin + 1, done))
    return found


def stretches(phases: Sequence[Phase], steps: int) -> Iterator[tuple[float, Borders]]:
    """The training cut at its borders: each stretch's share of it, and borders by which `steps` steps would all be like it."""
    edges = {share for phase in phases for share in (phase.begins, phase.ends)}
    for low, high in pairwise(sorted(edges)):
        yield (
            high - low,
            {p.name: Span(steps * (p.begins >= high), steps * (p.ends > low)) for p in phases},
        )


def newest_average(
    module: str, phases: Sequence[Phase], borders: Borders, averages: Mapping[str, Ema], step: int
) -> TensorState | None:
    """The average of a module's weights by the phase that trained it last, of those that average it; None where none has begun."""
    names = [name for name in _trainers(module, phases, borders, averages, step) if name in averages]
    return averages[names[-1]].of(module) if names else None


def standing_averages(
    phases: Sequence[Phase], borders: Borders, averages: Mapping[str, Ema], step: int
) -> dict[str, TensorState]:
    """The averages that stand for the weights after `step`, by module; none of a module that was trained on since it was averaged."""
    found: dict[str, TensorState] = {}
    for module in {name: None for phase in phases for name in phase.trains}:
        names = _trainers(module, phases, borders, averages, step)
        if names and names[-1] in averages:
            found[module] = averages[names[-1]].of(module)
    return found


def _trainers(
    module: str, phases: Sequence[Phase], borders: Borders, averages: Mapping[str, Ema], step: int
) -> list[str]:
    """The phases that have trained a module up to `step`, in the order of when each did so last; at one step those that average it
    come last, and among these the one that began last."""
    last = {p.name: min(step, borders[p.name].end - 1) for p in phases if module in p.trains}
    begun = [name for name in last if borders[name].begin <= step]
    return sorted(begun, key=lambda name: (last[name], name in averages, borders[name].begin))
