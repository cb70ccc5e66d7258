"""Charts as static SVG: lines, histograms, stacked bars and rows of dots with intervals.

Every function returns the text of one <svg> whose colours are CSS variables (`--ink`, `--faint`, `--tone-1`, ...), so that a
chart follows the page into dark mode; `standalone` adds the variables for a file of its own. Everything that comes from
outside is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import escape

Point = tuple[float, float]

LIGHT = {
    "paper": "#fbfaf7", "card": "#ffffff", "ink": "#1d1c1a", "soft": "#5d5a54", "faint": "#dedad2", "rule": "#e9e5dd",
    "tone-1": "#b4421b", "tone-2": "#1d6b74", "tone-3": "#8a6a12", "tone-4": "#6b4fa0", "tone-5": "#3d7a3a", "tone-6": "#75716a",
}  # fmt: skip
DARK = {
    "paper": "#151412", "card": "#1e1c19", "ink": "#f1eee8", "soft": "#aea99f", "faint": "#3b3833", "rule": "#2c2a26",
    "tone-1": "#f0875a", "tone-2": "#5cbcc6", "tone-3": "#d9b24a", "tone-4": "#b59be6", "tone-5": "#86c77f", "tone-6": "#9d988e",
}  # fmt: skip
"""Colours of both modes: text at 4.5:1 or more on paper and card, marks at 3:1 or more (held by a test)."""

TONES = {"floor": 6, "baseline": 3, "copy": 4, "model": 1, "real": 2}
"""The tone of each kind of row in a score sheet, the same on every chart and page."""

_FONT = 11.5
_CHAR = 6.1
"""Width of a character at that size, on the wide side."""


@dataclass
class Series:
    """One line. `band` holds (x, low, high) behind it."""

    name: str
    points: list[Point]
    tone: int = 1
    dots: bool = False
    band: list[tuple[float, float, float]] = field(default_factory=list)


@dataclass
class DotRow:
    """One thing that was measured: a dot at `value`, a line from `low` to `high` where an interval is known."""

    title: str
    value: float
    low: float | None = None
    high: float | None = None
    tone: int = 1
    strong: bool = False
    text: str = ""
    points: Sequence[float] = ()
    """The single runs behind a mean, drawn as small ticks."""


def number(value: float) -> str:
    """A figure for people: three or four significant digits, 12.3k, 4.5M; "n/a" where it is not finite."""
    if not math.isfinite(value):
        return "n/a"
    size = abs(value)
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit * 0.9995:
            scaled = value / (1e3 if unit == "k" else limit)
            return f"{scaled:.3g}{unit}" if abs(scaled) < 1000 else f"{scaled:,.0f}{unit}"
    if float(value).is_integer():
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:,.1f}"
    if size >= 1:
        return f"{value:.3g}" if size >= 10 else f"{value:.3f}".rstrip("0").rstrip(".")
    if size >= 0.0001:
        return f"{value:.3g}" if size >= 0.001 else f"{value:.2g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa.removesuffix('.0')}e{int(exponent)}"


def ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round values that cover most of [low, high]: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if raw <= m * power * 1.0001)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def thin(name: str, points: Sequence[Point], tone: int, buckets: int = 140) -> Series:
    """A series short enough to draw: beyond `buckets` points, the mean of each stretch and behind it the stretch's range."""
    clean = [(float(x), float(y)) for x, y in points if math.isfinite(x) and math.isfinite(y)]
    if len(clean) <= buckets:
        return Series(name, clean, tone)
    line, band = [], []
    for i in range(buckets):
        part = clean[i * len(clean) // buckets : (i + 1) * len(clean) // buckets]
        ys = [y for _, y in part]
        x = sum(x for x, _ in part) / len(part)
        line.append((x, sum(ys) / len(ys)))
        band.append((x, min(ys), max(ys)))
    return Series(name, line, tone, band=band)


def line_chart(
    series: Sequence[Series], *, title: str, x_title: str = "step", width: int = 300, height: int = 210, mark: float | None = None, mark_title: str = ""
) -> str:  # fmt: skip
    """Lines over a common x. The range of y leaves out the farthest points, so that one spike does not flatten the rest.

    The attribute `data-x` (first and last x, their places, top and bottom) lets the page put a cursor on the chart.
    """
    drawn = [s for s in series if s.points]
    if not drawn:
        return ""
    left, right, top, bottom = 46, 10, 26 if len(drawn) > 1 else 10, 34
    xs = [x for s in drawn for x, _ in s.points]
    y_low, y_high = _range(
        [y for s in drawn for _, y in s.points], [y for s in drawn for _, *edges in s.band for y in edges]
    )
    x_low, x_high = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1

    def px(x: float) -> float:
        return left + (x - x_low) / (x_high - x_low) * (width - left - right)

    def py(y: float) -> float:
        share = (min(max(y, y_low), y_high) - y_low) / (y_high - y_low)
        return height - bottom - share * (height - top - bottom)

    parts = [_y_axis(y_low, y_high, py, left, width - right)]
    parts += [_text(px(t), height - bottom + 16, number(t), anchor="middle") for t in ticks(x_low, x_high, width // 58)]
    parts.append(_text(width - right, height - 4, x_title, anchor="end"))
    if mark is not None and x_low <= mark <= x_high:
        parts.append(_mark(px(mark), top, height - bottom, mark_title, width - right))
    for s in drawn:
        if s.band:
            edge = [(px(x), py(high)) for x, _, high in s.band] + [(px(x), py(low)) for x, low, _ in reversed(s.band)]
            parts.append(f'<polygon points="{_path(edge)}" fill="var(--tone-{s.tone})" opacity="0.16"/>')
        points = [(px(x), py(y)) for x, y in s.points]
        if len(points) > 1:
            parts.append(f'<polyline points="{_path(points)}" fill="none" stroke="var(--tone-{s.tone})" stroke-width="1.8" stroke-linejoin="round"/>')  # fmt: skip
        if s.dots or len(points) == 1:
            parts += [_dot(p, q, s.tone, 2.6, f"{s.name} {number(y)} at {x_title} {number(x)}") for (p, q), (x, y) in zip(points, s.points, strict=True)]  # fmt: skip
    if len(drawn) > 1:
        parts.append(_legend([(s.name, s.tone) for s in drawn], left, width))
    spoken = "; ".join(f"{s.name}: from {number(s.points[0][1])} to {number(s.points[-1][1])}" for s in drawn)
    scale = f' data-x="{x_low:g} {x_high:g} {left} {width - right} {top} {height - bottom}"'
    return _svg(parts, width, height, f"{title}. {spoken}.", scale)


def histogram(
    bins: Sequence[tuple[str, int]], *, title: str, width: int = 300, height: int = 170, tone: int = 2
) -> str:
    """Bars of counts; a label stands under as many bars as have room for it."""
    if not bins:
        return ""
    left, right, top, bottom = 46, 10, 10, 24
    high = max(count for _, count in bins) or 1

    def py(y: float) -> float:
        return height - bottom - y / high * (height - top - bottom)

    parts = [_y_axis(0, high, py, left, width - right, whole=True)]
    step = (width - left - right) / len(bins)
    room = max(1, math.ceil(max(len(label) for label, _ in bins) * _CHAR * 1.25 / step))
    for i, (label, count) in enumerate(bins):
        x = left + i * step
        if count:
            parts.append(
                f'<rect x="{x + 1:.1f}" y="{py(count):.1f}" width="{max(step - 2, 1):.1f}" height="{max(height - bottom - py(count), 1):.1f}" '
                f'rx="1.5" fill="var(--tone-{tone})"><title>{escape(label)}: {count:,}</title></rect>'
            )
        if i % room == 0:
            parts.append(_text(x + step / 2, height - bottom + 16, label, anchor="middle"))
    spoken = ", ".join(f"{label}: {count}" for label, count in bins if count)
    return _svg(parts, width, height, f"{title}: {spoken}.")


def stacked_bar(parts: Sequence[tuple[str, int, int]], *, title: str, width: int = 680, height: int = 30) -> str:
    """One bar of (name, count, tone) laid end to end; the key belongs beside it, in the page."""
    total = sum(count for _, count, _ in parts)
    if not total:
        return ""
    shapes, x = [], 0.0
    for name, count, tone in parts:
        if not count:
            continue
        size = count / total * width
        label = f"{escape(name)}: {count:,} ({count / total:.1%})"
        shapes.append(f'<rect x="{x:.2f}" y="0" width="{max(size - 2, 1.2):.2f}" height="{height}" rx="3" fill="var(--tone-{tone})"><title>{label}</title></rect>')  # fmt: skip
        x += size
    spoken = ", ".join(f"{name} {count}" for name, count, _ in parts)
    return _svg(shapes, width, height, f"{title}: {spoken}.", ' preserveAspectRatio="none"')


def dot_rows(rows: Sequence[DotRow], *, title: str, width: int = 300, row_height: int = 38) -> str:
    """Rows of dots with intervals on one axis: the name above each track, the figure at its right end."""
    finite = [r for r in rows if math.isfinite(r.value)]
    if not finite:
        return ""
    left, right, top, bottom = 2, 66, 2, 22
    values = [v for r in finite for v in (r.value, r.low, r.high, *r.points) if v is not None and math.isfinite(v)]
    low, high = min(values), max(values)
    if low > 0 and low < 0.6 * high:
        low = 0.0
    pad = (high - low or abs(high) or 1) * 0.05
    low, high = (low if low == 0 else low - pad), high + pad
    height = top + row_height * len(finite) + bottom

    def px(x: float) -> float:
        return left + 6 + (x - low) / (high - low) * (width - left - right - 12)

    parts = []
    for tick in ticks(low, high, 3):
        parts.append(
            f'<line x1="{px(tick):.1f}" x2="{px(tick):.1f}" y1="{top + 18}" y2="{height - bottom}" stroke="var(--rule)"/>'
        )
        parts.append(_text(px(tick), height - 6, number(tick), anchor="middle"))
    for i, row in enumerate(finite):
        y = top + row_height * i + 25
        weight = "650" if row.strong else "400"
        name = row.title if len(row.title) * _CHAR < width - 4 else row.title[: int(width / _CHAR) - 2] + "…"
        parts.append(_text(left, y - 13, name, weight=weight, ink=row.strong))
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{y}" y2="{y}" stroke="var(--faint)"/>')
        if row.low is not None and row.high is not None:
            parts.append(
                f'<line x1="{px(row.low):.1f}" x2="{px(row.high):.1f}" y1="{y}" y2="{y}" stroke="var(--tone-{row.tone})" stroke-width="5" stroke-linecap="round" opacity="0.38"/>'
            )
        parts += [
            f'<line x1="{px(v):.1f}" x2="{px(v):.1f}" y1="{y - 7}" y2="{y + 7}" stroke="var(--tone-{row.tone})" stroke-width="1.4"/>'
            for v in row.points
        ]
        parts.append(_dot(px(row.value), y, row.tone, 5.5 if row.strong else 4.2, f"{row.title}: {number(row.value)}"))
        parts.append(_text(width - right + 8, y + 4, row.text or number(row.value), weight=weight, ink=True))
    spoken = ", ".join(f"{r.title} {number(r.value)}" for r in finite)
    return _svg(parts, width, height, f"{title}: {spoken}.")


def standalone(svg: str) -> str:
    """The same chart as a file: with its colours, a background, and dark mode by the viewer's preference."""

    def variables(colours: dict[str, str]) -> str:
        return "".join(f"--{name}:{value};" for name, value in colours.items())

    style = (
        f"<style>svg{{{variables(LIGHT)}background:var(--paper);font-family:system-ui,sans-serif}}"
        f"@media(prefers-color-scheme:dark){{svg{{{variables(DARK)}}}}}</style>"
    )
    head, rest = svg.split(">", 1)
    return f"{head}>{style}{rest}\n"


def _range(values: Sequence[float], edges: Sequence[float]) -> tuple[float, float]:
    """What y must cover: the middle 98 % of the line and nine tenths of the band behind it."""

    def middle(numbers: Sequence[float], share: float) -> tuple[float, float]:
        ordered = sorted(numbers)
        cut = int(len(ordered) * share)
        return ordered[cut], ordered[-1 - cut]

    low, high = middle(values, 0.01)
    if edges:
        band_low, band_high = middle(edges, 0.05)
        low, high = min(low, band_low), max(high, band_high)
    pad = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (0.0 if low >= 0 > low - pad else low - pad), high + pad


def _y_axis(low: float, high: float, py, left: float, end: float, whole: bool = False) -> str:
    lines = []
    for tick in ticks(low, high):
        if whole and not float(tick).is_integer():
            continue
        lines.append(f'<line x1="{left}" x2="{end}" y1="{py(tick):.1f}" y2="{py(tick):.1f}" stroke="var(--rule)"/>')
        lines.append(_text(left - 7, py(tick) + 4, number(tick), anchor="end"))
    return "".join(lines)


def _mark(x: float, top: float, bottom: float, title: str, end: float) -> str:
    anchor, shift = ("end", -5) if x > end / 2 else ("start", 5)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}" stroke="var(--soft)" stroke-dasharray="2 3"/>'
        + _text(x + shift, top + 10, title, anchor=anchor)
    )


def _legend(names: Sequence[tuple[str, int]], left: float, width: float) -> str:
    parts, x = [], left
    for name, tone in names:
        if x + 14 + len(name) * _CHAR > width + 8:
            break
        parts.append(f'<rect x="{x:.1f}" y="4" width="10" height="10" rx="2.5" fill="var(--tone-{tone})"/>')
        parts.append(_text(x + 14, 13, name))
        x += 28 + len(name) * _CHAR
    return "".join(parts)


def _dot(x: float, y: float, tone: int, radius: float, title: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="var(--tone-{tone})"><title>{escape(title)}</title></circle>'


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", weight: str = "400", ink: bool = False, size: float = _FONT
) -> str:
    colour = "ink" if ink else "soft"
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="var(--{colour})">{escape(text)}</text>'


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _svg(parts: Sequence[str], width: float, height: float, spoken: str, more: str = "") -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(spoken)}"{more}>'
        + "".join(parts)
        + "</svg>"
    )
