"""Causal attention for training on a CPU, by batched matrix products over blocks of queries, each with the keys it may see.

Torch's fused kernel for CPUs (arXiv:2205.14135) multiplies small tiles and computes the weights anew in the backward pass. Rows of a
few hundred tokens have weights small enough to keep, and whole products of half the square run at the speed of matrix
multiplication: together forward and backward take a quarter to a third less time.

S = Q K^T / sqrt(H), P = softmax(S), O = P V;  dV = P^T dO, dS = P (dP - rowsum(P dP)) with dP = dO V^T, dQ = dS K / sqrt(H),
dK = dS^T Q / sqrt(H)

B batch, T tokens, N heads, H head width, M batch times heads, L queries of a block, S keys that a block sees
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from genwright.hardware.device import has_bf16

BLOCK = 128
"""Queries of a block. Half of it spares more of the square, and loses as much in smaller products."""
SHORTEST, LONGEST = 128, 512
"""Tokens of a row: in shorter ones the calls cost more than they spare; the weights that are kept grow with the square."""


def fits(q_BTNH: Tensor) -> bool:
    """Whether attention should go this way: a CPU, gradients wanted, rows that are not long, numbers that it multiplies by instructions of
    its own or is asked by autocast to save room with."""
    if q_BTNH.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    whole = q_BTNH.dtype in (torch.float32, torch.float64)
    return (whole or torch.is_autocast_enabled("cpu")) and SHORTEST <= q_BTNH.shape[1] <= LONGEST


def causal_attention(q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor) -> Tensor:
    """As many key and value heads as query heads; B,T,N,H. Inside autocast the products are in its precision where the processor has
    instructions for that, else in fp32: emulated they would take many times longer."""
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        dtype = dtype if dtype == torch.bfloat16 and has_bf16(q_BTNH.device) else torch.float32
        q_BTNH, k_BTNH, v_BTNH = (x.to(dtype) for x in (q_BTNH, k_BTNH, v_BTNH))
    with torch.autocast("cpu", enabled=False):  # which would choose anew for each product
        return _attend(q_BTNH, k_BTNH, v_BTNH)[0]


def _blocks(length: int) -> list[tuple[int, int]]:
    return list(pairwise([*range(0, length, BLOCK), length]))


def _heads_first(x_BTNH: Tensor) -> Tensor:
    return x_BTNH.transpose(1, 2).flatten(0, 1)


def _tokens_first(x_MTH: Tensor, heads: int) -> Tensor:
    return x_MTH.unflatten(0, (-1, heads)).transpose(1, 2)


# Operators of their own: torch.compile would take the loop apart and put other kernels in its place.
@torch.library.custom_op("genwright::block_attention", mutates_args=(), device_types="cpu")
def _attend(q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor) -> list[Tensor]:
    """The attention, and of each block the weights, M,L,S. A softmax sums in fp32 at least, whatever it is of."""
    heads, width = q_BTNH.shape[2:]
    q_MTH, k_MTH, v_MTH = (_heads_first(x) for x in (q_BTNH, k_BTNH, v_BTNH))
    out_MTH, weights = torch.empty_like(q_MTH, memory_format=torch.contiguous_format), []
    unseen_LL = torch.full((BLOCK, BLOCK), -torch.inf, dtype=q_MTH.dtype).triu_(1)
    for start, stop in _blocks(q_MTH.shape[1]):
        s_MLS = _scaled(q_MTH[:, start:stop], k_MTH[:, :stop].transpose(1, 2), width**-0.5)
        s_MLS[:, :, start:] += unseen_LL[: stop - start, : stop - start]
        p_MLS = s_MLS.softmax(dim=-1)
        out_MTH[:, start:stop] = p_MLS @ v_MTH[:, :stop]
        weights.append(p_MLS)
    return [_tokens_first(out_MTH, heads), *weights]


@torch.library.custom_op("genwright::block_attention_backward", mutates_args=(), device_types="cpu")
def _attend_backward(
    gradient_BTNH: Tensor, q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    heads, width = q_BTNH.shape[2:]
    g_MTH, q_MTH, k_MTH, v_MTH = (_heads_first(x) for x in (gradient_BTNH, q_BTNH, k_BTNH, v_BTNH))
    q_grad, k_grad, v_grad = (torch.zeros(q_MTH.shape, dtype=q_MTH.dtype) for _ in range(3))
    for (start, stop), p_MLS in zip(_blocks(q_MTH.shape[1]), weights, strict=True):
        g_MLH = g_MTH[:, start:stop]
        v_grad[:, :stop].baddbmm_(p_MLS.transpose(1, 2), g_MLH)
        dp_MLS = g_MLH @ v_MTH[:, :stop].transpose(1, 2)
        ds_MLS = torch.ops.aten._softmax_backward_data(dp_MLS, p_MLS, -1, p_MLS.dtype)
        q_grad[:, start:stop] = _scaled(ds_MLS, k_MTH[:, :stop], width**-0.5)
        k_grad[:, :stop].baddbmm_(ds_MLS.transpose(1, 2), q_MTH[:, start:stop], alpha=width**-0.5)
    return _tokens_first(q_grad, heads), _tokens_first(k_grad, heads), _tokens_first(v_grad, heads)


def _scaled(a_MLK: Tensor, b_MKS: Tensor, scale: float) -> Tensor:
    """scale * a b, in one pass."""
    nothing = a_MLK.new_zeros(1).expand(len(a_MLK), a_MLK.shape[1], b_MKS.shape[2])
    return torch.baddbmm(nothing, a_MLK, b_MKS, beta=0, alpha=scale)


def _like(x_BTNH: Tensor) -> Tensor:
    return x_BTNH.new_empty([x_BTNH.shape[i] for i in (0, 2, 1, 3)]).transpose(1, 2)


@_attend.register_fake
def _(q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor) -> list[Tensor]:
    rows, length, heads, _ = q_BTNH.shape
    return [_like(q_BTNH), *(q_BTNH.new_empty(rows * heads, b - a, b) for a, b in _blocks(length))]


@_attend_backward.register_fake
def _(
    gradient_BTNH: Tensor, q_BTNH: Tensor, k_BTNH: Tensor, v_BTNH: Tensor, weights: list[Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    return _like(q_BTNH), _like(k_BTNH), _like(v_BTNH)


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: list[Tensor]) -> None:
    ctx.save_for_backward(*inputs, *output[1:])


def _differentiate(ctx: Any, gradients: list[Tensor]) -> tuple[Tensor, ...]:
    q_BTNH, k_BTNH, v_BTNH, *weights = ctx.saved_tensors
    return _attend_backward(gradients[0], q_BTNH, k_BTNH, v_BTNH, weights)


_attend.register_autograd(_differentiate, setup_context=_keep)
