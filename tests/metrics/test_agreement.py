"""Two linear maps between texts and pictures, and retrieval through them."""

from __future__ import annotations

import numpy as np
import pytest

from genwright.metrics.agreement import AMONG, Maps, chance, fit, retrieval


def pairs(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts and pictures that share eight hidden numbers, each seen through a matrix of its own and in noise."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(99)
    hidden = rng.standard_normal((count, 8))
    text = hidden @ fixed.standard_normal((8, 40)) + 0.5 * rng.standard_normal((count, 40))
    return text, hidden @ fixed.standard_normal((8, 60)) + 0.5 * rng.standard_normal((count, 60))


@pytest.fixture(scope="module")
def maps() -> Maps:
    return fit(*pairs(150, seed=0))


def test_true_pairs_are_found_again_and_shuffled_ones_by_chance(maps: Maps) -> None:
    text, picture = pairs(200, seed=1)
    places, rng = (maps.picture(picture), maps.text(text)), np.random.default_rng(0)
    true = retrieval(*places, range(200), rng)
    assert true.value > 0.9 and true.low <= true.value <= true.high
    shuffled = retrieval(*places, [(i + 7) % 200 for i in range(200)], rng)
    assert shuffled.value < 5 * chance(200) < true.low


def test_more_pairs_make_better_maps_and_the_fit_has_no_chance_in_it() -> None:
    text, picture = pairs(200, seed=1)

    def value(count: int) -> float:
        made = fit(*pairs(count, seed=0))
        return retrieval(made.picture(picture), made.text(text), range(200), np.random.default_rng(0)).value

    assert value(12) < value(150) and value(150) == value(150)


def test_among_a_hundred_is_the_mean_over_all_draws() -> None:
    """Of 301 texts three are nearer than its own: the chance that none of them is among 99 others."""
    score = np.zeros(301)
    score[:4] = [0.5, 0.9, 0.8, 0.7]
    texts = np.stack([score, np.sqrt(1 - score**2)], 1)
    found = retrieval(np.array([[1.0, 0.0]]), texts, [0], np.random.default_rng(0))
    rng = np.random.default_rng(1)
    drawn = [not np.isin([1, 2, 3], rng.choice(np.arange(1, 301), AMONG - 1, replace=False)).any() for _ in range(4000)]
    assert found.value == pytest.approx(np.mean(drawn), abs=0.03)


def test_pictures_of_one_text_count_as_one() -> None:
    texts = np.eye(4)
    pictures = np.array([texts[0], texts[0], texts[0], texts[3]])
    assert retrieval(pictures, texts, [0, 0, 0, 1], np.random.default_rng(0)).value == 0.5


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="three pairs or more"):
        fit(np.zeros((2, 3)), np.zeros((2, 3)))
