"""How a score is said: everywhere by one rule, and never as a ± that is wrong."""

from __future__ import annotations

import pytest

from genwright.compare.numbers import Measured, cell
from genwright.pages.charts import number
from genwright.scores import Metric, Row, Score, ScoreSheet, figure, shown, span


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (5.29, 2.07, 5.62, "5.29 (2.07 to 5.62)"),
        (0.031, 0.028, 0.034, "0.031 ±0.003"),
        (0.031, 0.0281, 0.0343, "0.031 ±0.0031"),  # arms of 0.0029 and 0.0033: the short form says nothing wrong
        (0.031, 0.028, 0.035, "0.031 (0.028 to 0.035)"),
        (0.0, 0.0, 0.16, "0 (0 to 0.16)"),
        (1.0, 1.0, 1.0, "1"),
        (2.0, None, None, "2"),
        (2.0, 1.0, None, "2"),
        (3.0, 1.0, 2.0, "3 (1 to 2)"),  # a value outside of its interval has no arms
        (12_345.0, 12_000.0, 15_000.0, "12,300 (12,000 to 15,000)"),
    ],
)
def test_a_lopsided_interval_is_said_by_its_ends(value: float, low: float | None, high: float | None, said: str):
    assert shown(value, low, high) == said


def test_an_interval_without_width_is_none():
    assert span(1.0, 1.0) == span(None, 2.0) == span(1.0, 1.0 + 1e-9) == ""
    assert span(0.5, 0.75) == "0.5 to 0.75"
    assert span(2070, 5620, number) == "2,070 to 5,620"
    assert figure(float("inf")) == "inf"


def test_terminal_and_comparison_say_the_same():
    score = Score(value=5.29, low=2.07, high=5.62, n=2)
    row = Row(name="model", title="this model", kind="model", scores={"bits": score})
    sheet = ScoreSheet(metrics=[Metric(name="bits", title="bits")], rows=[row], protocol={})
    assert cell(Measured(value=5.29, low=2.07, high=5.62, runs=[5.29])) == "5.29 (2.07 to 5.62)"
    assert "5.29 (2.07 to 5.62)" in str(sheet)
    assert row.cell("another") == ""
