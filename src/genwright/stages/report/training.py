"""What the report shows of a training: the curves in metrics.jsonl and the previews, part by part."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markupsafe import Markup

from genwright.media.base import show
from genwright.pages import charts
from genwright.pages.charts import Point, Series
from genwright.run import Run, read_json, read_json_lines

VALIDATION = "validation"
_SCALARS_OFF = {"step", "seconds", "examples", "weight", "tokens", "time", "part", "epoch", "pass"}
_CLOCKS = {"items_per_second"}


@dataclass
class Curve:
    """A chart, drawn wide for the desk and narrow for the phone where it is the chief one."""

    title: str
    narrow: str
    wide: str = ""
    note: str = ""


@dataclass
class Preview:
    step: int | None
    html: Markup


@dataclass
class PartView:
    """One trained part of the model."""

    name: str
    chief: list[Curve] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)
    records: int = 0
    last_step: int = 0
    seconds: float | None = None
    revised: str = ""
    """What became of the plan where the machine was too slow or too small for it."""


def read_training(run: Run, kept: Mapping[str, Any] | None = None, public: bool = False) -> list[PartView]:
    """Every part that has begun, in the order of the folders' first records. `kept`: what came of each part, once it is done."""
    folder = run.stage("train")
    parts = sorted(
        {file.parent for file in folder.glob("*/metrics.jsonl")} | {d.parent for d in folder.glob("*/previews")}
    )
    views = [_part(part, (kept or {}).get(part.name, {}).get("best_step"), public) for part in parts]
    return sorted(views, key=lambda view: (folder / view.name).stat().st_mtime if len(views) > 1 else 0)


def curves_by_key(records: list[dict[str, Any]]) -> dict[str, list[Point]]:
    """(step, value) for each logged number; nested records are joined by "/"."""
    curves: dict[str, list[Point]] = defaultdict(list)
    for record in records:
        step = record.get("step")
        if not isinstance(step, int | float):
            continue
        for key, value in _flat(record):
            curves[key].append((float(step), value))
    return dict(curves)


def read_previews(folder: Path, public: bool = False) -> list[Preview]:
    """The previews in the order of their steps, files that are still being written left out."""
    found = [(_step(file.stem), file) for file in folder.glob("*") if not file.name.startswith(".")]
    found.sort(key=lambda one: (one[0] or 0, one[1].name))
    return [Preview(step, show(file, f"Preview at step {step}", public)) for step, file in found]


def _part(folder: Path, best_step: int | None, public: bool) -> PartView:
    records = read_json_lines(folder / "metrics.jsonl")
    view = PartView(folder.name, records=len(records), previews=read_previews(folder / "previews", public))
    view.revised = _revised(folder / "plan.json")
    if not records:
        return view
    view.last_step = int(records[-1].get("step", 0))
    seconds = records[-1].get("seconds")
    view.seconds = float(seconds) if isinstance(seconds, int | float) else None
    curves = curves_by_key(records)
    chief = _losses(curves)
    if chief:
        wide, narrow = (_draw("Losses", chief, width, best_step) for width in (480, 300))
        view.chief.append(Curve("Losses", narrow, wide, _loss_note(chief)))
    view.curves += _small_charts({key: points for key, points in curves.items() if not _is_loss(key)}, chief)
    return view


def _revised(file: Path) -> str:
    plan = read_json(file) if file.exists() else {}
    told, revision, cuts = [], plan.get("revision"), plan.get("cuts")
    if revision:
        told.append(
            f"The machine was slower than when the plan was made: from step {revision['at']:,} on the training went for "
            f"{revision['steps']:,} steps in all instead of {plan['settings']['steps']:,}, to keep to its budget of {plan['budget']}."
        )
    if cuts:
        told.append(
            f"The device's memory was too small for the plan: from step {cuts[0]['at'] + 1:,} on a batch of {plan['settings']['batch']:,} "
            f"examples was taken in {cuts[-1]['accumulate']:,} pieces, for the same result."
        )
    return " ".join(told)


def _small_charts(curves: dict[str, list[Point]], chief: list[Series]) -> list[Curve]:
    """One chart for each logged number; what several phases log under one name shares a chart."""
    drawn: list[Curve] = []
    groups: dict[str, list[str]] = defaultdict(list)
    seen = {tuple(series.points) for series in chief}
    for key in sorted(curves):
        points = tuple(curves[key])
        if len({y for _, y in points}) > 1 and tuple(charts.thin("", points, 1).points) not in seen:
            groups[key.partition("/")[2] or key].append(key)
            seen.add(points)
    for name, keys in sorted(groups.items(), key=lambda group: (group[0] in _CLOCKS, group[0])):
        several = len(keys) > 1
        series = [
            charts.thin(_phase(k) if several else _title(name), curves[k], _tone(k, i), 90) for i, k in enumerate(keys)
        ]
        held_out = keys[0].startswith(VALIDATION) and not several
        title = _title(keys[0] if held_out else name)
        drawn.append(Curve(title, charts.line_chart(series, title=title)))
    return drawn


def _is_loss(key: str) -> bool:
    return key == "loss" or key.endswith("/loss")


def _phase(key: str) -> str:
    phase = key.partition("/")[0]
    return "held-out" if phase == VALIDATION else phase


def _losses(curves: dict[str, list[Point]]) -> list[Series]:
    names = sorted(
        (key for key in curves if key == "loss" or key.endswith("/loss")),
        key=lambda key: (key.startswith(VALIDATION), key),
    )
    series = []
    for i, key in enumerate(names):
        held_out = key.startswith(VALIDATION)
        one = charts.thin(_title(key), curves[key], 2 if held_out else (1, 3, 4, 5)[i % 4])
        one.dots = held_out and len(one.points) <= 40
        series.append(one)
    return series


def _draw(title: str, series: list[Series], width: int, best_step: int | None) -> str:
    return charts.line_chart(
        series, title=title, width=width, height=330 if width > 400 else 230, mark=best_step, mark_title="kept"
    )


def _loss_note(series: list[Series]) -> str:
    notes = ["The line is the mean of each stretch, the band behind it the stretch's range."] if any(s.band for s in series) else []  # fmt: skip
    if len(series) > 1 and not any(s.name.startswith("held-out") for s in series):
        notes.append(
            "Two players' losses balance each other: neither falls to zero, and neither says how good the samples are."
        )
    return " ".join(notes)


def _title(key: str) -> str:
    if key.startswith(VALIDATION):
        key = key.replace(VALIDATION, "held-out", 1)
    words = re.sub(r"[/.]", " ", key).replace("_", " ")
    words = re.sub(r"^(model|train|main) (?=\S)", "", words)
    return words.replace(" per second", "/s").replace("grad norm", "gradient norm")


def _tone(key: str, index: int) -> int:
    if key in _CLOCKS or "learning_rate" in key:
        return 6
    return 2 if key.startswith(VALIDATION) else (1, 3, 4, 5)[index % 4]


def _flat(record: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found = []
    for key, value in record.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{key}/")
        elif type(value) in (int, float) and prefix + key not in _SCALARS_OFF and math.isfinite(value):
            found.append((prefix + key, float(value)))
    return found


def _step(stem: str) -> int | None:
    digits = re.findall(r"\d+", stem)
    return int(digits[-1]) if digits else None
