"""The gradients of a phase's turn in a step, by micro-batches: more and smaller ones from the step on in which the memory ends.

A step whose micro-batch does not fit is taken again as if it had not been tried. How it is cut from then on is written into the plan
before it is taken, so a training that is resumed, or done again by the same plan, cuts it in the same way.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.errors import WorkError
from genwright.families.base import Family, Loss, Moment
from genwright.seeds import derive_seed
from genwright.training import checkpoint, precision
from genwright.training.base import Settings
from genwright.training.precision import Scaling
from genwright.training.stream import Stream


class Cut(BaseModel):
    """From a phase's turn in the step after `at` others on, micro-batches are as many as `accumulate`."""

    at: int
    phase: str
    accumulate: int


def accumulated(first: int, cuts: Sequence[Cut], step: int, phase: str, order: Sequence[str]) -> int:
    """How many micro-batches a phase's turn in a step has; `first` until something was cut. `order` is that of the phases in a step."""
    turn = (step, order.index(phase))
    return next((cut.accumulate for cut in reversed(cuts) if (cut.at, order.index(cut.phase)) <= turn), first)


class Drawing(Protocol):
    """The parts of a trainer that gradients are computed of."""

    title: str
    family: Family
    networks: nn.ModuleDict
    stream: Stream
    settings: Settings
    scaling: dict[str, Scaling]


class MicroBatches:
    """Computes the gradients of a phase's turn in a step. `cuts` are those of the plan; what is cut more is told to `write_cut`."""

    def __init__(self, trainer: Drawing, cuts: Sequence[Cut], write_cut: Callable[[Cut], None]):
        self.title, self.family, self.stream = trainer.title, trainer.family, trainer.stream
        self.settings, self.scaling = trainer.settings, trainer.scaling
        self.cuts, self.write_cut = list(cuts), write_cut
        self.rng = torch.Generator(self.stream.device)
        self._order = [phase.name for phase in self.family.phases]
        kept = trainer.networks.state_dict(keep_vars=True)
        self._buffers = [buffer for name, buffer in trainer.networks.named_buffers() if name in kept]

    def gradients(self, phase: str, at: Moment, forget: Callable[[], None]) -> list[tuple[Loss, Tensor]]:
        """Add the gradients of the phase's turn to the parameters, in micro-batches as small as the memory asks for; each one's loss,
        detached, and its weight on the device. `forget` drops gradients. Raises WorkError where one example alone is too large."""
        while True:
            before = _Before(self, phase)
            try:
                sizes = enumerate(self.settings.micro_batches(self._accumulated(phase, at.step)))
                return [self._micro_batch(phase, at, index, size) for index, size in sizes]
            except RuntimeError as error:  # what the try had made goes with it, before the next one
                if not is_out_of_memory(error):
                    raise
            forget()
            before.put_back()
            self._cut(phase, at.step)

    def changed_by(self, phase: str) -> list[Tensor]:
        """What computing a phase's gradients may change in place, apart from them."""
        return [*self._buffers, *([self.scaling[phase].state] if phase in self.scaling else [])]

    def _micro_batch(self, phase: str, at: Moment, index: int, size: int) -> tuple[Loss, Tensor]:
        batch, device = self.stream.take(size), self.stream.device
        self.rng.manual_seed(derive_seed(self.settings.seed, self.settings.part, at.step, phase, index))
        with precision.autocast(self.settings.precision, device):
            out = self.family.loss(phase, batch, self.rng, at)
        # A number on its way to a card would make the step wait; filled in there it does not.
        weight = (torch.ones((), device=device) * out.weight).float()
        summed = out.value * out.weight
        (self.scaling[phase].times(summed, weight) if phase in self.scaling else summed).backward()
        return Loss(out.value.detach(), out.weight, out.parts), weight.detach()

    def _accumulated(self, phase: str, step: int) -> int:
        return accumulated(self.settings.accumulate, self.cuts, step, phase, self._order)

    def _cut(self, phase: str, step: int) -> None:
        parts = len(self.settings.micro_batches(self._accumulated(phase, step)))
        if parts == self.settings.batch:
            raise WorkError(
                f"{self.title}: at step {step} one example alone is too much for the device's memory; make the model or its context "
                "smaller, or begin again with `--set train.checkpoint_activations=on --fresh`."
            )
        self.cuts.append(Cut(at=step, phase=phase, accumulate=min(2 * parts, self.settings.batch)))
        self.write_cut(self.cuts[-1])


class _Before:
    """What stood before gradients were computed, apart from them."""

    def __init__(self, micro_batches: MicroBatches, phase: str):
        self._stream, self._family = micro_batches.stream, micro_batches.family
        self._tensors = [(tensor, tensor.clone()) for tensor in micro_batches.changed_by(phase)]
        self._position = self._stream.position
        self._random = checkpoint.random_states(self._stream.device)
        self._extra: dict[str, Any] = copy.deepcopy(self._family.extra_state())

    @torch.no_grad()
    def put_back(self) -> None:
        """As if nothing had been tried."""
        self._stream.position = self._position
        self._family.load_extra_state(self._extra)
        checkpoint.restore_random_states(self._random, self._stream.device)
        for tensor, kept in self._tensors:
            tensor.copy_(kept)
        gc.collect()
        if self._stream.device.type == "cuda":
            torch.cuda.empty_cache()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a device's memory, or a library's part of it, was too small."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "ALLOC_FAILED" in said or "can't allocate memory" in said
