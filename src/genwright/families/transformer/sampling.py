"""Choosing the next token from logits: temperature, top-k, top-p, min-p, repetition penalty, each row with its own settings and random stream.

B rows, V vocabulary
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Choice:
    """How one row chooses. Temperature 0 takes the likeliest token; `top_k` 0, `top_p` 1 and `min_p` 0 leave all tokens in."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float = 0.0
    repetition_penalty: float = 1.0


def choose_tokens(logits_BV: Tensor, choices: Sequence[Choice], generators: Sequence[torch.Generator]) -> list[int]:
    """One token for each row. A row draws one number from its own generator, none when it is greedy.

    Order of the filters as in `transformers`: temperature, then top-k, then top-p (arXiv:1904.09751), then min-p (arXiv:2407.01082:
    tokens less likely than this share of the likeliest one are out). Done on the CPU, so that
    every device draws the same, in double precision, which not all of them have.
    """
    logits_BV = logits_BV.float().cpu()
    greedy = logits_BV.argmax(dim=-1).tolist()
    drawing = [row for row, choice in enumerate(choices) if choice.temperature > 0]
    if not drawing:
        return greedy
    tokens_BV, probability_BV = _filtered(logits_BV[drawing], [choices[row] for row in drawing])
    uniform_B = torch.stack([torch.rand((), generator=generators[row], dtype=torch.float64) for row in drawing])
    cumulative_BV = probability_BV.double().cumsum(dim=-1)
    target_B1 = uniform_B[:, None] * cumulative_BV[:, -1:]
    place_B1 = torch.searchsorted(cumulative_BV, target_B1, right=True)
    # Rounding may land behind the last token that is left in.
    rank_V = torch.arange(probability_BV.shape[1])
    last_B1 = ((probability_BV > 0) * rank_V).amax(-1, keepdim=True)
    chosen = tokens_BV.gather(1, torch.minimum(place_B1, last_B1))[:, 0].tolist()
    for row, token in zip(drawing, chosen, strict=True):
        greedy[row] = token
    return greedy


def _filtered(logits_BV: Tensor, choices: Sequence[Choice]) -> tuple[Tensor, Tensor]:
    """Tokens and their probabilities, zero where they are filtered out; sorted only where a row needs it."""
    size = logits_BV.shape[-1]
    temperature_B1 = torch.tensor([c.temperature for c in choices])[:, None]
    logits_BV = (logits_BV - logits_BV.amax(dim=-1, keepdim=True)) / temperature_B1
    if all(c.top_p >= 1 and not 0 < c.top_k < size and c.min_p <= 0 for c in choices):
        return torch.arange(size).expand_as(logits_BV), logits_BV.softmax(dim=-1)
    logits_BV, tokens_BV = logits_BV.sort(dim=-1, descending=True, stable=True)
    keep_B1 = torch.tensor([c.top_k or size for c in choices])[:, None]
    rank_V = torch.arange(size)
    probability_BV = logits_BV.masked_fill(rank_V >= keep_B1, -torch.inf).softmax(dim=-1)
    top_p_B1 = torch.tensor([c.top_p for c in choices])[:, None]
    before_BV = probability_BV.cumsum(dim=-1) - probability_BV
    min_p_B1 = torch.tensor([c.min_p for c in choices])[:, None]
    out_BV = (before_BV >= top_p_B1) | (probability_BV < min_p_B1 * probability_BV[:, :1])
    return tokens_BV, probability_BV.masked_fill(out_BV & (rank_V > 0), 0.0)


def penalise(logits_V: Tensor, tokens: Sequence[int], penalty: float) -> Tensor:
    """Logits with those of some tokens made less likely, as in `transformers` (CTRL, arXiv:1909.05858, section 4.1): positive ones
    divided by the penalty, negative ones multiplied."""
    index = torch.tensor(sorted(set(tokens)), device=logits_V.device)
    chosen = logits_V[index]
    return logits_V.index_copy(0, index, torch.where(chosen < 0, chosen * penalty, chosen / penalty))
