"""Choosing the next token from logits: temperature, top-k, top-p, min-p, repetition penalty, each row with its own settings and random stream.

What is drawn follows from a row's logits, settings and uniform number alone, so the same code serves a processor and, without a step
of the host in between, a card.

B rows, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_AHEAD = 64


@dataclass(frozen=True)
class Choice:
    """How one row chooses. Temperature 0 takes the likeliest token; `top_k` 0, `top_p` 1 and `min_p` 0 leave all tokens in."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    @property
    def filters(self) -> bool:
        """Whether tokens may be left out."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0


class Uniforms:
    """The numbers in [0, 1) that a request draws by, from its own CPU generator: drawn ahead, the same as one at a time."""

    def __init__(self, generator: torch.Generator):
        self._generator = generator
        self._ahead: list[float] = []

    def draw(self) -> float:
        if not self._ahead:
            self._ahead = torch.rand(_AHEAD, generator=self._generator, dtype=torch.float64).tolist()[::-1]
        return self._ahead.pop()


@dataclass(frozen=True)
class Settings:
    """`Choice`s and uniform numbers as float64[B]; a greedy row has temperature 0."""

    temperature: Tensor
    top_k: Tensor
    top_p: Tensor
    min_p: Tensor
    uniform: Tensor


def choose_tokens(logits_BV: Tensor, choices: Sequence[Choice], uniforms: Sequence[Uniforms]) -> list[int]:
    """One token for each row. A row draws one number of its own, none when it is greedy.

    Order of the filters as in `transformers`: temperature, then top-k, then top-p (arXiv:1904.09751), then min-p (arXiv:2407.01082:
    tokens less likely than this share of the likeliest one are out). Done on the CPU in double precision, which not all devices have.
    """
    logits_BV = logits_BV.float().cpu()
    chosen = logits_BV.argmax(dim=-1).tolist()
    drawing = [row for row, choice in enumerate(choices) if choice.temperature > 0]
    numbers = {row: uniforms[row].draw() for row in drawing}
    for filtered in (False, True):
        rows = [row for row in drawing if choices[row].filters == filtered]
        if not rows:
            continue
        fields = [
            (c.temperature, c.top_k, c.top_p, c.min_p, numbers[row])
            for row, c in zip(rows, map(choices.__getitem__, rows), strict=True)
        ]
        settings = Settings(*torch.tensor(fields, dtype=torch.float64).unbind(1))
        found = (draw_filtered if filtered else draw)(logits_BV[rows], settings).tolist()
        for row, token in zip(rows, found, strict=True):
            chosen[row] = token
    return chosen


def choose_on_device(logits_BV: Tensor, settings: Settings, drawing: bool, filtering: bool) -> Tensor:
    """The same where the logits lie, int64[B], nothing of it decided by the host: `drawing`, `filtering`: whether any row does."""
    chosen_B = logits_BV.argmax(dim=-1)
    if drawing:
        chosen_B = torch.where(settings.temperature > 0, draw(logits_BV, settings), chosen_B)
    if filtering:
        filters_B = (settings.top_p < 1) | (settings.top_k > 0) | (settings.min_p > 0)
        chosen_B = torch.where(filters_B & (settings.temperature > 0), draw_filtered(logits_BV, settings), chosen_B)
    return chosen_B


def draw(logits_BV: Tensor, settings: Settings) -> Tensor:
    """A token of each row, from all there are: int64[B]. Logits are float32."""
    return _place(_tempered(logits_BV, settings).softmax(dim=-1), settings.uniform)[:, 0]


def draw_filtered(logits_BV: Tensor, settings: Settings) -> Tensor:
    """A token of each row, from those that are left in: int64[B]."""
    size = logits_BV.shape[-1]
    logits_BV, tokens_BV = _tempered(logits_BV, settings).sort(dim=-1, descending=True, stable=True)
    top_k_B1, top_p_B1, min_p_B1 = (
        settings.top_k[:, None],
        settings.top_p.float()[:, None],
        settings.min_p.float()[:, None],
    )
    rank_V = torch.arange(size, device=logits_BV.device)
    keep_B1 = torch.where(top_k_B1 > 0, top_k_B1, size)
    probability_BV = logits_BV.masked_fill(rank_V >= keep_B1, -torch.inf).softmax(dim=-1)
    before_BV = probability_BV.cumsum(dim=-1) - probability_BV
    out_BV = (before_BV >= top_p_B1) | (probability_BV < min_p_B1 * probability_BV[:, :1])
    probability_BV = probability_BV.masked_fill(out_BV & (rank_V > 0), 0.0)
    return tokens_BV.gather(1, _place(probability_BV, settings.uniform))[:, 0]


def _tempered(logits_BV: Tensor, settings: Settings) -> Tensor:
    temperature_B1 = settings.temperature.float()[:, None]
    return (logits_BV - logits_BV.amax(dim=-1, keepdim=True)) / torch.where(temperature_B1 > 0, temperature_B1, 1.0)


def _place(probability_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Where a number in [0, 1) falls among probabilities laid end to end: int64[B, 1]."""
    cumulative_BV = probability_BV.double().cumsum(dim=-1)
    place_B1 = torch.searchsorted(cumulative_BV, uniform_B[:, None] * cumulative_BV[:, -1:], right=True)
    # Rounding may land behind the last token that is left in.
    rank_V = torch.arange(probability_BV.shape[1], device=probability_BV.device)
    return torch.minimum(place_B1, ((probability_BV > 0) * rank_V).amax(-1, keepdim=True))


def penalise(logits_V: Tensor, tokens: Sequence[int], penalty: float) -> Tensor:
    """Logits with those of some tokens made less likely, as in `transformers` (CTRL, arXiv:1909.05858, section 4.1): positive ones
    divided by the penalty, negative ones multiplied."""
    index = torch.tensor(sorted(set(tokens)), device=logits_V.device)
    return logits_V.index_copy(0, index, penalised(logits_V[index], penalty))


def penalised(logits: Tensor, penalty: float | Tensor) -> Tensor:
    return torch.where(logits < 0, logits * penalty, logits / penalty)
