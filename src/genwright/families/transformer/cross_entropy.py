"""Cross-entropy over a large vocabulary without all of its logits at once.

For a vocabulary of 49,000, the logits of 4,096 tokens are 800 MB, and the plain way holds three copies of them. Here rows go by
in chunks: a chunk's logits are made, turned into nats and, since a token's weight is known beforehand, into the gradient of the
weighted sum right away. What is kept for the backward pass is as large as the hidden states and the output matrix. It costs
no product more than the plain way. (The idea is that of Liger-Kernel, arXiv:2410.10989, section 3.)

M rows (tokens), D width, V vocabulary
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from genwright.networks.elementwise import autocast_dtype
from genwright.networks.nats import NatsAndGradient

_CHUNK_BYTES = {"cpu": 1 << 26}
_CHUNK_BYTES_ELSEWHERE = 1 << 28
"""Logits that stand at once, as if in fp32. Each chunk reads and writes the output matrix's gradient, so it must not be small beside that; a
GPU wants large products too."""
_LARGEST_CHUNK_BYTES = 1 << 31
_CARD_SHARE = 64
"""On a card a chunk may be this part of its memory: of the whole of it, not of what is free, for the rows of a chunk decide the order of
sums, and a resumed training must find the same."""
_WORTH_BYTES = 1 << 25
"""Logits from which on the care gains: half a chunk of a CPU's already, by leaving out the rows that do not count."""
_FP16_ROWS = 4096
"""Sums over more rows might leave fp16's range."""
_LEAST_ROWS = 64
"""Fewer rows a product would leave the processor waiting for the output matrix."""


def chunk_rows(vocabulary: int, device: torch.device) -> int:
    """How many rows of logits may stand at once."""
    return max(_LEAST_ROWS, _chunk_bytes(device) // (4 * vocabulary))


def _chunk_bytes(device: torch.device) -> int:
    small = _CHUNK_BYTES.get(device.type, _CHUNK_BYTES_ELSEWHERE)
    if device.type != "cuda":
        return small
    whole = torch.cuda.get_device_properties(device).total_memory
    return min(max(whole // _CARD_SHARE, small), _LARGEST_CHUNK_BYTES)


def even_rows(rows: int, most: int) -> int:
    """Rows of each chunk, of as few as can be: all but the last alike, and a multiple of 128 where that is no more than `most`."""
    each = -(-rows // max(1, -(-rows // most)))
    return min(-(-each // 128) * 128, most)


def is_large(rows: int, vocabulary: int, device: torch.device) -> bool:
    """Whether so many logits are worth the care."""
    return rows >= max(_LEAST_ROWS, _WORTH_BYTES // (4 * vocabulary))


def weighted_nats(
    hidden_MD: Tensor,
    matrix_VD: Tensor,
    target_M: Tensor,
    weight_M: Tensor,
    kernel: NatsAndGradient,
    counted_C: Tensor | None = None,
) -> Tensor:
    """The sum over rows of weight times negative log-likelihood of the target, a scalar; the weights get no gradient.

    Rows of weight 0 are not computed on a CPU. Elsewhere to look for them would mean to wait for the device: `counted_C` are the rows to
    compute where somebody knows them, else all are. Inside autocast the products run in its precision, everything else in fp32.
    """
    if not torch.is_grad_enabled():
        return (chunked_nats(hidden_MD, matrix_VD, target_M) * weight_M).sum()
    kind = hidden_MD.device.type
    if counted_C is None and kind == "cpu":
        counted_C = weight_M.nonzero().squeeze(1)
    if counted_C is not None and len(counted_C) < len(weight_M):
        hidden_MD, target_M, weight_M = hidden_MD[counted_C], target_M[counted_C], weight_M[counted_C]
    dtype = autocast_dtype(hidden_MD.device) or hidden_MD.dtype
    return _WeightedNats.apply(hidden_MD, matrix_VD, target_M, weight_M.float(), dtype, kernel)  # pyright: ignore[reportReturnType]


def chunked_nats(hidden_MD: Tensor, matrix_VD: Tensor, target_M: Tensor) -> Tensor:
    """The negative log-likelihood of each row's target, float32[M]. Where gradients are wanted, a chunk's logits are made
    again in the backward pass."""
    rows = chunk_rows(len(matrix_VD), hidden_MD.device)
    pieces = zip(hidden_MD.split(rows), target_M.split(rows), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(_nats, h, matrix_VD, target, use_reentrant=False) for h, target in pieces])
    return torch.cat([_nats(h, matrix_VD, target) for h, target in pieces])


def _nats(hidden_RD: Tensor, matrix_VD: Tensor, target_R: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(hidden_RD, matrix_VD).float(), target_R, reduction="none")


class _WeightedNats(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_MD: Tensor,
        matrix_VD: Tensor,
        target_M: Tensor,
        weight_M: Tensor,
        dtype: torch.dtype,
        kernel: NatsAndGradient,
    ) -> Tensor:
        kind, rows = hidden_MD.device.type, chunk_rows(len(matrix_VD), hidden_MD.device)
        rows = rows if kind == "cpu" else even_rows(len(hidden_MD), rows)
        rows = min(rows, _FP16_ROWS) if dtype == torch.float16 else rows
        hidden_grad_MD = torch.empty_like(hidden_MD) if ctx.needs_input_grad[0] else None
        matrix_grad_VD = torch.zeros_like(matrix_VD) if ctx.needs_input_grad[1] else None
        total = torch.zeros((), device=hidden_MD.device)
        with torch.autocast(kind, enabled=False):
            matrix = matrix_VD.to(dtype)
            for first in range(0, len(hidden_MD), rows):
                chunk = slice(first, first + rows)
                hidden_RD = hidden_MD[chunk].to(dtype)
                nats_R, gradient_RV = kernel.of(hidden_RD @ matrix.T, target_M[chunk], weight_M[chunk])
                total += nats_R.sum()
                if hidden_grad_MD is not None:
                    hidden_grad_MD[chunk] = gradient_RV @ matrix
                if matrix_grad_VD is not None and matrix_grad_VD.dtype == dtype:
                    matrix_grad_VD.addmm_(gradient_RV.T, hidden_RD)
                elif matrix_grad_VD is not None:
                    matrix_grad_VD += gradient_RV.T @ hidden_RD
        ctx.save_for_backward(hidden_grad_MD, matrix_grad_VD)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *outputs: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None, None, None]:
        hidden_grad_MD, matrix_grad_VD = ctx.saved_tensors
        return (
            None if hidden_grad_MD is None else hidden_grad_MD * outputs[0],
            None if matrix_grad_VD is None else matrix_grad_VD * outputs[0],
            None,
            None,
            None,
            None,
        )
