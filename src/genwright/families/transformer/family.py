"""The autoregressive family: next-token prediction.

The objective is the negative log-likelihood of each token given those before it, averaged over tokens (nats per token).
The sampler is in session.py, that of a card in card_session.py.

B batch, T tokens, M all of a batch's tokens, D width, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pydantic import BaseModel
from torch import Tensor, nn

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase
from genwright.families.transformer.card_session import CardSession
from genwright.families.transformer.cross_entropy import chunked_nats, is_large, weighted_nats
from genwright.families.transformer.options import Controls, Opening
from genwright.families.transformer.session import TextSession
from genwright.networks import lora
from genwright.networks.attention import document_ends
from genwright.networks.decoder import Decoder, matmul_flops
from genwright.networks.hugging_face import from_hf_state, to_hf_config, to_hf_state

OPTIMIZER = OptimizerSpec(
    learning_rate=0.01,
    matrix_learning_rate=0.006,
    betas=(0.9, 0.95),
    weight_decay=0.0,
    polar_steps=3,
    orthogonal_groups=2,
    clip_norm=1.0,
    warmup=0.02,
    decay=0.5,
)
"""Measured on Shakespeare, 2e12 operations a run: for matrices 0.005 and 0.008 do better than 0.015, and that than 0.025; for the
rest 0.01 and 0.02 are equal. Three polar steps reach the loss of five within 0.0003, two groups of rows that of whole matrices within
0.0003 (128 and 256 wide; four groups cost 0.01)."""

FINE_TUNING = OptimizerSpec(learning_rate=2e-5, betas=(0.9, 0.999), warmup=0.05, decay=0.95)
"""For all of the weights of a pretrained model."""

LORA = OptimizerSpec(learning_rate=2e-4, betas=(0.9, 0.999), warmup=0.05, decay=0.95)
"""For a low-rank change of them."""

_FEW_COUNT = 0.9
"""Where no more than this share of the predicted tokens counts, the others are left out; else fetching the rows costs what it spares."""


class Transformer:
    """A decoder with its objective and its sampler. `end_token` ends a text and also begins one that has no prompt; `end_tokens` may
    name more that end an answer.

    A decoder with low-rank changes (networks/lora.py) samples with the changes merged in. It is exported merged, or the changes
    alone where `merge` is off; `base` then puts the weights that they change into a decoder, whose vocabulary has `own_rows` rows
    more than those.
    """

    name: ClassVar[str] = "transformer"
    Controls: ClassVar[type[BaseModel]] = Controls
    Opening: ClassVar[type[BaseModel]] = Opening
    exported: ClassVar[tuple[str, ...]] = ("model",)

    def __init__(
        self,
        network: Decoder,
        end_token: int | None,
        optimizer: OptimizerSpec = OPTIMIZER,
        *,
        end_tokens: Iterable[int] = (),
        token_ids: dict[str, Any] | None = None,
        merge: bool = True,
        base: Callable[[Decoder], None] | None = None,
        own_rows: int = 0,
    ):
        self.modules = nn.ModuleDict({"model": network})
        self.end_token, self.end_tokens = end_token, frozenset(end_tokens)
        self.phases = (Phase("model", ("model",), optimizer),)
        self._token_ids = token_ids
        self._merge, self._base, self._own_rows = merge, base, own_rows

    @property
    def network(self) -> Decoder:
        network = self.modules["model"]
        assert isinstance(network, Decoder)
        return network

    @property
    def context(self) -> int:
        """Tokens that it sees at once in writing."""
        return self.network.config.positions

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        """`batch`: "tokens" int64[B, T+1], and optionally "mask" float[B, T], the weight of each predicted token, and "segments"
        int32[B, T], which document each token that is read belongs to; besides what `ready` puts there."""
        tokens, segments, mask = batch["tokens"], batch.get("segments"), batch.get("mask")
        if not self._large(tokens):
            return weighted_mean(self.nats(tokens, segments, batch.get("ends")), mask)
        hidden_MD = self.network.hidden(tokens[:, :-1], segment_BT=segments, ends_E=batch.get("ends")).flatten(0, 1)
        weight_M = torch.ones(len(hidden_MD), device=tokens.device) if mask is None else mask.flatten()
        network, target_M = self.network, tokens[:, 1:].flatten()
        total = weighted_nats(
            hidden_MD, network.output_matrix, target_M, weight_M, network.nats_and_gradient, batch.get("counted")
        )
        weight = weight_M.sum(dtype=torch.float32)
        value = total / weight.clamp_min(1e-12)
        return Loss(value, weight, {"loss": value.detach()})

    def ready(self, batch: Batch) -> Batch:
        """Where documents end ("ends", see `document_ends`), and which predicted tokens count ("counted"), where many do not. Rows whose
        first document alone counts need no "segments": causal attention keeps what follows out of it."""
        found, segments, mask = dict(batch), batch.get("segments"), batch.get("mask")
        if mask is not None:
            counted_C = mask.flatten().nonzero().squeeze(1)
            if len(counted_C) < _FEW_COUNT * mask.numel():
                found["counted"] = counted_C
        if segments is not None:
            others_BT = segments != segments[:, :1]
            if bool((others_BT if mask is None else others_BT & (mask != 0)).any()):
                found["ends"] = document_ends(segments, even=True)
            else:
                del found["segments"]
        return found

    def nats(self, tokens: Tensor, segment_BT: Tensor | None = None, ends_E: Tensor | None = None) -> Tensor:
        """Negative log-likelihood of each token given those before it: int64[B, T+1] to float32[B, T]."""
        token_BT, target_BT = tokens[:, :-1], tokens[:, 1:]
        if self._large(tokens):
            hidden_MD = self.network.hidden(token_BT, segment_BT=segment_BT, ends_E=ends_E).flatten(0, 1)
            return chunked_nats(hidden_MD, self.network.output_matrix, target_BT.flatten()).view_as(target_BT)
        logits_BTV = self.modules["model"](token_BT, segment_BT=segment_BT, ends_E=ends_E)
        nats_BT = F.cross_entropy(logits_BTV.flatten(0, 1).float(), target_BT.flatten(), reduction="none")
        return nats_BT.view_as(target_BT)

    def _large(self, tokens: Tensor) -> bool:
        """Whether the logits of all tokens are too many to stand at once."""
        network, (rows, length) = self.modules["model"], tokens.shape
        return isinstance(network, Decoder) and is_large(rows * (length - 1), network.config.vocab_size, tokens.device)

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        pass

    def flops(self, batch: Batch) -> float:
        sequences, length = batch["tokens"].shape
        return 3 * matmul_flops(self.network.config, sequences, length - 1)

    @property
    def exports_change(self) -> bool:
        """Whether what is exported is a low-rank change alone, in PEFT's layout."""
        return not self._merge and lora.has_lora(self.network)

    def export_tensors(self) -> dict[str, Tensor]:
        if self.exports_change:
            return lora.to_peft_state(self.network, self._own_rows)
        plain = lora.without_lora(self.network)
        return to_hf_state(plain.config, plain.state_dict())

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Of whole weights or of a change; either way plain layers stand in the network after it."""
        if lora.is_peft_state(tensors):
            if self._base is None:
                raise KeyError("the weights that it changes are not named")
            self._base(self.network)
            lora.load_peft_state(self.network, tensors)
            lora.merge_lora(self.network)
            return
        lora.remove_lora(self.network)
        self.network.load_state_dict(from_hf_state(self.network.config, tensors))

    def foreign_config(self) -> dict[str, Any]:
        """A config.json of the network's architecture, which `transformers`, vLLM and llama.cpp's converter read; {} for a change."""
        if self.exports_change:
            return {}
        ends = {"bos_token_id": self.end_token, "eos_token_id": self.end_token, "pad_token_id": self.end_token}
        return to_hf_config(self.network.config) | (self._token_ids or (ends if self.end_token is not None else {}))

    def foreign_files(self) -> dict[str, dict[str, Any]]:
        """What stands beside the tensors: the adapter_config.json of a change."""
        return {"adapter_config.json": lora.peft_config(self.network, self._own_rows)} if self.exports_change else {}

    def open(self, capacity: int, opening: Any) -> TextSession:
        """Weights in int8 are integer copies of the matrices. Raises RequestError where they can't be read here."""
        network = lora.without_lora(self.network)
        session = CardSession if network.embed_tokens.weight.device.type == "cuda" else TextSession
        return session(network, self.end_token, capacity, self.end_tokens, opening)


def weighted_mean(nats_BT: Tensor, mask_BT: Tensor | None) -> Loss:
    """Mean over the tokens that count, and how many they are. A batch without any has value and weight 0."""
    if mask_BT is None:
        value, weight = nats_BT.mean(), torch.full((), float(nats_BT.numel()), device=nats_BT.device)
    else:
        weight = mask_BT.sum(dtype=torch.float32)
        value = (nats_BT * mask_BT).sum() / weight.clamp_min(1e-12)
    return Loss(value, weight, {"loss": value.detach()})
