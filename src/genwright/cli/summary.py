"""What the terminal says at the end of a run: the scores beside floor and ceiling, the report's path, what to type next."""

from __future__ import annotations

import yaml
from rich.console import Console

from genwright.files import quoted
from genwright.run import Run
from genwright.scores import ScoreSheet
from genwright.stages.export.example import shown_of


def print_summary(run: Run) -> None:
    console = Console()
    scores = run.stage("evaluate") / "scores.json"
    if scores.exists():
        sheet = ScoreSheet.read(scores)
        console.print(f"Scores of {run.name}", markup=False, highlight=False)
        console.print(sheet)
        print_verdict(sheet, console)
    print(f"\nreport    {run.report}")
    recipe = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
    example = shown_of(run, recipe["task"], recipe["model"]["family"], public=False)
    print(f"generate  genwright generate {quoted(run.folder)} {example.command}")


def print_verdict(sheet: ScoreSheet, console: Console) -> None:
    """Good, weak or useless, why, the numbers behind it in words, and the one next thing to do."""
    if sheet.verdict:
        console.print(f"Verdict: {sheet.verdict.grade}. {sheet.verdict.why}", markup=False, style="bold")
    if sheet.headline:
        console.print(sheet.headline, markup=False)
    if sheet.verdict:
        console.print(f"Next: {sheet.verdict.next}", markup=False)
