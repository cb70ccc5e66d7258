"""Writes docs/gallery/write-poems.md from a finished run of recipes/write-poems.yaml: what it writes, unpicked, and its scores.

python docs/make_poems_gallery.py runs/write-poems > docs/gallery/write-poems.md
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from genwright.run import open_run
from genwright.scores import ScoreSheet
from genwright.stages.summary import format_score

ASKED = (
    '--condition "author=李白" --condition "title=月夜" -n 2',
    '--condition "author=杜甫" --condition "title=登高" -n 2',
    '--condition "author=陸游" --condition "title=雪中作" -n 2',
    '--condition "title=送友人" -n 2',
    '--condition "author=王維" "空山"',
    '--temperature 0.5 --seed 1 -n 2',
)  # fmt: skip


def main(folder: Path) -> None:
    run = open_run(folder)
    sheet = ScoreSheet.read(run.stage("evaluate") / "scores.json")
    trained = run.record("train")
    assert trained is not None
    print("# Chinese poems by author and title: `recipes/write-poems.yaml`\n")
    print(
        f"Trained {trained.seconds / 60:.0f} minutes on {trained.device}. Everything below is the first thing that came, with the seed"
    )
    print("that stands in the command (0 where none does).\n")
    for words in ASKED:
        command = f"genwright generate runs/write-poems {words}"
        done = subprocess.run(
            ["genwright", "generate", str(folder), *shlex.split(words)], capture_output=True, text=True, check=True
        )
        print(f"    $ {command}")
        print("\n".join(f"    {line}".rstrip() for line in done.stdout.rstrip().split("\n")), end="\n\n")
    print("## Scores\n")
    print(f"{sheet.headline}\n")
    print("| | " + " | ".join(row.title for row in sheet.rows) + " |")
    print("|---|" + "---|" * len(sheet.rows))
    for metric in sheet.metrics:
        cells = [format_score(row.scores[metric.name]) if metric.name in row.scores else "" for row in sheet.rows]
        print(f"| {metric.title} | " + " | ".join(cells) + " |")
    for exhibit in sheet.exhibits:
        if exhibit.name in ("samples", "baseline"):
            text = (run.stage("evaluate") / exhibit.file).read_text(encoding="utf-8")
            print(f"\n## {exhibit.title}\n\n{exhibit.caption}\n")
            print("\n".join(f"    {line}".rstrip() for line in text.rstrip().split("\n")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
