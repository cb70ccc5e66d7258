"""Codes of data one after another, each given what was asked for and those before it: the prior of DALL-E (arXiv:2102.12092).

Another family turns data into codes and back (`Translator`), and is trained before. The objective is the negative log-likelihood of each
code, in nats, and with a small weight that of the caption's own tokens. The sampler is in session.py.

Shapes: B batch, L tokens of a caption, T codes of a row, P = L + T, V vocabulary, X the data's own axes. data_BX in [-1, 1].
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase, load_module_tensors, module_tensors
from genwright.families.codes.options import Controls, Opening, Settings
from genwright.families.codes.session import CodesSession
from genwright.families.given import Given
from genwright.networks.codes.prior import CodePrior
from genwright.networks.decoder import matmul_flops

OPTIMIZER = OptimizerSpec(
    learning_rate=0.01,
    matrix_learning_rate=0.006,
    betas=(0.9, 0.95),
    weight_decay=1.0,
    polar_steps=3,
    warmup=0.02,
    decay=0.5,
    ema_halflife=50,
)
"""The rates of the text models (families/transformer), and much decay, for pictures are few. On 1,600 emoji, four passes end
at 3.687 held-out nats a code with it and at 3.691 without, 3.55 and 3.46 on what is learned from."""


class Translator(Protocol):
    """What turns data into codes and back."""

    def encode(self, data_BX: Tensor) -> Tensor:
        """-> int64[B, T]."""
        ...

    def decode(self, code_BT: Tensor) -> Tensor:
        """-> data_BX."""
        ...


class Codes:
    """A batch is {"codes": int64[B, T], "condition": int64[B, L]}, in place of data."""

    name: ClassVar[str] = "codes"
    Controls: ClassVar[type[BaseModel]] = Controls
    Opening: ClassVar[type[BaseModel]] = Opening
    exported: ClassVar[tuple[str, ...]] = ("prior",)

    def __init__(self, prior: CodePrior, translator: Translator, settings: Settings):
        self.modules = nn.ModuleDict({"prior": prior})
        self.translator, self.settings = translator, settings
        self.phases = (Phase("model", ("prior",), OPTIMIZER),)

    @property
    def network(self) -> CodePrior:
        network = self.modules["prior"]
        assert isinstance(network, CodePrior)
        return network

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        told_B = torch.ones(len(batch["codes"]), dtype=torch.bool, device=batch["codes"].device)
        if self.network.conditional:
            told_B = torch.rand(len(told_B), generator=rng, device=told_B.device) >= self.settings.untold
        return self._loss(batch, told_B, self.settings.text_weight)

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """Of the codes alone, all captions told."""
        told_B = torch.ones(len(batch["codes"]), dtype=torch.bool, device=batch["codes"].device)
        return self._loss(batch, told_B, text_weight=0.0)

    def _loss(self, batch: Batch, told_B: Tensor, text_weight: float) -> Loss:
        network, code_BT = self.network, batch["codes"]
        caption_BL = network.read_as(batch["condition"], told_B)
        token_BP = torch.cat([caption_BL, network.as_tokens(code_BT[:, :-1])], 1)
        hidden_BPD = self.modules["prior"](token_BP)
        logits_BTV = network.code_logits(hidden_BPD[:, network.caption - 1 :])
        nats = F.cross_entropy(logits_BTV.flatten(0, 1).float(), code_BT.flatten())
        value, parts = nats, {"nats_per_code": nats}
        if text_weight and network.caption > 1:
            words = self._text_nats(hidden_BPD[:, : network.caption - 1], caption_BL[:, 1:], told_B)
            value, parts = nats + text_weight * words, parts | {"nats_per_word_token": words}
        return Loss(value, float(code_BT.numel()), {name: part.detach() for name, part in parts.items()})

    def _text_nats(self, hidden_BLD: Tensor, next_BL: Tensor, told_B: Tensor) -> Tensor:
        """Mean over the tokens of captions that are told: a caption's end is the first token that is not there."""
        logits_BLV = self.network.word_logits(hidden_BLD)
        nats_BL = F.cross_entropy(logits_BLV.flatten(0, 1).float(), next_BL.flatten(), reduction="none")
        nats_BL = nats_BL.view_as(next_BL)
        ended_BL = F.pad((next_BL == 0)[:, :-1], (1, 0))
        counts_BL = told_B[:, None] & ~ended_BL
        return (nats_BL * counts_BL).sum() / counts_BL.sum().clamp(min=1)

    def reconstruct(self, data: Tensor, given: Given) -> Tensor:
        """The data as it comes back of its codes: the best that any row of codes could give."""
        return self.translator.decode(self.translator.encode(data))

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        network = self.network
        return 3 * matmul_flops(network.config, len(batch["codes"]), network.caption + network.length)

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> CodesSession:
        return CodesSession(self.network, self.translator.decode, capacity)
