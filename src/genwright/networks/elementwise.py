"""The norm and the rotation of positions with backward passes of their own: what autograd puts together for them reads and writes
each activation a dozen times, and without torch.compile that is a tenth of a small model's step on a CPU.

Used where gradients are wanted, on a CPU, in fp32, outside torch.compile, which fuses as well; elsewhere torch's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class RMSNorm(nn.RMSNorm):
    """x / sqrt(mean(x^2) + eps) times a weight (arXiv:1910.07467), over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        if _by_hand(x):
            eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
            return _Norm.apply(x, self.weight, eps)  # pyright: ignore[reportReturnType]
        # Autocast would leave the weight in fp32 beside a bf16 input, for which torch has no fused norm.
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def rotate(x_BTNH: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + H/2) of each head by the position's angles: the halves convention of Hugging Face."""
    if _by_hand(x_BTNH):
        return _Rotation.apply(x_BTNH, *rope)  # pyright: ignore[reportReturnType]
    cos, sin = (table.to(x_BTNH.dtype) for table in rope)
    first, second = x_BTNH.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def wide(x: Tensor) -> Tensor:
    """In fp32 where autocast made it smaller: for small differences of large numbers."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """What autocast makes products run in on a device; None outside it, and on the meta device, which has none."""
    kind = device.type
    return torch.get_autocast_dtype(kind) if kind != "meta" and torch.is_autocast_enabled(kind) else None


def _by_hand(x: Tensor) -> bool:
    if torch.compiler.is_compiling():
        return False
    return torch.is_grad_enabled() and x.device.type == "cpu" and x.dtype == torch.float32


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        square = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        inverse = square.div_(x.shape[-1]).add_(eps).rsqrt_()
        normed = x * inverse
        ctx.save_for_backward(normed, inverse, weight)
        return normed * weight

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None]:
        normed, inverse, weight = ctx.saved_tensors
        product = (gradient * normed).flatten(0, -2)
        x_gradient = None
        if ctx.needs_input_grad[0]:
            mean = torch.mv(product, weight).div_(-weight.numel()).view(inverse.shape)
            x_gradient = (gradient * weight).addcmul_(normed, mean).mul_(inverse)
        return x_gradient, product.sum(0) if ctx.needs_input_grad[1] else None, None


class _Rotation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_BTNH: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turned(x_BTNH, cos, sin, 1.0)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, gradient_BTNH: Tensor
    ) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turned(gradient_BTNH, cos, sin, -1.0), None, None


def _turned(x_BTNH: Tensor, cos: Tensor, sin: Tensor, direction: float) -> Tensor:
    out_BTNH = torch.empty(x_BTNH.shape, dtype=x_BTNH.dtype)
    (first, second), (into_first, into_second) = x_BTNH.chunk(2, dim=-1), out_BTNH.chunk(2, dim=-1)
    torch.mul(first, cos, out=into_first).addcmul_(second, sin, value=-direction)
    torch.mul(second, cos, out=into_second).addcmul_(first, sin, value=direction)
    return out_BTNH
