"""Variety within a prompt tells who ignores the noise, who ignores the prompt, and who does neither."""

import numpy as np
import pytest

from genwright.metrics.variety import Grams, sizes, text_distance, variety


def euclid(one, two) -> float:
    return float(np.linalg.norm(one - two))


def generated(prompt: float, noise: float, groups: int = 20, each: int = 6) -> list[np.ndarray]:
    """Samples of prompts that lie `prompt` apart, with noise of the width `noise`."""
    rng = np.random.default_rng(0)
    centres = prompt * rng.standard_normal((groups, 1, 30))
    return list(centres + noise * rng.standard_normal((groups, each, 30)))


def test_a_generator_that_ignores_its_noise_is_at_0():
    score = variety(generated(1, 0), euclid, 0)
    assert (score.value, score.low, score.high) == (0, 0, 0)
    assert score.n == 120


def test_a_generator_that_ignores_its_prompt_is_at_1():
    score = variety(generated(0, 1), euclid, 0)
    assert score.value == pytest.approx(1, abs=0.02)
    assert score.low < 1 < score.high


def test_one_that_heeds_both_stands_between_and_the_interval_holds_it():
    """Distances of normal vectors grow with the root of the variances: sqrt(1 / (1 + 1)) between equal parts of both."""
    score = variety(generated(1, 1), euclid, 0)
    assert score.value == pytest.approx(0.5**0.5, abs=0.03)
    assert score.low < 0.5**0.5 < score.high
    assert score.high - score.low < 0.15


def test_prompts_may_have_unequal_numbers_of_samples():
    groups = [group[: 2 + index % 5] for index, group in enumerate(generated(1, 1))]
    assert variety(groups, euclid, 0).value == pytest.approx(0.5**0.5, abs=0.05)


def test_by_hand():
    score = variety([[0.0, 1.0], [10.0, 13.0]], lambda a, b: abs(a - b), 0)
    assert score.value == pytest.approx(((1 + 3) / 2) / ((10 + 12) / 2))


@pytest.mark.parametrize("groups", [[], [[1.0, 2.0]], [[1.0, 2.0], [3.0]]])
def test_too_few_are_refused(groups):
    with pytest.raises(ValueError, match="two prompts or more"):
        variety(groups, lambda a, b: abs(a - b), 0)


def test_numbers_follow_what_the_evaluation_looks_at():
    assert sizes(500) == (22, 8)
    assert sizes(50) == (7, 4)
    assert sizes(2) == (2, 2)
    assert all(np.prod(sizes(n)) < n for n in (200, 500, 5000))


def test_text_distance_is_1_minus_the_mean_of_rouge_1_and_2():
    one, two = Grams("the cat sat on the mat"), Grams("the cat lay on a mat")
    # 4 of 6 words and 1 of 5 pairs in common
    assert text_distance(one, two) == pytest.approx(1 - (4 / 6 + 1 / 5) / 2)
    assert text_distance(one, Grams("The cat sat on the mat")) == 0
    assert text_distance(one, Grams("床前明月光")) == 1
    assert text_distance(Grams("床前明月光"), Grams("床前明月")) == pytest.approx(1 - (8 / 9 + 6 / 7) / 2)
    assert text_distance(Grams(""), Grams("")) == 0


def test_texts_that_repeat_themselves_are_told_from_a_healthy_sampler():
    rng = np.random.default_rng(1)
    subjects = [[f"{letter}{i}" for i in range(40)] for letter in "abcdefghij"]

    def written(words):
        return Grams(" ".join(rng.choice(words, 30)))

    everything = [word for words in subjects for word in words]
    healthy = [[written(words) for _ in range(5)] for words in subjects]
    deaf = [[written(everything) for _ in range(5)] for _ in subjects]
    stuck = [[written(words)] * 5 for words in subjects]
    values = [variety(groups, text_distance, 0).value for groups in (stuck, healthy, deaf)]
    assert values[0] == 0
    assert 0.3 < values[1] < 0.9
    assert values[2] == pytest.approx(1, abs=0.03)
