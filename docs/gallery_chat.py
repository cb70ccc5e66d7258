"""The page of a run of the task chat: its scores, and what it answered, unpicked.

Everything comes from the run's evaluate folder; nothing is chosen here. Where the run started from somebody's weights, what those
answered to the same turns stands beside it.
"""

from __future__ import annotations

from pathlib import Path

from gallery_parts import SEPARATOR, fenced, inline, origin, scores_of, table

MARK = "\n>>> "


def page(run: Path) -> str:
    """The page in Markdown."""
    sheet = scores_of(run)
    protocol = sheet.protocol
    parts = [
        f"# {run.name}: what it answers",
        origin(run),
        table(sheet),
        f"Replies to the first {len(passages(run, 'transcripts'))} of {protocol['samples']} held-out turns (split `{protocol['split']}`), "
        f"in the order of the evaluation, seed {protocol['seed']}, temperature {protocol['temperature']}, at most "
        f"{protocol['max_tokens']} tokens.",
        *transcripts(run),
    ]
    return "\n\n".join(parts) + "\n"


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
        found.append(f"## {number + 1}\n\n{fenced(said.strip())}\n\n{answers}")
    return found
