"""Scores of filled holes, by hand."""

import pytest

from genwright.metrics import code


def test_exact_match_forgives_white_space_at_the_end_alone():
    score = code.exact(["return x  ", " return x", "return y"], ["return x", "return x", "return y\n"])
    assert score.value == pytest.approx(2 / 3) and score.n == 3 and 0 <= score.low <= score.high <= 1


def test_edit_similarity_is_one_minus_distance_over_length():
    # kitten -> sitting: three edits, the longer one has seven letters.
    assert code.edit_similarity(["kitten"], ["sitting"]).value == pytest.approx(1 - 3 / 7)
    assert code.edit_similarity(["a", ""], ["a", "bc"]).value == pytest.approx(0.5)


def test_parses_counts_whole_files():
    assert code.parses(["x = 1\n", "def f(:\n", "if x:\n    pass\n", "\0"]).value == pytest.approx(0.5)
