"""The schedule by hand."""

import pytest

from genwright.families.base import OptimizerSpec
from genwright.training.schedule import rate_scale


def test_warmup_stable_decay_by_hand():
    spec = OptimizerSpec(warmup=0.2, decay=0.4, final=0.1)
    curve = [rate_scale(step, 10, spec) for step in range(10)]
    # two steps of warmup: 1/3, 2/3; four of decay, from 1 towards 0.1
    expected = [1 / 3, 2 / 3, 1, 1, 1, 1, 1.0, 0.775, 0.55, 0.325]
    assert curve == pytest.approx(expected)
    assert rate_scale(10, 10, spec) == pytest.approx(0.1)


def test_constant_and_overlapping():
    constant = OptimizerSpec(warmup=0.0, decay=0.0)
    assert [rate_scale(step, 7, constant) for step in range(7)] == [1.0] * 7
    both = OptimizerSpec(warmup=0.5, decay=1.0)
    assert all(0 < rate_scale(step, 8, both) <= 1 for step in range(8))
    assert rate_scale(0, 1, OptimizerSpec()) == 1.0
