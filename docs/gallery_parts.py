"""What the pages of the gallery have in common: where a run comes from, its scores as a table, and text that is no Markdown."""

from __future__ import annotations

from pathlib import Path

from genwright.recipe import load
from genwright.run import open_run
from genwright.scores import ScoreSheet

SEPARATOR = "\n\n----\n\n"


def scores_of(run: Path) -> ScoreSheet:
    return ScoreSheet.read(run / "evaluate" / "scores.json")


def origin(run: Path) -> str:
    """How the run was made, and what came of it in a sentence."""
    recipe, trained = load(run / "recipe.yaml"), open_run(run).record("train")
    assert trained is not None
    return (
        f"`genwright run recipes/{run.name}.yaml`: trained {trained.seconds / 60:.0f} minutes on {trained.device}, seed {recipe.train.seed}; "
        f"{trained.summary['title']}. {scores_of(run).headline}"
    )


def table(sheet: ScoreSheet) -> str:
    lines = ["| | " + " | ".join(row.title for row in sheet.rows) + " |", "|---|" + "---|" * len(sheet.rows)]
    for metric in sheet.metrics:
        cells = [row.cell(metric.name) for row in sheet.rows]
        lines.append(f"| {metric.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def inline(text: str) -> str:
    """An answer on one line, as it is: nothing in it is taken for Markdown."""
    ticks = "`"
    while ticks in text:
        ticks += "`"
    return f"{ticks} {text.replace(chr(10), ' ⏎ ')} {ticks}" if text else "(nothing)"
