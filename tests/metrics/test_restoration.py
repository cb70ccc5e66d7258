"""PSNR and SSIM against their definitions, and intervals that know which pieces belong together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genwright.metrics.restoration import MOST_PSNR, mean_over, psnr, ssim


def _pictures(seed: int, side: int = 20) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, side, side, 3)).astype(np.uint8)


def test_psnr_by_hand():
    true = np.full((2, 4, 4, 3), 100, np.uint8)
    found = true.copy()
    found[0] += 10
    found[1, 0, 0, 0] = 148
    assert psnr(found, true) == pytest.approx([20 * math.log10(25.5), 10 * math.log10(255**2 / 48)])
    assert psnr(true, true).tolist() == [MOST_PSNR, MOST_PSNR]


def test_ssim_by_its_definition():
    x, y = _pictures(0), _pictures(1)
    mixed = (0.7 * x + 0.3 * y).round().astype(np.uint8)
    place = np.arange(11) - 5
    weight = np.exp(-(place**2) / 4.5)
    weight = np.outer(weight, weight) / weight.sum() ** 2
    for number in range(3):
        found = []
        for c in range(3):
            for top in range(10):
                for left in range(10):
                    a, b = (one[number, top : top + 11, left : left + 11, c].astype(float) for one in (mixed, x))
                    ma, mb = (weight * a).sum(), (weight * b).sum()
                    va, vb, cov = (
                        (weight * a * a).sum() - ma**2,
                        (weight * b * b).sum() - mb**2,
                        (weight * a * b).sum() - ma * mb,
                    )
                    found.append(
                        (2 * ma * mb + 6.5025) * (2 * cov + 58.5225) / ((ma**2 + mb**2 + 6.5025) * (va + vb + 58.5225))
                    )
        assert ssim(mixed, x)[number] == pytest.approx(np.mean(found))
    assert ssim(x, x) == pytest.approx(1) and (ssim(x, y) < 0.1).all()
    assert ssim(x[:, :4, :4], x[:, :4, :4]) == pytest.approx(1)


def test_pieces_of_one_photograph_are_no_more_than_one():
    """Ten pieces that say the same are no surer than one, so the interval is as wide as that of the photographs."""
    values = np.random.default_rng(0).normal(1, 1, 12)
    alone = mean_over(values, [str(i) for i in range(12)], np.random.default_rng(1))
    pieces = mean_over(np.repeat(values, 10), [str(i) for i in range(12) for _ in range(10)], np.random.default_rng(1))
    apart = mean_over(np.repeat(values, 10), [str(i) for i in range(120)], np.random.default_rng(1))
    assert pieces.value == pytest.approx(alone.value) and (pieces.low, pieces.high) == pytest.approx(
        (alone.low, alone.high)
    )
    assert apart.high - apart.low < 0.5 * (pieces.high - pieces.low) and (alone.n, pieces.n) == (12, 120)
    with pytest.raises(ValueError, match="no values"):
        mean_over(np.array([]), [], np.random.default_rng(0))
