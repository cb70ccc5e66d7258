"""Metrics from outside the package stand in the score sheets of their medium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from genwright.errors import RequestError
from genwright.metrics import extra
from genwright.registry import METRICS, Entry
from genwright.scores import Metric, Row, Score, ScoreSheet


class Length:
    name, title, medium, better, unit = "length", "mean length", "text", "none", "characters"

    def __call__(self, generated: list[str], reference: list[str]) -> float:
        return sum(map(len, generated)) / len(generated)


class Broken:
    name, title, medium, better = "broken", "broken", "text", "lower"

    def __call__(self, generated: list[str], reference: list[str]) -> float:
        raise ZeroDivisionError("no words")


class NoMetric:
    title = "nothing else"


made = Length()


@pytest.fixture
def register() -> Iterator[Any]:
    added: list[str] = []

    def add(name: str, attribute: str) -> None:
        METRICS.register(name, Entry(f"{__name__}:{attribute}"))
        added.append(name)

    yield add
    for name in added:
        METRICS.unregister(name)


def sheet() -> ScoreSheet:
    rows = [Row(name=name, title=name, kind=name, scores={"bits": Score(value=1.0)}) for name in ("model", "real")]  # type: ignore[arg-type]
    return ScoreSheet(metrics=[Metric(name="bits", title="bits", description="")], rows=rows, protocol={}, headline="")


@pytest.mark.parametrize("attribute", ["Length", "made"])
def test_a_class_or_an_object_scores_every_row(register: Any, attribute: str) -> None:
    register("length", attribute)
    scored = sheet()
    extra.extend(scored, "text", {"model": ["ab", "abcd"], "real": ["a"]}, ["x"])
    assert [metric.name for metric in scored.metrics] == ["bits", "length"]
    assert scored.metrics[1].unit == "characters"
    assert scored.row("model").scores["length"] == Score(value=3.0, n=2)
    assert scored.row("real").scores["length"].value == 1.0


def test_other_media_and_rows_without_samples_are_left_alone(register: Any) -> None:
    register("length", "Length")
    scored = sheet()
    extra.extend(scored, "image", {"model": ["a"]}, [])
    assert len(scored.metrics) == 1
    extra.extend(scored, "text", {"model": ["a"]}, [])
    assert "length" not in scored.row("real").scores


def test_a_metric_that_fails_costs_its_number_only(register: Any, capsys: pytest.CaptureFixture[str]) -> None:
    register("broken", "Broken")
    register("length", "Length")
    scored = sheet()
    extra.extend(scored, "text", {"model": ["a"], "real": ["b"]}, [])
    assert "broken" not in scored.row("model").scores
    assert "length" in scored.row("model").scores
    assert "no words" in capsys.readouterr().err


def test_what_is_no_metric_is_named(register: Any) -> None:
    register("nothing", "NoMetric")
    with pytest.raises(RequestError, match=r"'nothing' has no name and no medium and no better"):
        extra.registered("text")
