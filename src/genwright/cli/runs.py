"""What runs are on this disk: `genwright runs list|show|rm`. Imports neither torch nor numpy."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from genwright.console import SideBySide, duration, size
from genwright.errors import GenwrightError, RequestError
from genwright.files import printable
from genwright.run import STAGES, Run, named, open_run, read_json
from genwright.scores import ScoreSheet

_TOGETHER = "\u00a0"
"""A space at which no line ends: a score stands whole, or below the others."""
_MOST_NAMES = 60
"""Words that a model knows, as many as are shown; --json has more."""


@dataclass(frozen=True)
class Listed:
    """One run, as the list shows it."""

    name: str
    folder: str
    task: str
    family: str
    state: str
    """"finished", "training, step 120 of 2,000", "stopped after train", ... , or what is wrong with it."""
    bytes: int
    seconds: float
    changed: float
    """When its newest stage ended, seconds since 1970."""
    score: str
    verdict: str
    """"good", "weak", "useless", or "" where it was not scored, or by an older version."""
    headline: str


def runs(action: str, given: Sequence[Path], *, where: Path, yes: bool, as_json: bool) -> None:
    """The command; `given` are runs by their folders or by the names that the list shows. Raises RequestError for an unknown action or a
    folder that is no run, before any is removed."""
    folders = [named(folder, where) for folder in given]
    if action == "list":
        listed = [one for place in given or [where] for one in find(place)]
        _print_json([asdict(one) for one in listed]) if as_json else _print_list(listed, given[0] if given else where)
    elif action in ("show", "rm"):
        if not folders:
            raise RequestError(f"genwright runs {action}: name a run, like runs/demo-write.")
        if action == "rm":
            refuse_to_remove(folders)
        for folder in folders:
            show(folder, as_json=as_json) if action == "show" else remove(folder, yes=yes)
    else:
        raise RequestError(f"genwright runs {action}: there is no such action; use list, show or rm.")


def find(where: Path) -> list[Listed]:
    """The run folders directly inside `where`, newest first."""
    if not where.is_dir():
        return []
    folders = [entry for entry in where.iterdir() if not entry.is_symlink() and is_run(entry)]
    return sorted((describe(Run(entry)) for entry in folders), key=lambda one: -one.changed)


def is_run(folder: Path) -> bool:
    """Whether a folder was made by a run: a resolved recipe and a stage's record, or a run that was stopped before its first."""
    run = Run(folder)
    return run.is_one() and isinstance(_recipe(run.recipe).get("task"), str)


def describe(run: Run) -> Listed:
    recipe = _recipe(run.recipe)
    records = {}
    state = ""
    for stage in STAGES:
        try:
            records[stage] = run.record(stage)
        except (GenwrightError, ValueError) as error:
            state, records[stage] = str(error), None
    done = [record for record in records.values() if record]
    missing = [stage for stage in STAGES if records[stage] is None]
    sheet = _sheet(run)
    return Listed(
        name=run.name,
        folder=str(run.folder),
        task=str(recipe.get("task", "")),
        family=str((recipe.get("model") or {}).get("family", "")),
        state=state or _state(run, missing),
        bytes=size_bytes(run.folder),
        seconds=sum(record.seconds for record in done),
        changed=max((_changed(run.recipe), *(_changed(run.stage(s)) for s in STAGES))),
        score=first_score(sheet) if sheet else "",
        verdict=sheet.verdict.grade if sheet and sheet.verdict else "",
        headline=sheet.headline if sheet else "",
    )


def _state(run: Run, missing: list[str]) -> str:
    """Whether it is finished, worked on now, or was stopped, and where. `missing`: the stages without a record."""
    under_way = run.busy()
    if not missing:
        return "at work" if under_way else "finished"
    first = missing[0]
    done = STAGES.index(first)
    if first == "train" and (step := _step(run)):
        return f"{'training' if under_way else 'stopped in training'}, {step}"
    if under_way:
        return f"at work on {first}"
    return f"stopped after {STAGES[done - 1]}" if done else "begun"


def _step(run: Run) -> str:
    """ "step 120 of 2,000", by the newest checkpoint of the part that was begun last; "" where none has begun."""
    plans = sorted(run.stage("train").glob("*/plan.json"), key=_changed)
    if not plans:
        return ""
    steps = sorted(
        place.name for place in plans[-1].parent.glob("checkpoints/step-*") if (place / "manifest.json").exists()
    )
    step = int(steps[-1].removeprefix("step-")) if steps else 0
    try:
        return f"step {step:,} of {read_json(plans[-1])['settings']['steps']:,}"
    except (OSError, ValueError, KeyError, TypeError):
        return f"step {step:,}"


def first_score(sheet: ScoreSheet) -> str:
    """The model's first metric in words: "KID 0.031"."""
    row = next((row for row in sheet.rows if row.kind == "model"), None)
    for metric in sheet.metrics:
        if row and metric.name in row.scores:
            return f"{metric.title} {row.scores[metric.name].value:.3g}{metric.unit if metric.unit == '%' else ''}"
    return ""


def size_bytes(folder: Path) -> int:
    """What a folder's files take, links not followed."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return total


def _bytes(run: Run, stage: str) -> int:
    """What a stage takes on the disk. The report's are pages beside the others' folders."""
    pages = [file for file in (run.report, run.public_report) if file.exists()]
    return sum(file.lstat().st_size for file in pages) if stage == "report" else size_bytes(run.stage(stage))


def show(folder: Path, *, as_json: bool) -> None:
    """One run: stages with their seconds, sizes, scores."""
    run = open_run(folder)
    listed = describe(run)
    stages = {
        stage: {"seconds": record.seconds, "finished": record.finished, "bytes": _bytes(run, stage), "summary": record.summary}
        for stage in STAGES
        if (record := run.record(stage))
    }  # fmt: skip
    known = _known(run)
    if as_json:
        _print_json(asdict(listed) | {"stages": stages, "knows": known})
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    print(f"{printable(listed.folder)}: {listed.task} by {listed.family}, {listed.state}, {size(listed.bytes)}")
    for kind, about in known.items():
        names = about["names"][:_MOST_NAMES]
        more = f", and {about['count'] - len(names):,} more" if about["count"] > len(names) else ""
        print(f"it knows {about['count']:,} {kind}: {', '.join(map(printable, names))}{more}")
    table = Table("stage", "seconds", "finished", "on disk", box=None)
    for stage, about in stages.items():
        table.add_row(stage, duration(about["seconds"]), about["finished"][:16].replace("T", " "), size(about["bytes"]))
    console.print(table)
    if sheet := _sheet(run):
        from genwright.cli.summary import print_verdict

        console.print("\nScores")
        console.print(sheet)
        print_verdict(sheet, console)


def refuse_to_remove(folders: Sequence[Path]) -> None:
    """Raises RequestError when a folder is no run, is a link, has its data inside, or is being worked on."""
    for folder in folders:
        if folder.is_symlink() or not is_run(folder):
            raise RequestError(f"{folder}: not a run folder, so it is left alone; `genwright runs` lists the runs.")
        if source := _data_inside(folder):
            raise RequestError(
                f"{folder}: its data ({source}) lies in the same folder; move the data, then remove the run."
            )
        if Run(folder).busy():
            raise RequestError(f"{folder}: another genwright is working on this run; wait for it or stop it.")


def remove(folder: Path, *, yes: bool) -> None:
    """Delete a run. Only what a run writes goes; a file of somebody else's in the folder stays, and is said. Raises RequestError as
    `refuse_to_remove` does."""
    refuse_to_remove([folder])
    run = Run(folder)
    if not yes:
        import typer

        if not typer.confirm(f"Remove {printable(str(folder))} ({size(size_bytes(folder))})?", err=True):
            return
    if rest := run.erase():
        stayed = f"{', '.join(rest[:5])} stayed, for no run made {'it' if len(rest) == 1 else 'them'}"
        print(printable(f"{folder}: the run is removed; {stayed}."))
    else:
        print(printable(f"{folder}: removed."))


def _data_inside(folder: Path) -> str | None:
    """A local source of the recipe that lies in the run folder: removing the run would remove it."""
    for source in (_recipe(Run(folder).recipe).get("data") or {}).get("sources") or []:
        for kind in ("folder", "archive", "table"):
            path = source.get(kind) if isinstance(source, dict) else None
            if isinstance(path, str) and (folder / path).resolve().is_relative_to(folder.resolve()):
                return path
    return None


def _known(run: Run) -> dict[str, dict[str, Any]]:
    """What the model can be asked for by name, as export wrote it down; {} where it has no list of that."""
    try:
        return read_json(run.stage("export") / "config.json")["genwright"]["about"].get("knows", {})
    except (OSError, ValueError, KeyError):
        return {}


def _recipe(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _sheet(run: Run) -> ScoreSheet | None:
    file = run.stage("evaluate") / "scores.json"
    try:
        return ScoreSheet.read(file) if file.exists() else None
    except ValueError:
        return None


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _print_json(result: Any) -> None:
    print(json.dumps(result, indent=2, ensure_ascii=False))


def _print_list(listed: list[Listed], where: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not listed:
        print(f"No runs in {printable(str(where))}; `genwright run RECIPE` makes one.")
        return
    columns = ("task", "family", "state", "size", "time", "score", "verdict")
    rows = [
        (
            printable(one.name),
            [
                one.task,
                one.family,
                one.state,
                size(one.bytes),
                duration(one.seconds),
                one.score.replace(" ", _TOGETHER),
                one.verdict,
            ],
        )
        for one in listed
    ]
    console.print(SideBySide(columns, rows, justify="left"))
    console.print(f"{size(sum(one.bytes for one in listed))} in all", markup=False)
