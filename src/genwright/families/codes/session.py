"""The sampler of codes: each request has its caption, its codes so far and its rows of a key/value cache; those that wait share a step.

The first step reads the caption, each that follows one code. A guided request has two rows, one that is told what it asks for and one that
is told what to lead away from or nothing, and their logits are mixed (arXiv:2207.12598). When all codes are there they become data.

Shapes: B rows, L tokens of a caption, T codes, P positions read in a step, S positions attended to, K heads, H head width, V codes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import BaseModel
from torch import Tensor

from genwright.families.base import State
from genwright.families.codes.options import Controls
from genwright.families.given import Given, asked
from genwright.families.sampling import Choice, Uniforms, choose_tokens
from genwright.networks.codes.prior import CodePrior


@dataclass
class CodesState(State):
    """A request at work; its two rows of the cache are `slot` and the one as far behind as there are slots."""

    given: Given = field(default_factory=dict)
    against: Given | None = None
    """What guidance leads away from; None: from what is made when nothing is told."""
    controls: Controls = field(default_factory=lambda: Controls.model_validate({}))
    uniforms: Uniforms = field(default_factory=lambda: Uniforms(torch.Generator()))
    codes: list[int] = field(default_factory=list)


class CodesSession:
    """`decode`: all codes of some requests to their data, int64[B, T] -> data_BX."""

    def __init__(self, network: CodePrior, decode: Callable[[Tensor], Tensor], capacity: int):
        self.network, self.capacity, self._decode = network, capacity, decode
        self._device = network.embed_tokens.weight.device
        config, positions = network.config, network.caption + network.length
        shape = (2, len(network.layers), 2 * capacity, config.num_key_value_heads, positions, config.head_dim)
        self._cache = torch.zeros(shape, device=self._device, dtype=network.embed_tokens.weight.dtype)
        self._free = list(range(capacity))

    def start(self, condition: Given, rng: torch.Generator, controls: BaseModel, constraint: Any = None) -> CodesState:
        """`condition` may say what to lead away from (`families/given.py`); `constraint` has no meaning here."""
        if constraint is not None:
            raise ValueError("codes can't be constrained")
        assert isinstance(controls, Controls)
        wanted = asked({name: value.to(self._device) for name, value in condition.items()})
        return CodesState(
            batch_key="caption",
            slot=self._free.pop(0),
            given=wanted.given,
            against=wanted.against,
            controls=controls,
            uniforms=Uniforms(rng),
        )

    @torch.inference_mode()
    def step(self, states: list[State]) -> None:
        mine = [state for state in states if isinstance(state, CodesState)]
        conditional = self.network.conditional
        guided = [row for row, state in enumerate(mine) if conditional and state.controls.guidance != 1]
        logits_BV = self._logits(mine, [mine[row] for row in guided])
        logits_BV, other_GV = logits_BV[: len(mine)], logits_BV[len(mine) :]
        if guided:
            row_G = torch.tensor(guided, device=self._device)
            scale_G1 = torch.tensor([[mine[row].controls.guidance] for row in guided], device=self._device)
            logits_BV = logits_BV.index_copy(0, row_G, other_GV + scale_G1 * (logits_BV[guided] - other_GV))
        choices = [Choice(state.controls.temperature, 0, state.controls.top_p) for state in mine]
        for state, code in zip(mine, choose_tokens(logits_BV, choices, [s.uniforms for s in mine]), strict=True):
            state.codes.append(code)
            state.batch_key = "codes"
        self._finish([state for state in mine if len(state.codes) == self.network.length])

    def _logits(self, states: list[CodesState], guided: list[CodesState]) -> Tensor:
        """Of the next code of some requests, then of those that are guided as if they were told otherwise."""
        rows = [self._row(state) for state in states] + [self._row(state) + self.capacity for state in guided]
        everyone = [*states, *guided]
        if states[0].codes:
            last = torch.tensor([[state.codes[-1]] for state in everyone], device=self._device)
            token_BP = self.network.as_tokens(last)
            first_B = [self.network.caption + len(state.codes) - 1 for state in everyone]
        else:
            token_BP, first_B = self._captions(states, guided), [0] * len(everyone)
        ahead_P = torch.arange(token_BP.shape[1], device=self._device)
        position_BP = torch.tensor(first_B, device=self._device)[:, None] + ahead_P
        stop = max(first_B) + token_BP.shape[1]
        view = _View(self._cache, torch.tensor(rows, device=self._device), position_BP, stop)
        hidden_BPD = self.network.following(token_BP, position_BP, view)
        return self.network.code_logits(hidden_BPD[:, -1]).float()

    def _captions(self, states: list[CodesState], guided: list[CodesState]) -> Tensor:
        given = [state.given for state in states] + [state.against or state.given for state in guided]
        told = [True] * len(states) + [state.against is not None for state in guided]
        caption_BL = torch.stack([one["condition"] for one in given])
        return self.network.read_as(caption_BL, torch.tensor(told, device=self._device))

    def _finish(self, states: list[CodesState]) -> None:
        if not states:
            return
        code_BT = torch.tensor([state.codes for state in states], device=self._device)
        for state, data_X in zip(states, self._decode(code_BT).cpu(), strict=True):
            state.emitted.append(data_X)
            state.done = True

    def _row(self, state: CodesState) -> int:
        assert state.slot is not None
        return state.slot

    def release(self, state: State) -> None:
        if state.slot is not None:
            self._free.append(state.slot)
            state.slot = None


class _View:
    """What one step sees of the cache: some rows, where their new tokens go, and how far each may see. A `KeyValueCache` of
    networks/decoder.py."""

    def __init__(self, cache: Tensor, row_B: Tensor, position_BP: Tensor, stop: int):
        self._cache, self._row_B1, self._position_BP, self._stop = cache, row_B[:, None], position_BP, stop
        place_S = torch.arange(stop, device=cache.device)
        self._mask_B1PS = (place_S <= position_BP[..., None])[:, None]

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        seen = []
        for buffer, new_BKPH in zip(self._cache[:, layer], (k_BKTH, v_BKTH), strict=True):
            buffer[self._row_B1, :, self._position_BP] = new_BKPH.transpose(1, 2).to(buffer.dtype)
            seen.append(buffer[self._row_B1[:, 0], :, : self._stop])
        return seen[0], seen[1], self._mask_B1PS
