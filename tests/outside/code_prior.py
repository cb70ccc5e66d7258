"""A family from outside the package: the codes of a picture one after another, each given those before it.

Shapes: B batch, T codes of a picture, V different codes and the mark that begins a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import code_prior_options
import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import (
    Batch,
    Loss,
    Moment,
    OptimizerSpec,
    Phase,
    State,
    load_module_tensors,
    module_tensors,
)


class CodePrior:
    name = "code_prior"
    Controls = code_prior_options.Controls
    Opening = code_prior_options.Opening
    exported = ("decoder",)

    def __init__(self, decoder: nn.Module, codes: int, length: int):
        """`decoder(token_BT)` gives logits_BTV; the token `codes` begins a picture of `length` codes."""
        self.modules = nn.ModuleDict({"decoder": decoder})
        self.begin, self.length = codes, length
        self.phases = (Phase("model", ("decoder",), OptimizerSpec(learning_rate=3e-3, ema_halflife=20)),)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        code_BT = batch["codes"]
        token_BT = F.pad(code_BT[:, :-1], (1, 0), value=self.begin)
        logits_BTV = self.modules["decoder"](token_BT)
        nats = F.cross_entropy(logits_BTV.flatten(0, 1).float(), code_BT.flatten())
        return Loss(nats, float(code_BT.numel()), {"nats_per_code": nats.detach()})

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        return 6.0 * sum(parameter.numel() for parameter in self.modules.parameters()) * batch["codes"].numel()

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: BaseModel) -> CodeSession:
        return CodeSession(self.modules["decoder"], self.begin, self.length, capacity)


@dataclass
class CodeState(State):
    rng: torch.Generator = field(default_factory=torch.Generator)
    temperature: float = 1.0
    codes: list[int] = field(default_factory=list)


class CodeSession:
    """One code a step; all codes of a picture, int64[T], are emitted together."""

    def __init__(self, decoder: nn.Module, begin: int, length: int, capacity: int):
        self.decoder, self.begin, self.length, self.capacity = decoder, begin, length, capacity
        self.device = next(decoder.parameters()).device

    def start(self, condition: Any, rng: torch.Generator, controls: BaseModel, constraint: Any = None) -> CodeState:
        """`condition` has no meaning: pictures are drawn from nothing."""
        return CodeState(batch_key="codes", rng=rng, temperature=controls.model_dump()["temperature"])

    @torch.inference_mode()
    def step(self, states: Sequence[State]) -> None:
        mine = [state for state in states if isinstance(state, CodeState)]
        longest = max(len(state.codes) for state in mine)
        rows = [[self.begin, *state.codes, *[0] * (longest - len(state.codes))] for state in mine]
        logits_BTV = self.decoder(torch.tensor(rows, device=self.device)).float().cpu()
        for state, logits_TV in zip(mine, logits_BTV, strict=True):
            chances = (logits_TV[len(state.codes), : self.begin] / state.temperature).softmax(-1)
            state.codes.append(int(torch.multinomial(chances, 1, generator=state.rng)))
            if len(state.codes) == self.length:
                state.emitted.append(torch.tensor(state.codes))
                state.done = True

    def release(self, state: State) -> None:
        """Nothing is held between steps."""
