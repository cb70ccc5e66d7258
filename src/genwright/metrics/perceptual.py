"""How unlike two pictures look: the distance of what a network for recognising pictures sees in them, place by place.

The way of arXiv:1801.03924, equation 1, without its learned weights (each layer counts the same): the maps of several depths, each place
scaled to unit length over its channels, squared differences summed over channels and averaged over places and depths. 0 for equal
pictures, at most 4.

# Shapes: B pictures of one batch, N pairs, C channels, H W pixels
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.console import progress
from genwright.metrics import features

_BATCH = 32


def distances(
    one_NHWC: NDArray[np.uint8],
    two_NHWC: NDArray[np.uint8],
    device: torch.device | str = "cpu",
    title: str = "perceptual",
) -> NDArray[np.float64]:
    """The distance of each pair of 8-bit RGB pictures. Raises RequestError when the extra `metrics` is not installed."""
    found = np.empty(len(one_NHWC))
    with progress(title, len(found)) as line, torch.inference_mode():
        for start in range(0, len(found), _BATCH):
            line.update(start)
            some = slice(start, start + _BATCH)
            both = np.concatenate([one_NHWC[some], two_NHWC[some]])
            image_BCHW = features.prepare(both).to(device, memory_format=torch.channels_last)
            maps = features.network(str(device)).maps(image_BCHW)
            found[some] = torch.stack([_difference(found_BCHW) for found_BCHW in maps]).mean(0).cpu().numpy()
    return found


def _difference(map_BCHW: Tensor) -> Tensor:
    """Of the first half of the rows from the second, a number for each pair."""
    unit_BCHW = map_BCHW.float() / map_BCHW.float().norm(dim=1, keepdim=True).clamp(min=1e-6)
    one, two = unit_BCHW.chunk(2)
    return (one - two).square().sum(1).mean((1, 2))
