from __future__ import annotations

import numpy as np
import pytest

from genwright.metrics import copying_image


def limit(held_out: np.ndarray) -> copying_image.CopyThreshold:
    return copying_image.threshold(held_out, np.random.default_rng(0))


def test_held_out_pictures_copy_at_about_the_percentile() -> None:
    found = limit(np.random.default_rng(1).gamma(4.0, size=400))
    assert found.natural.value == pytest.approx(0.05, abs=0.01)
    assert found.natural.low < 0.05 < found.natural.high


def test_threshold_is_the_percentile_of_the_held_out_distances() -> None:
    assert limit(np.arange(101.0)).distance == pytest.approx(5.0)


def test_copies_are_counted_and_fresh_pictures_are_not() -> None:
    found = limit(np.linspace(1, 2, 200))
    copies, fresh = np.zeros(30), np.full(70, 1.5)
    assert copying_image.copy_rate(copies, found).value == 1.0
    assert copying_image.copy_rate(fresh, found).value == 0.0
    assert copying_image.copy_rate(np.concatenate([copies, fresh]), found).value == pytest.approx(0.3)


def test_too_few_held_out_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 20"):
        limit(np.ones(19))
