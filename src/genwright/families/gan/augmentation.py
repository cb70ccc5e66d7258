"""Differentiable augmentation for adversarial training on little data (DiffAugment, arXiv:2006.10738).

The same random changes are made to real and to generated pictures before the discriminator sees them, so it cannot learn the
few real ones by heart, and the generator learns nothing of the changes, since both sides have them.

Shapes: B batch, C channels, H W pixels. image_BCHW in [-1, 1].
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(image_BCHW: Tensor, rng: torch.Generator, strength: float | Tensor) -> Tensor:
    """Colour, translation and cut-out, each drawn for every picture; `strength` is the share of pictures changed by each.

    Data that is no picture (it has other axes) stays as it is.
    """
    if image_BCHW.ndim != 4 or (isinstance(strength, float) and not strength):
        return image_BCHW
    return cut_out(translate(recolour(image_BCHW, rng, strength), rng, strength), rng, strength)


def _uniform(shape: tuple[int, ...], image_BCHW: Tensor, rng: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=rng, device=image_BCHW.device)


def _chosen(image_BCHW: Tensor, rng: torch.Generator, strength: float | Tensor) -> Tensor:
    return _uniform((len(image_BCHW), 1, 1, 1), image_BCHW, rng) < strength


def recolour(image_BCHW: Tensor, rng: torch.Generator, strength: float | Tensor) -> Tensor:
    """Brightness by up to 0.25 either way, saturation by 0.5 to 1.5, contrast by 0.75 to 1.25."""
    chosen = _chosen(image_BCHW, rng, strength).float()
    shape = (3, len(image_BCHW), 1, 1, 1)
    bright, saturate, contrast = (_uniform(shape, image_BCHW, rng) - 0.5) * chosen
    grey = image_BCHW.mean(1, keepdim=True)
    coloured = grey + (image_BCHW - grey) * (1 + saturate)
    middle = coloured.mean((1, 2, 3), keepdim=True)
    return middle + (coloured - middle) * (1 + contrast / 2) + bright / 2


def translate(image_BCHW: Tensor, rng: torch.Generator, strength: float | Tensor, share: float = 0.125) -> Tensor:
    """Shift by whole pixels, up to `share` of the side; what comes in from outside is 0."""
    batch, _, height, width = image_BCHW.shape
    reach = max(1, round(height * share))
    chosen = _chosen(image_BCHW, rng, strength).long()[:, :, 0, 0]
    offset_2B = torch.randint(-reach, reach + 1, (2, batch, 1), generator=rng, device=image_BCHW.device) * chosen
    rows = (torch.arange(height, device=image_BCHW.device) + offset_2B[0] + reach).clamp(0, height + 2 * reach - 1)
    columns = (torch.arange(width, device=image_BCHW.device) + offset_2B[1] + reach).clamp(0, width + 2 * reach - 1)
    padded_BHWC = F.pad(image_BCHW, (reach,) * 4).permute(0, 2, 3, 1)
    picture = torch.arange(batch, device=image_BCHW.device)[:, None, None]
    return padded_BHWC[picture, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def cut_out(image_BCHW: Tensor, rng: torch.Generator, strength: float | Tensor, share: float = 0.5) -> Tensor:
    """Set a square of `share` of the side to 0, its centre anywhere in the picture."""
    batch, _, height, width = image_BCHW.shape
    chosen = _chosen(image_BCHW, rng, strength)
    centre_2B = _uniform((2, batch, 1), image_BCHW, rng)
    inside_BH = (torch.arange(height, device=image_BCHW.device) - centre_2B[0] * height).abs() < height * share / 2
    inside_BW = (torch.arange(width, device=image_BCHW.device) - centre_2B[1] * width).abs() < width * share / 2
    hole = inside_BH[:, None, :, None] & inside_BW[:, None, None, :] & chosen
    return image_BCHW * ~hole
