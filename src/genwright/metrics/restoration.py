"""How near pictures come to the true ones, each beside its own: PSNR and SSIM. Arrays in, a number a picture out.

Shapes: N pictures, H W pixels, C channels. images 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from genwright.metrics.image import Estimate

Images = NDArray[np.uint8]

MOST_PSNR = 60.0
"""dB. What is nearer counts as this: rounding to 8 bits alone gives 59, and a picture found exactly would have no number."""
_WINDOW, _DEVIATION = 11, 1.5
_SMALL = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(images_NHWC: Images, true_NHWC: Images) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB: 10 log10(255^2 / mean squared error), at most `MOST_PSNR`."""
    difference = images_NHWC.astype(np.float64) - true_NHWC
    error_N = (difference**2).reshape(len(difference), -1).mean(1)
    return np.minimum(10 * np.log10(255**2 / np.maximum(error_N, 1e-12)), MOST_PSNR)


def ssim(images_NHWC: Images, true_NHWC: Images) -> NDArray[np.float64]:
    """Structural similarity (Wang and others 2004, eq. 13): means, variances and covariance under a Gaussian window of 11 pixels (fewer in
    smaller pictures) and deviation 1.5, mean over places and channels; 1 for the same picture."""
    x, y = (
        torch.from_numpy(np.ascontiguousarray(one)).permute(0, 3, 1, 2).double() for one in (images_NHWC, true_NHWC)
    )
    window = min(_WINDOW, *x.shape[2:])

    def smooth(values: Tensor) -> Tensor:
        place = torch.arange(window, dtype=torch.float64) - (window - 1) / 2
        weight = torch.exp(-(place**2) / (2 * _DEVIATION**2))
        weight = (weight / weight.sum()).expand(values.shape[1], 1, 1, window)
        across = F.conv2d(values, weight, groups=values.shape[1])
        return F.conv2d(across, weight.transpose(2, 3), groups=values.shape[1])

    mean_x, mean_y = smooth(x), smooth(y)
    variance_x, variance_y = smooth(x * x) - mean_x**2, smooth(y * y) - mean_y**2
    covariance = smooth(x * y) - mean_x * mean_y
    first, second = _SMALL
    above = (2 * mean_x * mean_y + first) * (2 * covariance + second)
    below = (mean_x**2 + mean_y**2 + first) * (variance_x + variance_y + second)
    return (above / below).flatten(1).mean(1).numpy()


def mean_over(
    values_N: NDArray[np.floating], groups: Sequence[str], rng: np.random.Generator, rounds: int = 1_000
) -> Estimate:
    """The mean with its 95 % bootstrap interval over groups: pieces of one photograph are drawn together, for they are alike. Of differences
    between two ways on the same pictures it is the paired interval. Raises ValueError when there is no value."""
    values = np.asarray(values_N, np.float64)
    if len(values) == 0:
        raise ValueError("no values to take the mean of")
    _, group_N = np.unique(np.asarray(groups), return_inverse=True)
    sums_G, counts_G = np.bincount(group_N, values), np.bincount(group_N)
    drawn = rng.integers(0, len(counts_G), (rounds, len(counts_G)))
    means = sums_G[drawn].sum(1) / counts_G[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))
