"""How a comparison is shown: a table for the terminal, one picture, and a page in the report's style."""

from __future__ import annotations

import re
import textwrap
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from genwright.compare.facts import RunFacts
from genwright.compare.numbers import ASPECTS, Comparison, Measured, build, cell, cost_rows, facts_of, save_json
from genwright.console import SideBySide
from genwright.errors import RequestError
from genwright.pages import charts
from genwright.pages.charts import TONES, DotRow, number
from genwright.pages.page import picture, render
from genwright.run import write_atomic
from genwright.scores import ARROWS, Metric, figure

if TYPE_CHECKING:
    from rich.console import RenderableType

GROUP_TONES = (1, 2, 3, 4, 5)
_PANEL, _COLUMN = 300, 320


def compare(folders: Sequence[Path], out: Path) -> Comparison:
    """Compare runs and write the page, the picture and the numbers into `out`. Raises RequestError as `facts_of` and `write` do."""
    facts = facts_of(folders)
    return write(build(facts), facts, out)


def write(comparison: Comparison, facts: Sequence[RunFacts], out: Path) -> Comparison:
    """Write NAME.html, NAME.svg and NAME.json into `out`, by a name of their own: earlier pages stay. Raises RequestError when they can't
    be written there."""
    name = _name(comparison, out)
    comparison = comparison.model_copy(update={"page": str(out / f"{name}.html"), "picture": str(out / f"{name}.svg")})
    samples = [_samples(next(f for f in facts if f.run.name == g.runs[0])) for g in comparison.groups]
    try:
        out.mkdir(parents=True, exist_ok=True)
        save_json(comparison, out / f"{name}.json")
        write_atomic(Path(comparison.picture), draw(comparison, samples))
        page = render(
            "compare.html.j2",
            comparison=comparison,
            samples=samples,
            panels={
                a: [(m, svg) for m, svg in panels(comparison) if comparison.aspects[m.name] == a] for a, _ in ASPECTS
            },
            stability=stability_sentence(comparison),
            aspects=ASPECTS,
            tones=[_tone(i) for i in range(len(comparison.groups))],
            costs=cost_rows(comparison),
            cell=cell,
            arrows=ARROWS,
            written=time.strftime("%Y-%m-%d %H:%M"),
        )
        write_atomic(Path(comparison.page), page)
    except OSError as error:
        raise RequestError(f"--out {out}: can't be written ({error.strerror}); name a folder that can be.") from error
    return comparison


def _name(comparison: Comparison, out: Path) -> str:
    """The groups' names, numbered from the second time on."""
    groups = "-and-".join(re.sub(r"[^\w.]+", "-", group.name).strip("-.") for group in comparison.groups)[:80]
    names = (groups if number == 1 else f"{groups}-{number}" for number in count(1))
    return next(
        name for name in names if not any((out / f"{name}{end}").exists() for end in (".html", ".svg", ".json"))
    )


def terminal(comparison: Comparison) -> RenderableType:
    """Metrics down, groups and references across; bold where a group is ahead of all others by more than the intervals."""
    from rich.console import Group as Lines
    from rich.text import Text

    names = [g.name + (f"\n{len(g.runs)} seeds" if len(g.runs) > 1 else "") for g in comparison.groups]
    rows: list[tuple[str, list[str]]] = []
    bold: set[tuple[int, int]] = set()
    for aspect, title in ASPECTS:
        metrics = [m for m in comparison.metrics if comparison.aspects[m.name] == aspect]
        rows += [(title, [])] if metrics else []
        for metric in metrics:
            ahead = comparison.winners(metric)
            bold |= {(len(rows), i) for i, g in enumerate(comparison.groups) if g.name in ahead}
            known = [figure(v[metric.name]) if metric.name in v else "" for v in comparison.references.values()]
            cells = [cell(g.scores[metric.name]) for g in comparison.groups]
            rows.append((f"  {metric.title}{ARROWS[metric.better]}", cells + known))
    costs = cost_rows(comparison)
    rows += [("Cost", [])] if costs else []
    rows += [(f"  {title}", [*values, *("" for _ in comparison.references)]) for title, values in costs]
    table = SideBySide(
        [*names, *(comparison.kinds[title] for title in comparison.references)],
        rows,
        f"{comparison.task}: {len(comparison.groups)} side by side",
        [""] * len(names) + ["dim"] * len(comparison.references),
        frozenset(bold),
    )
    notes = [Text(sentence, style="yellow") for sentence in comparison.unequal]
    notes.append(Text(stability_sentence(comparison)))
    notes.append(Text("; ".join(f"{comparison.kinds[title]}: {title}" for title in comparison.references), style="dim"))
    if comparison.page:
        notes.append(Text(f"page     {comparison.page}\npicture  {comparison.picture}"))
    return Lines(table, *notes)


def stability_sentence(comparison: Comparison) -> str:
    several = [g for g in comparison.groups if len(set(g.seeds)) > 1]
    if not several:
        return "One run each: intervals are those of the scores, and nothing is said about the spread over seeds."
    named = ", ".join(f"{g.name} ({len(set(g.seeds))} seeds)" for g in several)
    alone = " The others are single runs, whose spread is not known." if len(several) < len(comparison.groups) else ""
    return f"± is the standard deviation over seeds: {named}.{alone}"


def panels(comparison: Comparison) -> list[tuple[Metric, str]]:
    """A chart of dots for each metric: every group, then the references."""
    drawn = []
    for metric in comparison.metrics:
        rows = [_group_row(i, g.name, g.scores[metric.name]) for i, g in enumerate(comparison.groups)]
        rows += [
            DotRow(title, values[metric.name], tone=TONES["floor"])
            for title, values in comparison.references.items()
            if metric.name in values
        ]
        drawn.append((metric, charts.dot_rows(rows, title=metric.title, width=_PANEL)))
    return drawn


def draw(comparison: Comparison, samples: Sequence[dict[str, Any] | None]) -> str:
    """One SVG file: the samples beside each other, below them the metrics as dots with intervals."""
    columns = 3
    width = columns * _COLUMN + 20
    shapes, y = [_words(20, 36, f"{comparison.task}: {' · '.join(g.name for g in comparison.groups)}", 20, "600")], 58.0
    shown = [(g, s) for g, s in zip(comparison.groups, samples, strict=True) if s]
    size = (width - 40 - 20 * (len(shown) - 1)) / max(len(shown), 2) if shown else 0
    tallest = 0.0
    for i, (group, sample) in enumerate(shown):
        x = 20 + i * (size + 20)
        high = size * sample["height"] / sample["width"]
        tallest = max(tallest, high)
        shapes.append(_words(x, y + 14, group.name, 13, "600"))
        shapes.append(
            f'<image x="{x:.1f}" y="{y + 24:.1f}" width="{size:.1f}" height="{high:.1f}" href="{sample["uri"]}"/>'
        )
    y += tallest + 48 if shown else 0
    for start in range(0, len(comparison.metrics), columns):
        tall = 0.0
        for i, (metric, svg) in enumerate(panels(comparison)[start : start + columns]):
            x, inner_height = 20 + i * _COLUMN, _height(svg)
            shapes.append(_words(x, y + 14, metric.title + ARROWS[metric.better], 13, "600"))
            shapes.append(
                svg.replace("<svg ", f'<svg x="{x}" y="{y + 26:.0f}" width="{_PANEL}" height="{inner_height:g}" ', 1)
            )
            tall = max(tall, inner_height)
        y += tall + 52
    for line in [*comparison.unequal, stability_sentence(comparison)]:
        for part in textwrap.wrap(line, 130):
            shapes.append(_words(20, y, part, 12, "400", soft=True))
            y += 18
    spoken = f"Comparison of {', '.join(g.name for g in comparison.groups)}"
    whole = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 10:.0f}" role="img" aria-label="{escape(spoken)}">{"".join(shapes)}</svg>'
    return charts.standalone(whole)


def _group_row(index: int, name: str, measured: Measured) -> DotRow:
    points = measured.runs if len(measured.runs) > 1 else ()
    return DotRow(name, measured.value, measured.low, measured.high, _tone(index), True, number(measured.value), points)


def _tone(index: int) -> int:
    return GROUP_TONES[index % len(GROUP_TONES)]


def _samples(fact: RunFacts) -> dict[str, Any] | None:
    """The unpicked samples of a run as a picture; None where they are text or not there."""
    for exhibit in fact.sheet.exhibits:
        file = fact.run.stage("evaluate") / exhibit.file
        if "sample" in exhibit.name and file.suffix in (".png", ".webp", ".jpg") and not exhibit.shows_training_items:
            try:
                return picture(file)
            except OSError:
                return None
    return None


def _height(svg: str) -> float:
    return float(svg.split('viewBox="', 1)[1].split('"', 1)[0].split()[3])


def _words(x: float, y: float, text: str, size: float, weight: str, soft: bool = False) -> str:
    colour = "soft" if soft else "ink"
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="var(--{colour})">{escape(text)}</text>'
