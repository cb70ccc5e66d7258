"""The charts' arithmetic."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from genwright.pages import charts
from genwright.pages.charts import DotRow, Series

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (1234, "1,234"), (12_345, "12.3k"), (4_500_000, "4.5M"), (3.2e13, "32T"), (0.0314, "0.0314"), (0.0004, "0.0004"),
     (0.00003, "3e-5"), (-2.5, "-2.5"), (2.0612, "2.061"), (118.04, "118.0"), (float("nan"), "n/a"), (999_600, "1M")],
)  # fmt: skip
def test_numbers_for_people(value: float, words: str):
    assert charts.number(value) == words


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.5, 1]), (0, 1800, [0, 500, 1000, 1500]), (0.57, 1.23, [0.6, 0.8, 1, 1.2]), (5, 5, [5])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]):
    assert charts.ticks(low, high) == expected


def test_thinning_keeps_the_mean_and_the_range():
    points = [(float(i), float(i % 2)) for i in range(1400)]
    series = charts.thin("x", points, 1, buckets=140)
    assert len(series.points) == 140
    assert all(y == pytest.approx(0.5) for _, y in series.points)
    assert {(low, high) for _, low, high in series.band} == {(0.0, 1.0)}


def test_thinning_leaves_out_what_is_not_finite():
    assert charts.thin("x", [(1, 2.0), (2, float("nan")), (3, float("inf"))], 1).points == [(1.0, 2.0)]


def test_a_line_goes_through_its_points():
    svg = ET.fromstring(charts.line_chart([Series("loss", [(0, 0.0), (50, 5.0), (100, 10.0)])], title="t"))
    x_low, x_high, left, right, _, _ = (float(v) for v in svg.attrib["data-x"].split())
    line = svg.find(f"{SVG}polyline")
    assert line is not None
    points = [tuple(map(float, p.split(","))) for p in line.attrib["points"].split()]
    assert (x_low, x_high) == (0, 100)
    assert [x for x, _ in points] == pytest.approx([left, (left + right) / 2, right], abs=0.06)
    heights = [y for _, y in points]
    assert heights[0] > heights[1] > heights[2]
    assert heights[1] == pytest.approx((heights[0] + heights[2]) / 2, abs=0.06)


def test_dots_and_intervals_stand_where_the_axis_says():
    rows = [DotRow("floor", 10.0), DotRow("model", 5.0, 4.0, 6.0, strong=True)]
    svg = ET.fromstring(charts.dot_rows(rows, title="t"))
    floor, model = (float(dot.attrib["cx"]) for dot in svg.iter(f"{SVG}circle"))
    zero = next(float(t.attrib["x"]) for t in svg.iter(f"{SVG}text") if t.text == "0")
    assert (model - zero) / (floor - zero) == pytest.approx(0.5, abs=0.01)
    bar = next(line for line in svg.iter(f"{SVG}line") if line.attrib.get("stroke-width") == "5")
    assert float(bar.attrib["x1"]) < model < float(bar.attrib["x2"])


def test_a_stacked_bars_parts_have_their_shares():
    svg = ET.fromstring(charts.stacked_bar([("a", 3, 1), ("b", 1, 2), ("none", 0, 3)], title="t", width=400))
    places = [(float(r.attrib["x"]), float(r.attrib["width"])) for r in svg.iter(f"{SVG}rect")]
    assert places == [(0.0, 298.0), (300.0, 98.0)]


@pytest.mark.parametrize("draw", [
    lambda name: charts.line_chart([Series(name, [(0, 1.0), (1, 2.0)], dots=True), Series("b", [(0, 1.0)])], title=name),
    lambda name: charts.histogram([(name, 3)], title=name),
    lambda name: charts.stacked_bar([(name, 3, 1)], title=name),
    lambda name: charts.dot_rows([DotRow(name, 1.0, text=name)], title=name),
])  # fmt: skip
def test_names_are_escaped(draw):
    svg = draw('"><script>x</script>&')
    assert "<script>" not in svg
    ET.fromstring(svg)


def test_nothing_to_draw_is_no_chart():
    assert charts.line_chart([Series("loss", [])], title="t") == ""
    assert charts.histogram([], title="t") == ""
    assert charts.stacked_bar([("a", 0, 1)], title="t") == ""
    assert charts.dot_rows([DotRow("a", float("nan"))], title="t") == ""


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [charts.LIGHT, charts.DARK], ids=["light", "dark"])
def test_colours_can_be_told_from_their_ground(colours: dict[str, str]):
    for ground in ("paper", "card"):
        for name, least in {"ink": 7, "soft": 4.5, **{f"tone-{i}": 3 for i in range(1, 7)}}.items():
            light, dark = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= least, (name, ground)
