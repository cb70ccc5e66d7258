"""Picture networks of residual blocks: generator, discriminator, and the two halves of a VAE. No loss stands here.

The way of R3GAN (arXiv:2501.05441, section 4): inverted bottlenecks with grouped 3x3 convolutions, fix-up initialisation and
no normalisation, resampling by interpolation, and a learned 4x4 basis between vectors and the smallest feature map. Ours
differs in three points: pixels are gathered in 2x2 patches, so that the most expensive resolution is never convolved; the
condition also enters every generator stage; all runs in channels-last, which is 1.5 to 3 times faster on a CPU.

`given` is what a network is told beside its input: `given["condition"]` goes to its condition encoder (text_encoder.py).

Shapes: B batch, C channels, H W pixels, Z latent width, D condition width. image_BCHW in [-1, 1].
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.elementwise import autocast_dtype, wide

SMALLEST = 4
"""Side of the smallest feature map."""


def stage_count(size: int, patch: int) -> int:
    """Stages from the patched resolution down to 4x4. Raises ValueError when the two do not fit."""
    count = (size // patch // SMALLEST).bit_length()
    if size != patch * SMALLEST << (count - 1) if count else True:
        raise ValueError(f"a picture of side {size} has no stages with patches of side {patch}")
    return count


_SLOPE = 0.2
_GAIN = math.sqrt(2 / (1 + _SLOPE**2))
"""Keeps the variance of a normal input through the leaky rectifier."""


class _Twice(torch.autograd.Function):
    """A convolution whose gradient is made of a convolution again, so that the gradient of that is one, too.

    torch's own double backward goes through the groups one by one and convolves with whole maps as kernels. As in StyleGAN2-ADA
    (arXiv:2006.06676, its `conv2d_gradfix`). A backward pass that will be differentiated gives the input's gradient alone.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, padding: int, groups: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = padding, groups, bias is not None
        return F.conv2d(x, weight, bias, padding=padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        (gradient,), (x, weight) = gradients, ctx.saved_tensors
        padding, groups, has_bias = ctx.how
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            back = F.conv_transpose2d(gradient, weight, padding=padding, groups=groups) if for_x else None
            return back, None, None, None, None
        found = torch.ops.aten.convolution_backward(
            gradient,
            x,
            weight,
            [len(weight)] if has_bias else None,
            [1, 1],
            [padding, padding],
            [1, 1],
            False,
            [0, 0],
            groups,
            [for_x, for_weight, for_bias],
        )
        return *found, None, None


class Conv(nn.Conv2d):
    """A convolution of stride 1 that can be differentiated twice for little; `bias` and `groups` as torch has them."""

    def forward(self, input: Tensor) -> Tensor:
        if not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(input)
        dtype = autocast_dtype(input.device) or input.dtype
        weight, bias = self.weight.to(dtype), None if self.bias is None else self.bias.to(dtype)
        return _Twice.apply(input.to(dtype), weight, bias, self.padding[0], self.groups)


def conv(into: int, out: int, kernel: int = 1, groups: int = 1, gain: float = 1.0, bias: bool = False) -> Conv:
    layer = Conv(into, out, kernel, padding=kernel // 2, groups=groups, bias=bias)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(into // groups * kernel * kernel))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _rectify(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE, inplace=True)  # only ever on a fresh convolution's output, which nothing else needs


def _linear(into: int, out: int, gain: float = 1.0) -> nn.Linear:
    layer = nn.Linear(into, out)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(into))
    nn.init.zeros_(layer.bias)
    return layer


class ResidualBlock(nn.Module):
    """1x1 up, grouped 3x3, 1x1 down, added to the input; the last weight starts at zero (fix-up, arXiv:1901.09321).

    `depth` is the number of blocks in the network: the first two weights start smaller the deeper it is.
    """

    def __init__(self, channels: int, depth: int, expansion: int = 2, group: int = 16):
        super().__init__()
        inner = channels * expansion
        gain = _GAIN * depth ** (-1 / 4)
        self.up = conv(channels, inner, gain=gain, bias=True)
        self.mix = conv(inner, inner, 3, groups=max(1, inner // group), gain=gain, bias=True)
        self.down = conv(inner, channels, gain=0.0)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return x_BCHW + self.down(_rectify(self.mix(_rectify(self.up(x_BCHW)))))


class Generator(nn.Module):
    """Noise and condition -> picture: basis, then stages of residual blocks with bilinear upsampling between them.

    Every stage adds a coarse picture of its own resolution, so shapes and colours are learned first; a convolution at full
    resolution adds the details. `widths` and `blocks` go by stage from the finest to 4x4.
    """

    def __init__(
        self, encoder: nn.Module, widths: list[int], blocks: list[int], latent: int, patch: int, channels: int = 3
    ):
        super().__init__()
        condition: int = encoder.width  # type: ignore[assignment]
        self.latent, self.patch = latent, patch
        self.encoder = encoder
        widths, blocks = widths[::-1], blocks[::-1]
        self.basis = nn.Parameter(torch.randn(widths[0], SMALLEST, SMALLEST))
        self.into = _linear(latent + condition, widths[0])
        self.styles = nn.ModuleList(_linear(latent + condition, width, 0.5) for width in widths)
        self.stages = _stages(widths, blocks)
        self.narrow = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.coarse = nn.ModuleList(conv(width, channels, gain=0.1) for width in widths)
        self.detail = conv(widths[-1], widths[-1] // 2, gain=_GAIN, bias=True)
        self.fine = conv(widths[-1] // 2, channels, 3, gain=0.1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, noise_BZ: Tensor, given: dict[str, Tensor]) -> Tensor:
        """Normal noise and what is given -> image_BCHW, not clamped; in fp32 at least, for in bf16 a byte's neighbours are the same."""
        style = torch.cat([noise_BZ, self.encoder(given["condition"])], 1)
        x = (self.into(style)[:, :, None, None] * self.basis).contiguous(memory_format=torch.channels_last)
        image = torch.zeros((), device=x.device)
        for number, stage in enumerate(self.stages):
            if number:
                x, image = upsample(self.narrow[number - 1](x), 2), upsample(image, 2)
            x = stage(x + self.styles[number](style)[:, :, None, None])
            image = image + wide(self.coarse[number](x))
        x = _rectify(upsample(self.detail(x), self.patch))
        return upsample(image, self.patch) + wide(self.fine(x))


def upsample(x_BCHW: Tensor, factor: int) -> Tensor:
    return F.interpolate(x_BCHW, scale_factor=factor, mode="bilinear", align_corners=False)


def _stages(widths: list[int], blocks: list[int]) -> nn.ModuleList:
    depth = max(1, sum(blocks))
    return nn.ModuleList(
        nn.Sequential(*(ResidualBlock(width, depth) for _ in range(count)))
        for width, count in zip(widths, blocks, strict=True)
    )


class Trunk(nn.Module):
    """Picture -> feature vector: the generator's mirror image, also the VAE's encoder."""

    def __init__(self, widths: list[int], blocks: list[int], patch: int, channels: int = 3):
        super().__init__()
        self.patch = patch
        self.stem = conv(channels * patch * patch, widths[0], 3, gain=_GAIN, bias=True)
        self.stages = _stages(widths, blocks)
        self.widen = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.basis = conv(widths[-1], widths[-1], SMALLEST, groups=widths[-1])

    def forward(self, image_BCHW: Tensor) -> Tensor:
        x = F.pixel_unshuffle(image_BCHW, self.patch).contiguous(memory_format=torch.channels_last)
        x = _rectify(self.stem(x))
        for number, stage in enumerate(self.stages):
            if number:
                x = self.widen[number - 1](F.avg_pool2d(x, 2))
            x = stage(x)
        return (x * self.basis.weight[:, 0]).sum((2, 3))  # the one place of a depthwise convolution


class Discriminator(nn.Module):
    """Picture and condition -> one logit, by projection (arXiv:1802.05637): a plain term plus features . condition."""

    def __init__(self, encoder: nn.Module, widths: list[int], blocks: list[int], patch: int, channels: int = 3):
        super().__init__()
        condition: int = encoder.width  # type: ignore[assignment]
        self.encoder = encoder
        self.trunk = Trunk(widths, blocks, patch, channels)
        self.features = _linear(widths[-1], condition)
        self.plain = _linear(widths[-1], 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BCHW: Tensor, given: dict[str, Tensor]) -> Tensor:
        """-> logit_B. With fewer conditions than pictures they are gone through again: [real, generated] share theirs."""
        x = self.trunk(image_BCHW)
        condition_BD = self.encoder(given["condition"])
        condition_BD = condition_BD.repeat(len(x) // len(condition_BD), 1)
        fit_B = (wide(self.features(x)) * condition_BD).sum(1) / math.sqrt(condition_BD.shape[1])
        return wide(self.plain(x))[:, 0] + fit_B


class Posterior(nn.Module):
    """Picture and condition -> mean and log variance of a latent vector: the VAE's encoder."""

    def __init__(
        self, encoder: nn.Module, widths: list[int], blocks: list[int], latent: int, patch: int, channels: int = 3
    ):
        super().__init__()
        condition: int = encoder.width  # type: ignore[assignment]
        self.encoder = encoder
        self.trunk = Trunk(widths, blocks, patch, channels)
        self.mix = _linear(widths[-1] + condition, widths[-1])
        self.out = _linear(widths[-1], 2 * latent, 0.5)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image_BCHW: Tensor, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """-> mean_BZ, log_variance_BZ."""
        x = torch.cat([self.trunk(image_BCHW), self.encoder(given["condition"])], 1)
        mean_BZ, log_variance_BZ = wide(self.out(F.leaky_relu(self.mix(x), 0.2))).chunk(2, 1)
        return mean_BZ, soft_bound(log_variance_BZ, -8.0, 2.0)


class Prior(nn.Module):
    """Condition -> mean and log variance of a latent vector; close to a standard normal before training."""

    def __init__(self, encoder: nn.Module, latent: int):
        super().__init__()
        condition: int = encoder.width  # type: ignore[assignment]
        self.encoder = encoder
        self.mix = _linear(condition, 2 * condition)
        self.out = _linear(2 * condition, 2 * latent, 0.0)

    def forward(self, given: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """-> mean_BZ, log_variance_BZ."""
        x = self.out(F.leaky_relu(self.mix(self.encoder(given["condition"])), 0.2))
        mean_BZ, log_variance_BZ = wide(x).chunk(2, 1)
        return mean_BZ, soft_bound(log_variance_BZ, -8.0, 2.0)


class PixelDistributions(nn.Module):
    """A generator whose output is read as mean and log scale of every pixel: the VAE's decoder."""

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator
        self.latent = generator.latent

    def forward(self, z_BZ: Tensor, given: dict[str, Tensor]) -> Tensor:
        """-> [B, 2C, H, W]: means, then log scales within bounds that keep the likelihood finite."""
        mean_BCHW, log_scale_BCHW = self.generator(z_BZ, given).chunk(2, 1)
        return torch.cat([mean_BCHW, soft_bound(log_scale_BCHW - 1.0, -7.0, 2.0)], 1)


def soft_bound(x: Tensor, low: float, high: float) -> Tensor:
    """Squash smoothly into (low, high): close to the identity well within the bounds, a gradient everywhere."""
    return low + F.softplus(high - low - F.softplus(high - x))
