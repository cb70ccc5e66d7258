"""The page of a run of the task write: what it writes when it is asked, unpicked, its scores, and samples of the evaluation."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from gallery_parts import fenced, origin, scores_of, table

ASKED = {
    "write": (
        '"It was a dark night" -n 2',
        '"ROMEO:" -n 2',
        '"HAMLET. To be" --temperature 0.5 --seed 1',
        '"Enter " --min-p 0.1 --temperature 1.2',
        '"Chapter " --regex "[0-9]{1,2}: [A-Z][a-z ]{5,30}" -n 2',
    ),
    "write-poems": (
        '--condition "author=李白" --condition "title=月夜" -n 2',
        '--condition "author=杜甫" --condition "title=登高" -n 2',
        '--condition "author=陸游" --condition "title=雪中作" -n 2',
        '--condition "title=送友人" -n 2',
        '--condition "author=王維" "空山"',
        "--temperature 0.5 --seed 1 -n 2",
    ),
}
"""What is asked of the runs of these names; any other one is asked to begin by itself."""
_ANY = ("-n 2", "--temperature 0.5 --seed 1 -n 2")
_EXHIBITS = ("samples", "baseline")


def page(run: Path) -> str:
    """The page in Markdown."""
    sheet = scores_of(run)
    parts = [
        f"# {run.name}: what it writes",
        origin(run),
        "Everything below is the first thing that came, with the seed that stands in the command (0 where none does).",
        *(answer(run, words) for words in ASKED.get(run.name, _ANY)),
        "## Scores",
        table(sheet),
    ]
    for exhibit in sheet.exhibits:
        if exhibit.name in _EXHIBITS:
            text = (run / "evaluate" / exhibit.file).read_text(encoding="utf-8")
            parts += [f"## {exhibit.title}", exhibit.caption, fenced(text.rstrip())]
    return "\n\n".join(parts) + "\n"


def answer(run: Path, words: str) -> str:
    command = ["genwright", "generate", str(run), *shlex.split(words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return fenced(f"$ genwright generate runs/{run.name} {words}\n{done.stdout.rstrip()}")
