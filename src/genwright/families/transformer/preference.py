"""Direct preference optimisation (DPO, arXiv:2305.18290): which of two answers is preferred, learned without a reward model.

A pair of answers to one prompt costs

    -log sigmoid(beta * ((log p(chosen) - log r(chosen)) - (log p(rejected) - log r(rejected))))        (equation 7)

where p is the model and r the reference: what it was before, frozen. With low-rank changes the reference is the model without them,
over the same tensors.

B pairs, T tokens
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.families.base import Batch, Loss, Moment
from genwright.families.transformer.family import Transformer
from genwright.networks import lora
from genwright.networks.decoder import Decoder, matmul_flops

_RATE = 0.25
"""Of the learning rate that the same weights are fine-tuned at: preferences are learned at lower ones."""


class Preference(Transformer):
    """A transformer that learns preferences; `modules` has a "reference" beside the "model" once `freeze_reference` was called."""

    beta: float

    @classmethod
    def of(cls, family: Transformer, beta: float) -> Preference:
        """The same family with another objective."""
        made = cls.__new__(cls)
        made.__dict__.update(family.__dict__)
        made.beta = beta
        (phase,) = family.phases
        rate = phase.optimizer.learning_rate * _RATE
        made.phases = (replace(phase, optimizer=replace(phase.optimizer, learning_rate=rate)),)
        return made

    def freeze_reference(self) -> None:
        """Take the model as it is now as the reference."""
        network = self.network
        reference = lora.base_of(network) if lora.has_lora(network) else deepcopy(network)
        self.modules["reference"] = reference.requires_grad_(False)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        """`batch`: "tokens" int64[2B, T+1], chosen and rejected answers in turn, each behind its prompt; "mask" float[2B, T], 1 where
        a predicted token is of the answer. The value is a mean over pairs."""
        tokens, mask = batch["tokens"], batch["mask"]
        model_2B = self._log_probability(self.nats, tokens, mask)
        with torch.no_grad():
            reference_2B = self._log_probability(self._reference_nats, tokens, mask)
        gain_B2 = (model_2B - reference_2B).view(-1, 2)
        margin_B = self.beta * (gain_B2[:, 0] - gain_B2[:, 1])
        value = -F.logsigmoid(margin_B).mean()
        weight = torch.full((), float(len(margin_B)), device=tokens.device)
        parts = {
            "loss": value.detach(),
            "preferred": (margin_B > 0).float().mean().detach(),
            "margin": margin_B.mean().detach(),
        }
        return Loss(value, weight, parts)

    def flops(self, batch: Batch) -> float:
        sequences, length = batch["tokens"].shape
        return 4 * matmul_flops(self.network.config, sequences, length - 1)

    def _reference_nats(self, tokens: Tensor) -> Tensor:
        reference = self.modules["reference"]
        assert isinstance(reference, Decoder)
        return Transformer(reference, None).nats(tokens)

    @staticmethod
    def _log_probability(nats: Any, tokens: Tensor, mask: Tensor) -> Tensor:
        """Of each row's answer: the sum over its tokens."""
        return -(nats(tokens) * mask).sum(dim=1)
