"""Set scores against hand-computed cases, known analytic values and plain re-derivations of the papers' formulas."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from genwright.metrics import image as metrics


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_kid_of_hand_computed_points() -> None:
    # One dimension: k(a, b) = (ab + 1)^3. Within x: k(0, 1) = 1; within y: k(1, 2) = 27; across: 1, 1, 8, 27 -> 37 / 4.
    x, y = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert metrics.kid(x, y, rng()).value == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kid_equals_the_sum_over_all_pairs() -> None:
    x, y = rng().normal(size=(7, 4)), rng().normal(1, 1, size=(9, 4))

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 4 + 1) ** 3)

    within_x = np.mean([kernel(x[i], x[j]) for i, j in product(range(7), repeat=2) if i != j])
    within_y = np.mean([kernel(y[i], y[j]) for i, j in product(range(9), repeat=2) if i != j])
    across = np.mean([kernel(a, b) for a in x for b in y])
    assert metrics.kid(x, y, rng()).value == pytest.approx(within_x + within_y - 2 * across)


def test_kid_is_zero_in_expectation_and_its_interval_holds_zero_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    found = [metrics.kid(random.normal(size=(40, 8)), random.normal(size=(40, 8)), random) for _ in range(300)]
    values = np.array([estimate.value for estimate in found])
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(len(values))
    assert np.mean([e.low <= 0 <= e.high for e in found]) > 0.92


def test_the_jackknife_interval_covers_the_true_distance() -> None:
    random = np.random.default_rng(2)
    draw = [metrics.kid(random.normal(0.5, 1, (60, 4)), random.normal(size=(60, 4)), random) for _ in range(200)]
    truth = np.mean([estimate.value for estimate in draw])
    assert 0.9 < np.mean([e.low <= truth <= e.high for e in draw]) < 0.995


def test_the_jackknife_is_that_of_leaving_out_one_after_another() -> None:
    x, y = rng().normal(size=(6, 3)), rng().normal(1, 1, size=(5, 3))
    leave_x = np.array([metrics.kid(np.delete(x, i, 0), y, rng()).value for i in range(6)])
    leave_y = np.array([metrics.kid(x, np.delete(y, i, 0), rng()).value for i in range(5)])
    variance = 5 / 6 * ((leave_x - leave_x.mean()) ** 2).sum() + 4 / 5 * ((leave_y - leave_y.mean()) ** 2).sum()
    estimate = metrics.kid(x, y, rng())
    assert (estimate.high - estimate.value) / 1.96 == pytest.approx(np.sqrt(variance))


def test_many_pictures_are_scored_by_subsets(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = rng().normal(size=(300, 4)), rng().normal(0.5, 1, size=(300, 4))
    whole = metrics.kid(x, y, rng())
    monkeypatch.setattr(metrics, "KID_WHOLE", 200)
    subsets = metrics.kid(x, y, rng())
    assert subsets.low < whole.value < subsets.high
    spread = metrics.kid_subsets(x, y, rng(), subsets=50, size=100)
    assert spread.mean() == pytest.approx(whole.value, abs=3 * spread.std() / np.sqrt(50))


def test_frechet_distance_between_known_normals() -> None:
    # Samples are moved and scaled to have these moments exactly, so the value is that of the normals themselves.
    random = np.random.default_rng(3)
    x, y = (exact(random.normal(size=(50, 3))) for _ in range(2))
    mean, scale = np.array([1.0, -2.0, 0.5]), np.array([2.0, 1.0, 3.0])
    # Diagonal covariances: |mean|^2 + sum (scale - 1)^2.
    assert metrics.frechet_distance(x * scale + mean, y) == pytest.approx((mean**2).sum() + ((scale - 1) ** 2).sum())


def test_frechet_distance_equals_the_root_of_the_product_for_correlated_features() -> None:
    random = np.random.default_rng(4)
    x, y = (
        random.normal(size=(60, 5)) @ random.normal(size=(5, 5)),
        random.normal(size=(40, 5)) @ random.normal(size=(5, 5)),
    )
    s, t = np.cov(x.T), np.cov(y.T)
    values, vectors = np.linalg.eigh(s)
    root_s = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root_s @ t @ root_s)).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t) - 2 * trace
    assert metrics.frechet_distance(x, y) == pytest.approx(expected)


def test_frechet_distance_with_fewer_samples_than_dimensions() -> None:
    x = rng().normal(size=(8, 30))
    assert metrics.frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert not metrics.enough_for_frechet(8, 100, 30)
    assert metrics.enough_for_frechet(31, 100, 30)


def test_prdc_on_points_placed_by_hand() -> None:
    reference = np.array([[0.0], [1.0], [2.0], [10.0]])
    # With k = 1 the reference's balls have radii 1, 1, 1, 8 and cover [-1, 3] and [2, 18].
    generated = np.array([[0.5], [12.0], [30.0]])
    # Generated radii 11.5, 11.5, 18: [-11, 12], [0.5, 23.5], [12, 48] hold every reference point.
    assert metrics.prdc(generated, reference, k=1) == {
        "precision": pytest.approx(2 / 3),
        "recall": pytest.approx(1.0),
        "density": pytest.approx((2 + 1 + 0) / 3),  # 0.5 lies in the balls of 0 and 1; 12 in that of 10
        "coverage": pytest.approx(3 / 4),  # the balls of 0, 1 and 10 hold a picture
    }


def test_prdc_by_its_definitions() -> None:
    x, y, k = rng().normal(size=(30, 3)), np.random.default_rng(5).normal(0.4, 1, size=(25, 3)), 3

    def ball(points: np.ndarray, i: int) -> float:
        return sorted(float(np.linalg.norm(points[i] - p)) for j, p in enumerate(points) if j != i)[k - 1]

    radius_x, radius_y = [ball(x, i) for i in range(30)], [ball(y, i) for i in range(25)]
    inside = np.array([[np.linalg.norm(a - b) <= r for b, r in zip(y, radius_y, strict=True)] for a in x])
    recalled = [any(np.linalg.norm(a - b) <= r for a, r in zip(x, radius_x, strict=True)) for b in y]
    found = metrics.prdc(x, y, k)
    assert found["precision"] == pytest.approx(inside.any(1).mean())
    assert found["density"] == pytest.approx(inside.sum() / (k * 30))
    assert found["coverage"] == pytest.approx(inside.any(0).mean())
    assert found["recall"] == pytest.approx(np.mean(recalled))


def test_a_collapsed_model_is_precise_and_covers_little() -> None:
    reference = rng().normal(size=(100, 4))
    collapsed = metrics.prdc(reference[:1] + rng().normal(0, 1e-3, (100, 4)), reference)
    assert collapsed["precision"] == 1.0
    assert collapsed["coverage"] < 0.2
    assert collapsed["recall"] < 0.2


def test_nearest_is_the_nearest_over_block_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_BLOCK", 4)
    x, y = rng().normal(size=(11, 3)), rng().normal(size=(7, 3)) + 1
    found, where = metrics.nearest(x, y)
    expected = np.linalg.norm(x[:, None] - y[None], axis=2)
    np.testing.assert_allclose(found, expected.min(1))
    np.testing.assert_array_equal(where, expected.argmin(1))
    _, others = metrics.nearest(x, x, skip_same=True)
    assert all(other != i for i, other in enumerate(others))


def test_pixel_distance_is_the_root_mean_square_error() -> None:
    black, grey = np.zeros((1, 4, 4, 3), np.uint8), np.full((1, 4, 4, 3), 51, np.uint8)
    distance, _ = metrics.nearest(metrics.pixels(black), metrics.pixels(grey))
    assert distance[0] == pytest.approx(0.2)


def test_sharpness_of_flat_ramped_and_spotted_pictures() -> None:
    flat = np.full((5, 5, 3), 100, np.uint8)
    ramp = np.broadcast_to((np.arange(5) * 20)[None, :, None], (5, 5, 3)).astype(np.uint8)
    spot = np.zeros((5, 5, 3), np.uint8)
    spot[2, 2] = 255
    found = metrics.sharpness(np.stack([flat, ramp, spot]))
    assert found[:2] == pytest.approx([0, 0], abs=1e-12)
    # The 3x3 Laplacian holds -4 once, 1 four times, 0 four times: mean 0, variance 20 / 9.
    assert found[2] == pytest.approx(20 / 9)


def test_intervals_of_means_and_shares() -> None:
    mean = metrics.bootstrap_mean(rng().normal(5, 2, 400), rng())
    assert mean.low < 5 < mean.high
    assert mean.high - mean.low == pytest.approx(2 * 1.96 * 2 / 20, rel=0.25)
    none = metrics.share(np.zeros(50, bool))
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(1.96**2 / (50 + 1.96**2))


@pytest.mark.parametrize("shape", [(1, 4), (5, 3)])
def test_sets_that_cannot_be_compared_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"samples a side|equal width"):
        metrics.kid(np.zeros(shape), np.zeros((5, 4)), rng())


def test_too_few_for_neighbours_is_refused() -> None:
    with pytest.raises(ValueError, match="5 neighbours"):
        metrics.prdc(np.zeros((5, 2)), np.zeros((9, 2)))


def exact(x_ND: np.ndarray) -> np.ndarray:
    """The same samples with mean 0 and covariance 1."""
    centred = x_ND - x_ND.mean(0)
    return centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred.T)).T)
