"""A `Decoder` at work: in the precision that it is to write in, and one token a row in as few operations as can be.

A step that reads one token of each text does little arithmetic: it waits for its weights, and on a card for the launches of its
operations. So the residual stream is added to by the products themselves, scores and logits leave their products in float32, and what
lies between two products is one function that torch.compile makes one kernel of. All shapes are fixed by the arguments, no value is
looked at and all results stand in buffers given, so that a card can record the step once and replay it (CUDA graphs).

R rows, D width, N query heads, K key/value heads, G query heads of one of those, H head width, S tokens attended to, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.hardware import compiler
from genwright.networks.decoder import Block, Decoder


def in_dtype(network: Decoder, dtype: torch.dtype) -> Decoder:
    """The network itself, or a copy whose weights are in `dtype`, for inference; the tables of rotary positions stay as they are."""
    if network.embed_tokens.weight.dtype == dtype:
        return network
    with torch.device("meta"):
        copy = Decoder(network.config)
    copy.load_state_dict({name: tensor.to(dtype) for name, tensor in network.state_dict().items()}, assign=True)
    copy.rope_cos, copy.rope_sin = network.rope_cos, network.rope_sin
    return copy.requires_grad_(False).eval()


@dataclass(frozen=True)
class Fusible:
    """What lies between the products of a layer, but for the writing into the cache: compiled, that would copy all of it."""

    norm: Callable[..., Tensor]
    turn: Callable[..., tuple[Tensor, Tensor]]
    weigh: Callable[..., Tensor]
    gate: Callable[..., Tensor]


class OneToken:
    """Reads one token a row. `fused`: by compiled functions where several operations stand side by side."""

    def __init__(self, network: Decoder, fused: bool = False):
        self._network, self._config = network, network.config
        self._fusible = _compiled() if fused else PLAIN

    def read(self, token_R: Tensor, position_R: Tensor, cache_2LRKSH: Tensor, length: int, logits_RV: Tensor) -> None:
        """Put the logits after each token into `logits_RV`, float32; its keys and values into the cache at its position.

        A row attends to the first `length` tokens of its cache, up to its position and within the window. Positions from the context's
        end on belong to idle rows, whose logits mean nothing; the cache has room for them.
        """
        network, eps = self._network, self._config.rms_norm_eps
        last = network.rope_cos.shape[0] - 1
        rope = [
            table_PH[position_R.clamp(max=last)].to(cache_2LRKSH.dtype)[:, None]
            for table_PH in (network.rope_cos, network.rope_sin)
        ]
        bias_RKGS = self._bias(position_R, length)
        index_2RKTH = position_R[None, :, None, None, None].expand(
            2, -1, *cache_2LRKSH.shape[3:4], 1, cache_2LRKSH.shape[5]
        )
        x_RD = F.embedding(token_R, network.embed_tokens.weight)
        for layer, block in enumerate(network.layers):
            assert isinstance(block, Block)
            attention, feed = block.self_attn, block.mlp
            normed_RD = self._fusible.norm(x_RD, block.input_layernorm.weight, eps)
            mixed_RM = self._attend(attention, normed_RD, rope, bias_RKGS, index_2RKTH, cache_2LRKSH[:, layer], length)
            x_RD.addmm_(mixed_RM, attention.o_proj.weight.t())
            if attention.o_proj.bias is not None:
                x_RD += attention.o_proj.bias
            normed_RD = self._fusible.norm(x_RD, block.post_attention_layernorm.weight, eps)
            gated_RF = self._fusible.gate(F.linear(normed_RD, feed.gate_up_proj.weight))
            x_RD.addmm_(gated_RF, feed.down_proj.weight.t())
        _product(_norm(x_RD, network.norm.weight, eps), network.output_matrix.t(), logits_RV)

    def _bias(self, position_R: Tensor, length: int) -> Tensor:
        """0 where a row attends, minus infinity elsewhere: float32[R, 1, 1, S]."""
        place_S, window = torch.arange(length, device=position_R.device), self._config.sliding_window
        position_R1 = position_R[:, None]
        hidden_RS = place_S > position_R1
        if window is not None:
            # An idle row's position may lie so far behind that it would see nothing.
            hidden_RS = hidden_RS | (place_S <= position_R1.clamp(max=length - 1) - window)
        return torch.zeros(hidden_RS.shape, device=position_R.device).masked_fill_(hidden_RS, -torch.inf)[:, None, None]

    def _attend(
        self,
        attention: Any,
        x_RD: Tensor,
        rope: list[Tensor],
        bias_RKGS: Tensor,
        index_2RKTH: Tensor,
        cache_2RKSH: Tensor,
        length: int,
    ) -> Tensor:
        """What the rows' heads take from their caches side by side, after their keys and values are put there."""
        heads, kv_heads, width = attention.heads, attention.kv_heads, attention.head_dim
        qkv_RXH = F.linear(x_RD, attention.qkv_proj.weight, attention.qkv_proj.bias).unflatten(-1, (-1, width))
        norms = (
            (attention.q_norm.weight, attention.k_norm.weight, self._config.rms_norm_eps) if attention.qk_norm else None
        )
        q_RNH, kv_2RKH = self._fusible.turn(qkv_RXH, heads, kv_heads, rope, norms)
        cache_2RKSH.scatter_(3, index_2RKTH, kv_2RKH[..., None, :])
        rows = len(x_RD)
        # Views: all rows of the cache have the same stride, so that rows and heads are one axis of products.
        keys, values = (side.view(rows * kv_heads, length, width) for side in cache_2RKSH[..., :length, :])
        q_XGH = q_RNH.reshape(rows * kv_heads, heads // kv_heads, width)
        scores_RKGS = _batched(q_XGH, keys.transpose(1, 2)).view(rows, kv_heads, heads // kv_heads, length)
        weights_RKGS = self._fusible.weigh(scores_RKGS, bias_RKGS, width**-0.5, q_XGH.dtype)
        return torch.bmm(weights_RKGS.view(q_XGH.shape[0], -1, length), values).view(rows, heads * width)


def _norm(x_RD: Tensor, weight_D: Tensor, eps: float) -> Tensor:
    return F.rms_norm(x_RD, weight_D.shape, weight_D, eps)


def _turn(
    qkv_RXH: Tensor,
    heads: int,
    kv_heads: int,
    rope: list[Tensor],
    norms: tuple[Tensor, Tensor, float] | None,
) -> tuple[Tensor, Tensor]:
    """Queries, and keys beside values, normed and turned to their positions."""
    q_RNH, k_RKH, v_RKH = qkv_RXH.split((heads, kv_heads, kv_heads), dim=1)
    if norms is None:
        both_RXH = qkv_RXH[:, : heads + kv_heads]
    else:
        q_weight_H, k_weight_H, eps = norms
        both_RXH = torch.cat((_norm(q_RNH, q_weight_H, eps), _norm(k_RKH, k_weight_H, eps)), dim=1)
    first, second = both_RXH.chunk(2, dim=-1)
    cos_R1H, sin_R1H = rope
    turned_RXH = torch.cat(
        (torch.addcmul(first * cos_R1H, second, sin_R1H, value=-1), torch.addcmul(second * cos_R1H, first, sin_R1H)),
        dim=-1,
    )
    q_RNH, k_RKH = turned_RXH.split((heads, kv_heads), dim=1)
    return q_RNH, torch.stack((k_RKH, v_RKH))


def _weigh(scores_RKGS: Tensor, bias_RKGS: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    return torch.add(bias_RKGS, scores_RKGS, alpha=scale).softmax(dim=-1).to(dtype)


def _gate(gate_up_RF: Tensor) -> Tensor:
    gate_RF, up_RF = gate_up_RF.chunk(2, dim=-1)
    return F.silu(gate_RF) * up_RF


PLAIN = Fusible(_norm, _turn, _weigh, _gate)


@cache
def _compiled() -> Fusible:
    compiler.hush()
    return Fusible(torch.compile(_norm), torch.compile(_turn), torch.compile(_weigh), torch.compile(_gate))


def _batched(a_XGH: Tensor, b_XHS: Tensor) -> Tensor:
    """A batch of products in float32, X,G,S."""
    if a_XGH.dtype == torch.float32:
        return torch.bmm(a_XGH, b_XHS)
    # Only cards have products of small numbers with large results; elsewhere the numbers are made large.
    return (
        torch.bmm(a_XGH, b_XHS, out_dtype=torch.float32) if a_XGH.is_cuda else torch.bmm(a_XGH.float(), b_XHS.float())
    )


def _product(a_RD: Tensor, b_DV: Tensor, out_RV: Tensor) -> None:
    """A product into a float32 buffer."""
    if a_RD.dtype == torch.float32:
        torch.mm(a_RD, b_DV, out=out_RV)
    elif a_RD.is_cuda:
        torch.mm(a_RD, b_DV, out_dtype=torch.float32, out=out_RV)
    else:
        out_RV.copy_(torch.mm(a_RD, b_DV))
