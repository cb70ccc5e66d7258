"""Write docs/gallery/<run>.md from a run of the task chat: its scores, and what it answered, unpicked.

    python docs/make_chat_gallery.py runs/chat-finetune

Everything comes from the run's evaluate folder; nothing is chosen here. Where the run started from somebody's weights, what those
answered to the same turns stands beside it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genwright.recipe import load
from genwright.scores import Score, ScoreSheet

HERE = Path(__file__).parent / "gallery"
SEPARATOR = "\n\n----\n\n"
MARK = "\n>>> "


def page(run: Path) -> str:
    """The page in Markdown."""
    sheet = ScoreSheet.read(run / "evaluate" / "scores.json")
    recipe = load(run / "recipe.yaml")
    protocol = sheet.protocol
    parts = [
        f"# {run.name}: what it answers",
        f"`genwright run recipes/{run.name}.yaml`, budget {recipe.train.budget}, seed {recipe.train.seed}. {sheet.headline}",
        table(sheet),
        f"Replies to the first {len(passages(run, 'transcripts'))} of {protocol['samples']} held-out turns (split `{protocol['split']}`), "
        f"in the order of the evaluation, seed {protocol['seed']}, temperature {protocol['temperature']}, at most "
        f"{protocol['max_tokens']} tokens.",
        *transcripts(run),
    ]
    return "\n\n".join(parts) + "\n"


def table(sheet: ScoreSheet) -> str:
    lines = [
        "| | " + " | ".join(row.title for row in sheet.rows) + " |",
        "|---|" + "---|" * len(sheet.rows),
    ]
    for metric in sheet.metrics:
        cells = [shown(row.scores.get(metric.name)) for row in sheet.rows]
        lines.append(f"| {metric.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def shown(score: Score | None) -> str:
    if score is None:
        return ""
    text = f"{score.value:.3g}"
    return text if score.low is None or score.high is None else f"{text} ({score.low:.3g} to {score.high:.3g})"


def passages(run: Path, name: str) -> list[tuple[str, str]]:
    """What was said and what was answered, for each passage of an exhibit."""
    text = (run / "evaluate" / f"{name}.txt").read_text(encoding="utf-8")
    return [(said, answer.strip()) for said, _, answer in (part.rpartition(MARK) for part in text.split(SEPARATOR))]


def transcripts(run: Path) -> list[str]:
    titles = {"before": "before training", "transcripts": "after", "real": "really answered"}
    columns = {name: passages(run, name) for name in titles if (run / "evaluate" / f"{name}.txt").exists()}
    found = []
    for number, (said, _) in enumerate(columns["transcripts"]):
        answers = "\n".join(f"* **{titles[name]}:** {inline(column[number][1])}" for name, column in columns.items())
        found.append(f"## {number + 1}\n\n{fenced(said)}\n\n{answers}")
    return found


def fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text.strip()}\n{fence}"


def inline(text: str) -> str:
    """An answer on one line, as it is: nothing in it is taken for Markdown."""
    ticks = "`"
    while ticks in text:
        ticks += "`"
    return f"{ticks} {text.replace(chr(10), ' ⏎ ')} {ticks}" if text else "(nothing)"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a run folder of the task chat, evaluated")
    run = parser.parse_args(arguments).run
    HERE.mkdir(exist_ok=True)
    file = HERE / f"{run.name}.md"
    file.write_text(page(run), encoding="utf-8")
    print(file)


if __name__ == "__main__":
    main(sys.argv[1:])
