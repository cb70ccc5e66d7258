"""Scores of sets of pictures: feature arrays in, numbers out. Pure functions; no file, no model, no global randomness.

# Shapes: N generated samples, M reference samples, D feature dimensions, K neighbours, H W pixels, C channels

"FID" means Inception-v3 features and nothing else; here the features are an argument, so this is a Frechet distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]

KID_WHOLE = 2_000
"""Up to this many samples a side KID uses every pair; beyond it, subsets as in the paper, since memory grows with the square."""
_BLOCK = 1_024


@dataclass(frozen=True)
class Estimate:
    """A value with a 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def kid(features_ND: Array, reference_MD: Array, rng: np.random.Generator) -> Estimate:
    """Kernel inception distance: the unbiased squared MMD under the kernel (x.y / D + 1)^3. arXiv:1801.01401, eq. 4.

    Zero in expectation when both sets come from one distribution, so it may come out below zero; needs no more samples than
    dimensions. Up to KID_WHOLE samples a side every pair counts and the interval is that of the delete-one jackknife over both
    sets; beyond, the mean over 100 random subsets of 1,000 and their standard error, as the paper does.

    Raises ValueError with fewer than two samples on a side.
    """
    x, y = _checked(features_ND, reference_MD)
    if max(len(x), len(y)) > KID_WHOLE:
        size = min(1_000, len(x), len(y))
        values = kid_subsets(x, y, rng, subsets=100, size=size)
        error = float(values.std(ddof=1)) * np.sqrt(size / min(len(x), len(y)))
        return _normal(float(values.mean()), error, len(x))
    kernel_xx, kernel_yy, kernel_xy = _polynomial(x, x), _polynomial(y, y), _polynomial(x, y)
    value = _mmd2(kernel_xx, kernel_yy, kernel_xy)
    return _normal(value, _jackknife_error(kernel_xx, kernel_yy, kernel_xy), len(x))


def kid_subsets(
    features_ND: Array, reference_MD: Array, rng: np.random.Generator, subsets: int = 100, size: int = 1_000
) -> Array:
    """KID of random subsets, drawn without replacement, one value a subset: the paper's way of showing the spread."""
    x, y = _checked(features_ND, reference_MD)
    size = min(size, len(x), len(y))
    values = []
    for _ in range(subsets):
        a, b = x[rng.choice(len(x), size, replace=False)], y[rng.choice(len(y), size, replace=False)]
        values.append(_mmd2(_polynomial(a, a), _polynomial(b, b), _polynomial(a, b)))
    return np.array(values)


def _polynomial(x_ND: Array, y_MD: Array) -> Array:
    return (x_ND @ y_MD.T / x_ND.shape[1] + 1.0) ** 3


def _mmd2(kernel_xx: Array, kernel_yy: Array, kernel_xy: Array) -> float:
    n, m = kernel_xy.shape
    within_x = (kernel_xx.sum() - np.trace(kernel_xx)) / (n * (n - 1))
    within_y = (kernel_yy.sum() - np.trace(kernel_yy)) / (m * (m - 1))
    return float(within_x + within_y - 2 * kernel_xy.mean())


def _jackknife_error(kernel_xx: Array, kernel_yy: Array, kernel_xy: Array) -> float:
    """Standard error of the MMD by leaving out each sample once; the sums without it follow from the kernel's row sums."""
    n, m = kernel_xy.shape
    if n < 3 or m < 3:
        return float("inf")
    sum_xx, sum_yy, sum_xy = (
        kernel_xx.sum() - np.trace(kernel_xx),
        kernel_yy.sum() - np.trace(kernel_yy),
        kernel_xy.sum(),
    )
    row_x, row_y = kernel_xx.sum(1) - np.diag(kernel_xx), kernel_yy.sum(1) - np.diag(kernel_yy)
    without_x = (
        (sum_xx - 2 * row_x) / ((n - 1) * (n - 2))
        + sum_yy / (m * (m - 1))
        - 2 * (sum_xy - kernel_xy.sum(1)) / ((n - 1) * m)
    )
    without_y = (
        sum_xx / (n * (n - 1))
        + (sum_yy - 2 * row_y) / ((m - 1) * (m - 2))
        - 2 * (sum_xy - kernel_xy.sum(0)) / (n * (m - 1))
    )
    variance = sum((k - 1) / k * float(((v - v.mean()) ** 2).sum()) for k, v in ((n, without_x), (m, without_y)))
    return float(np.sqrt(variance))


def frechet_distance(features_ND: Array, reference_MD: Array) -> float:
    """Squared Frechet distance of the Gaussians fitted to both sets: |mu - nu|^2 + tr(S + T - 2 (S T)^(1/2)). arXiv:1706.08500.

    With centred data X and Y, S T has the squared singular values of X Y' / sqrt((N - 1)(M - 1)) for eigenvalues, so the
    trace of its root is the sum of those singular values: no root of an ill-conditioned product is taken, and fewer samples
    than dimensions are no numerical trouble. They are a statistical one: the distance is biased upwards by about 1 / N, so only
    values of equal N and M may be compared (`enough_for_frechet`).
    """
    x, y = _checked(features_ND, reference_MD)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    total = float((x**2).sum() + (y**2).sum())
    # R of X = QR has X's singular values against anything; it is smaller where there are more samples than dimensions.
    if len(x) > x.shape[1]:
        x = np.asarray(np.linalg.qr(x, mode="r"))
    if len(y) > y.shape[1]:
        y = np.asarray(np.linalg.qr(y, mode="r"))
    root = float(np.linalg.svd(x @ y.T, compute_uv=False).sum())
    return max(float(((mean_x - mean_y) ** 2).sum()) + total - 2 * root, 0.0)


def enough_for_frechet(n: int, m: int, dimensions: int) -> bool:
    """Whether both covariances can have full rank."""
    return min(n, m) > dimensions


def prdc(features_ND: Array, reference_MD: Array, k: int = 5) -> dict[str, float]:
    """Precision and recall (arXiv:1904.06991, eq. 1-2), density and coverage (arXiv:2002.09797, eq. 5-6).

    A set's manifold is the union of balls around its points that reach to the k-th nearest other point of the set.
    precision: share of generated pictures inside the reference's manifold; recall: the reverse;
    density: how many reference balls hold a generated picture, on average, over k; coverage: share of reference balls
    that hold one. Recall and coverage depend on N and M: compare equal sizes only.

    Raises ValueError when a side has not more than k samples.
    """
    x, y = _checked(features_ND, reference_MD)
    if min(len(x), len(y)) <= k:
        raise ValueError(f"{k} neighbours need more than {k} samples on each side, not {len(x)} and {len(y)}")
    radius_x, radius_y = kth_neighbour(x, k), kth_neighbour(y, k)
    distance = distances(x, y)
    in_reference, in_generated = distance <= radius_y[None, :], distance <= radius_x[:, None]
    return {
        "precision": float(in_reference.any(1).mean()),
        "recall": float(in_generated.any(0).mean()),
        "density": float(in_reference.sum(1).mean() / k),
        "coverage": float(in_reference.any(0).mean()),
    }


def kth_neighbour(x_ND: Array, k: int) -> Array:
    """Distance of each point to its k-th nearest other point."""
    distance = distances(x_ND, x_ND)
    np.fill_diagonal(distance, np.inf)
    return np.partition(distance, k - 1, axis=1)[:, k - 1]


def distances(x_ND: Array, y_MD: Array) -> Array:
    """Euclidean distances of all pairs."""
    x, y = np.asarray(x_ND, np.float64), np.asarray(y_MD, np.float64)
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None, :] - 2 * x @ y.T
    return np.sqrt(np.maximum(squared, 0))


def nearest(x_ND: Array, y_MD: Array, skip_same: bool = False) -> tuple[Array, NDArray[np.intp]]:
    """For each x the distance to its nearest y and that y's index; features or flattened pixels.

    `skip_same`: x and y are one array, and a point is not its own neighbour.
    """
    found, where = np.empty(len(x_ND)), np.empty(len(x_ND), np.intp)
    for start in range(0, len(x_ND), _BLOCK):
        block = distances(x_ND[start : start + _BLOCK], y_MD)
        if skip_same:
            block[np.arange(len(block)), np.arange(start, start + len(block))] = np.inf
        where[start : start + _BLOCK] = block.argmin(1)
        found[start : start + _BLOCK] = block.min(1)
    return found, where


def pixels(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pictures as rows of values in 0..1, for `nearest`; distances are then divided by the root of their length (RMS error)."""
    flat = images_NHWC.reshape(len(images_NHWC), -1).astype(np.float32) / 255
    return flat / np.sqrt(flat.shape[1])


def sharpness(images_NHWC: NDArray[np.uint8]) -> Array:
    """Variance of the Laplacian of each picture's luma in 0..1: low when soft. Pictures of one size only can be compared."""
    luma = images_NHWC.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) / 255
    middle = luma[:, 1:-1, 1:-1]
    laplacian = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:] - 4 * middle
    return laplacian.var(axis=(1, 2))


def bootstrap_mean(values_N: Array, rng: np.random.Generator, rounds: int = 1_000) -> Estimate:
    """The mean with a 95 % percentile bootstrap interval.

    Raises ValueError when there is no value.
    """
    values = np.asarray(values_N, np.float64)
    if len(values) == 0:
        raise ValueError("no values to take the mean of")
    means = values[rng.integers(0, len(values), (rounds, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def share(hits_N: NDArray[np.bool_]) -> Estimate:
    """A share with its 95 % Wilson interval. Raises ValueError when there is nothing to count."""
    return wilson(float(np.mean(hits_N)) if len(hits_N) else 0.0, len(hits_N))


def wilson(p: float, n: int) -> Estimate:
    """The 95 % interval of a share of n, which does not collapse at 0 and 1 as a bootstrap would."""
    if n == 0:
        raise ValueError("nothing to take a share of")
    z2 = 1.96**2
    centre, half = (p + z2 / (2 * n)) / (1 + z2 / n), 1.96 / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Estimate(p, max(float(centre - half), 0.0), min(float(centre + half), 1.0), n)


def _checked(x_ND: Array, y_MD: Array) -> tuple[Array, Array]:
    x, y = np.asarray(x_ND, np.float64), np.asarray(y_MD, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"features must be two tables of equal width, not {x.shape} and {y.shape}")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"a distance of distributions needs two samples a side, not {len(x)} and {len(y)}")
    return x, y


def _normal(value: float, error: float, n: int) -> Estimate:
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, n)
