"""Bits per byte, distinct-n and their intervals, by hand-made numbers."""

import math
import re

import numpy as np
import pytest

from genwright.metrics.text import bits_per_byte, distinct_n, equal_words, share, shuffled_words, words, words_in_lines


def test_bits_per_byte_is_exact():
    score = bits_per_byte(np.array([math.log(2) * 8, math.log(2) * 24]), np.array([4, 12]))
    assert score.value == pytest.approx(2.0)
    assert score.n == 2  # texts, for they are what the interval is drawn over
    assert score.low == score.high == pytest.approx(2.0)


def test_bits_per_byte_weighs_blocks_by_their_bytes():
    score = bits_per_byte(np.array([10.0, 100.0]) * math.log(2), np.array([10, 50]))
    assert score.value == pytest.approx(110 / 60)
    assert score.low is not None and score.high is not None
    assert score.low == pytest.approx(1.0) and score.high == pytest.approx(2.0)


def test_no_bytes_is_an_error():
    with pytest.raises(ValueError, match="no bytes"):
        bits_per_byte(np.array([1.0]), np.array([0]))


def test_words():
    assert words("Don't go, Romeo! 床前") == ["don't", "go", ",", "romeo", "!", "床", "前"]


def test_distinct_n_counts_over_all_texts_together():
    texts = [["a", "b", "a"], ["a", "b", "c"]]
    assert distinct_n(texts, 1).value == pytest.approx(3 / 6)
    assert distinct_n(texts, 2).value == pytest.approx(3 / 4)  # ab, ba, ab, bc
    assert distinct_n(texts, 3).value == pytest.approx(2 / 2)
    assert distinct_n(texts, 1).n == 6


def test_distinct_n_of_nothing():
    assert distinct_n([[]], 2).value == 0


def test_the_interval_of_distinct_n_holds_its_value_and_narrows_with_more_text():
    rng = np.random.default_rng(0)

    def sample(count: int) -> list[list[str]]:
        return [[str(word) for word in rng.integers(30, size=8)] for _ in range(count)]

    few, many = distinct_n(sample(20), 2), distinct_n(sample(400), 2)
    for score in (few, many):
        assert score.low is not None and score.high is not None
        assert score.low <= score.value <= score.high
    assert few.high - few.low > many.high - many.low  # type: ignore[operator]


def test_collections_are_cut_to_one_size():
    first, second = equal_words([["a b c d", "e f"], ["g h", "i j k", "l"]])
    assert first == [["a", "b"], ["e", "f"]]
    assert second == [["g", "h"], ["i", "j"]]


def test_share():
    score = share(np.array([1, 0]), np.array([10, 10]))
    assert (score.value, score.n, score.low, score.high) == (0.05, 20, 0.0, 0.1)
    assert share(np.array([0]), np.array([0])).value == 0


def test_shuffled_words_stay_in_their_line_and_between_the_same_spaces() -> None:
    text = "one two,  three four five\n\n\tsix seven eight nine\n"
    found = shuffled_words(text, np.random.default_rng(0))
    assert found != text and len(found) == len(text)
    for line, was in zip(found.split("\n"), text.split("\n"), strict=True):
        assert sorted(line.split()) == sorted(was.split())
    assert [len(gap) for gap in re.findall(r"\s+", found)] == [len(gap) for gap in re.findall(r"\s+", text)]
    poem = shuffled_words("床前明月光疑是地上霜", np.random.default_rng(0))
    assert poem != "床前明月光疑是地上霜" and sorted(poem) == sorted("床前明月光疑是地上霜")
    assert words_in_lines("Ada\nGrace\n") == 0 and words_in_lines(text) == 1


def test_a_share_of_few_texts_that_are_all_alike_has_an_interval() -> None:
    none, all_of_them = (share(np.array([hits] * 3), np.ones(3)) for hits in (0, 1))
    assert none.value == 0 == none.low and none.high is not None and none.high > 0.4
    assert all_of_them.value == 1 and all_of_them.low is not None and all_of_them.low < 0.6
    assert share(np.zeros(200), np.ones(200)).high == 0
