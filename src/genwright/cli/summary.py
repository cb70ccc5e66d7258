"""What the terminal says at the end of a run: the scores beside floor and ceiling, the report's path, what to type next."""

from __future__ import annotations

import yaml
from rich import box
from rich.console import Console
from rich.table import Table

from genwright.registry import example
from genwright.run import Run
from genwright.scores import ScoreSheet


def print_summary(run: Run) -> None:
    console = Console()
    scores = run.stage("evaluate") / "scores.json"
    if scores.exists():
        sheet = ScoreSheet.read(scores)
        console.print(score_table(sheet, f"Scores of {run.name}"))
        if sheet.headline:
            console.print(sheet.headline)
    print(f"\nreport    {run.report}")
    print(f"generate  genwright generate {run.folder} {_example(run)}")


def score_table(sheet: ScoreSheet, title: str) -> Table:
    """A line for each metric, an arrow for its better direction; what was scored stands side by side."""
    arrows = {"lower": "↓", "higher": "↑", "none": " "}
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for row in sheet.rows:
        table.add_column(row.title, justify="right", style="bold" if row.kind == "model" else "", overflow="fold")
    for metric in sheet.metrics:
        cells = [row.cell(metric.name) for row in sheet.rows]
        table.add_row(f"{metric.title} {arrows[metric.better]}", *cells)
    return table


def _example(run: Run) -> str:
    recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
    return example(recipe["task"], recipe["prepare"])
