"""Report: one self-contained page about a run. A view of what the stages wrote; it measures nothing itself."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from markupsafe import Markup

from genwright import ledger, registry
from genwright.console import duration
from genwright.console import size as size_text
from genwright.files import quoted
from genwright.media.base import by_suffix, medium, show
from genwright.pages import charts
from genwright.pages.charts import TONES, DotRow, number
from genwright.pages.page import render, tiles
from genwright.recipe import Recipe
from genwright.run import STAGES, Run, StageRecord, read_json, write_atomic
from genwright.scores import Exhibit, Metric, Row, ScoreSheet
from genwright.stages.collect.account import DataView, public_recipe, read_data, read_notices
from genwright.stages.export.example import shown_of
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.report.changes import read_changes
from genwright.stages.report.training import PartView, read_training

SPLIT_TONES = {"train": 1, "validation": 3, "test": 2, "judge": 4}
STAGE_TONES = {"collect": 6, "prepare": 3, "train": 1, "evaluate": 2, "export": 4}
_LONGEST_NOTICE = 6000
_IN_HEAD = 14
"""Pictures of a sheet that the page opens with: two rows on a wide screen."""


@dataclass
class Shown:
    """An exhibit ready for the page."""

    about: Exhibit
    html: Markup
    text: bool


@dataclass
class Panel:
    """One metric with every row beside the others."""

    metric: Metric
    chart: str


def run(recipe: Recipe, run: Run, *, public: bool = False) -> Path:
    """Write report.html, or report-public.html, which holds no training item; returns the file. Missing stages are shown as missing."""
    started = time.monotonic()
    page = render("report.html.j2", **gather(recipe, run, public))
    if public:
        file = run.public_report
        write_atomic(file, page)
        return file
    inputs = stage_inputs("report", recipe, run, cast(Any, None))  # no task is asked for the report's inputs
    run.forget("report")
    file = run.report
    write_atomic(file, page)
    run.complete(
        "report", inputs=inputs, outputs=digest(page), seconds=time.monotonic() - started, summary={"bytes": len(page)}
    )
    return file


def gather(recipe: Recipe, run: Run, public: bool) -> dict[str, Any]:
    """Everything the template is handed."""
    records = {name: run.record(name) for name in STAGES if name != "report"}
    trained = records["train"].summary if records["train"] else {}
    data = read_data(run, public)
    parts = read_training(run, trained.get("parts"), public)
    sheet = _sheet(run)
    exhibits = _exhibits(run, sheet, public)
    return {
        "name": run.name,
        "recipe": recipe,
        "public": public,
        "records": records,
        "data": data,
        "notices": read_notices(run, packages_only=public, most=_LONGEST_NOTICE),
        "data_charts": _data_charts(data),
        "stage_tones": STAGE_TONES,
        "stage_bar": _stage_bar(records),
        "split_tones": SPLIT_TONES,
        "reason_tones": _reason_tones(data),
        "parts": parts,
        "sheet": sheet,
        "changes": read_changes(run, sheet, public),
        "panels": _panels(sheet),
        "alone": _alone(sheet),
        "split_rule": _split_rule(recipe.data.split),
        "exhibits": exhibits,
        "hidden_exhibits": sum(e.shows_training_items for e in sheet.exhibits) if sheet and public else 0,
        "hero": _hero(run, exhibits, parts, public),
        "facts": _facts(recipe, records, data, parts),
        "recipe_yaml": public_recipe(recipe) if public else recipe.to_yaml(),
        "recipe_hash": recipe.hash(),
        "versions": next((r.versions for r in reversed(list(records.values())) if r), {}),
        "device": _device(records),
        "commands": _commands(recipe, run, f"runs/{run.name}" if public else str(run.folder), public),
        "written": time.strftime("%Y-%m-%d %H:%M"),
        "reasons": ledger.REASONS,
    }


def _sheet(run: Run) -> ScoreSheet | None:
    file = run.stage("evaluate") / "scores.json"
    return ScoreSheet.read(file) if run.record("evaluate") and file.exists() else None


def _exhibits(run: Run, sheet: ScoreSheet | None, public: bool) -> list[Shown]:
    return [
        Shown(exhibit, _show(run.stage("evaluate") / exhibit.file, exhibit, public), _is_text(exhibit))
        for exhibit in (sheet.exhibits if sheet else [])
        if not (public and exhibit.shows_training_items)
    ]


def _show(file: Path, exhibit: Exhibit, public: bool, most: int | None = None) -> Markup:
    """Words that were asked for are words of the data, so a public page shows a sheet without them."""
    if exhibit.words and not public:
        with suppress(OSError, ValueError):  # what can't be cut is shown whole, or named by `show`
            return tiles(file, exhibit.words, exhibit.across, exhibit.title, most)
    return show(file, exhibit.title, public)


def _is_text(exhibit: Exhibit) -> bool:
    medium = by_suffix(Path(exhibit.file).suffix)
    return medium is not None and medium.textual


def _hero(run: Run, exhibits: list[Shown], parts: list[PartView], public: bool) -> dict[str, Any] | None:
    """What the page opens with: the unpicked samples, or the last preview where nothing was evaluated. `name` is that of an exhibit that
    need not stand below once more; a text must, for the head shows its beginning alone, and so must more pictures than two rows."""
    for shown in exhibits:
        one = shown.about
        if "sample" in one.name and not one.shows_training_items:
            caption, html, whole = one.caption or one.title, shown.html, not shown.text
            if not public and len(one.words) > _IN_HEAD:
                html, whole = _show(run.stage("evaluate") / one.file, one, public, _IN_HEAD), False
                caption = f"{_IN_HEAD} of the samples, evenly taken; all stand below. {caption}"
            return {"html": html, "caption": caption, "name": one.name if whole else "", "text": shown.text}
    for part in reversed(parts):
        if part.previews:
            last = part.previews[-1]
            caption = f"Preview at step {last.step}"
            return {"html": last.html, "caption": caption, "name": "", "text": "<img" not in last.html}
    return None


def _panels(sheet: ScoreSheet | None) -> list[Panel]:
    """A chart for each metric that several rows were scored by."""
    panels = []
    for metric in sheet.metrics if sheet else []:
        rows = [dot_row(row, metric) for row in (sheet.rows if sheet else []) if metric.name in row.scores]
        if len(rows) > 1:
            panels.append(Panel(metric, charts.dot_rows(rows, title=metric.title)))
    return panels


def _alone(sheet: ScoreSheet | None) -> list[tuple[Metric, Row]]:
    """The metrics that one row alone was scored by: nothing stands beside them."""
    found = []
    for metric in sheet.metrics if sheet else []:
        rows = [row for row in (sheet.rows if sheet else []) if metric.name in row.scores]
        if len(rows) == 1:
            found.append((metric, rows[0]))
    return found


def _split_rule(split: str) -> str:
    if split == "hash":
        return "By hash of the group, before anything else looked at the data; of few items more are held out, so that there is enough to score by."
    return f"The end of the text is held out ({split})."


def dot_row(row: Row, metric: Metric) -> DotRow:
    score = row.scores[metric.name]
    unit = "" if not metric.unit else ("%" if metric.unit == "%" else f" {metric.unit}")
    text = number(score.value) + (unit if len(unit) < 6 else "")
    return DotRow(row.title, score.value, score.low, score.high, TONES[row.kind], row.kind == "model", text)


def _reason_tones(data: DataView | None) -> dict[str, int]:
    return {row.reason: (6, 3, 4, 5)[i % 4] for i, row in enumerate(data.reasons)} if data else {}


def _data_charts(data: DataView | None) -> dict[str, str]:
    if data is None:
        return {}
    tones = _reason_tones(data)
    account = [("kept", data.kept, 2), *((r.reason.replace("_", " "), r.count, tones[r.reason]) for r in data.reasons)]
    return {
        "account": charts.stacked_bar(account, title="What became of the items"),
        "splits": charts.stacked_bar([(n, c, SPLIT_TONES[n]) for n, c in data.splits.items()], title="Splits"),
        "sizes_wide": charts.histogram(data.sizes, title=f"Sizes, {data.sizes_title}", width=480, height=190),
        "sizes": charts.histogram(data.sizes, title=f"Sizes, {data.sizes_title}"),
    }


def _stage_bar(records: dict[str, StageRecord | None]) -> str:
    seconds = [(name, round(record.seconds * 10), STAGE_TONES[name]) for name, record in records.items() if record]
    return charts.stacked_bar(seconds, title="Tenths of seconds by stage")


def _facts(
    recipe: Recipe, records: dict[str, StageRecord | None], data: DataView | None, parts: list[PartView]
) -> list[tuple[str, str, str]]:
    """(figure, what it is, a word more) for the head of the page."""
    facts = []
    if data:
        facts.append((f"{data.kept:,}", "items kept", f"of {data.offered:,} offered"))
    if records["prepare"]:
        examples = records["prepare"].summary.get("examples", {})
        facts.append(
            (f"{examples.get('train', 0):,}", "training examples", f"{sum(examples.values()):,} in all splits")
        )
    trained = records["train"].summary if records["train"] else {}
    if "parameters" in trained:
        facts.append((number(trained["parameters"]), "parameters", str(trained.get("title", ""))))
    steps = trained.get("steps") or (sum(p.last_step for p in parts) if parts else None)
    if steps:
        facts.append((f"{steps:,}", "steps", f"budget {recipe.train.budget}"))
    seconds = sum(r.seconds for r in records.values() if r)
    if seconds:
        facts.append((duration(seconds), "from files to model", _device(records)))
    if records["export"] and "bytes" in records["export"].summary:
        facts.append((size_text(records["export"].summary["bytes"]), "model on disk", "safetensors"))
    return facts


def _device(records: dict[str, StageRecord | None]) -> str:
    for name in ("train", "evaluate", "export"):
        record = records.get(name)
        if record and record.device:
            return record.device
    return ""


def _opens_elsewhere(run: Run) -> bool:
    """Whether the exported folder has what Hugging Face's libraries look for."""
    file = run.stage("export") / "config.json"
    return file.exists() and "architectures" in read_json(file)


def _commands(recipe: Recipe, run: Run, place: str, public: bool) -> list[tuple[str, str]]:
    there = quoted(place)
    example = shown_of(run, recipe.task, recipe.family, public=public)
    task = registry.about(recipe.task)
    ask = [("Make something new", f"genwright generate {there} {example.command}")]
    if task.traceable and medium(task.medium).textual:
        ask.append(("Where a passage comes from", f'genwright explain {there} --nearest "..."'))
    elif task.traceable:
        ask.append(("What it is nearest to", f"genwright explain {there} --nearest-file FILE"))
    if task.transformers and _opens_elsewhere(run):
        ask.append(("In transformers", f'AutoModelForCausalLM.from_pretrained("{place}/model")'))
    return [
        *ask,
        ("From Python", f'import genwright as gw; gw.load("{place}").generate({example.arguments})'),
        ("The story of every file", f"genwright ledger {there} --dropped"),
        ("Train longer", f"genwright run {there} --more 30m"),
        ("Do it again", f"genwright run {there}/recipe.yaml --run-dir again"),
    ]
