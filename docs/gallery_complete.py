"""The page of a run of the task complete: its scores, and how it fills holes, unpicked.

The holes are those that the evaluation shows, in its order, and the three below, written before any model was trained.
"""

from __future__ import annotations

from pathlib import Path

from gallery_parts import SEPARATOR, fenced, inline, origin, scores_of, table

from genwright import api
from genwright.scores import ScoreSheet

SHOWN = 4
MOST_TOKENS = 48
ASKED = {
    "an expression": (
        'def is_leap(year):\n    """True in leap years."""\n    return ',
        "\n\n\ndef days_in_february(year):\n    return 28 + is_leap(year)\n",
    ),
    "what a loop runs over": (
        "def count_words(text):\n    counts = {}\n    for word in ",
        ":\n        counts[word] = counts.get(word, 0) + 1\n    return counts\n",
    ),
    "a body": (
        "class Stack:\n    def __init__(self):\n        self._items = []\n\n    def push(self, item):\n",
        "\n\n    def pop(self):\n        return self._items.pop()\n",
    ),
}


def page(run: Path) -> str:
    """The page in Markdown."""
    sheet = scores_of(run)
    parts = [
        f"# {run.name}: how it fills holes",
        origin(run),
        table(sheet),
        protocol(sheet),
        "## Holes of the evaluation",
        "Evenly spaced ones, in the evaluation's order. What the model fills in stands between `>>>` and `<<<` (temperature 0); below it "
        "is what really stood there.",
        *exhibits(run, sheet),
        "## Asked for",
        *asked(run),
    ]
    return "\n\n".join(parts) + "\n"


def protocol(sheet: ScoreSheet) -> str:
    about = sheet.protocol
    holes = about["holes_in_functions"]
    why = "; ".join(f"{count:,} {reason}" for reason, count in about["functions_left_out"].items())
    return (
        f"Behind ± and in brackets: 95 % intervals. {about['lines']:,} masked lines and {about['bodies']:,} masked bodies of {about['held_out_files']:,} "
        f"held-out files. Of {about['functions_looked_at']:,} functions in them, {about['functions_qualified']:,} could be recorded and gave "
        f"{holes['line']:,} holes of a line and {holes['body']:,} of a body (a hole that `pass` or nothing fills as well is left out: "
        f"{about['holes_left_out_because_nothing_in_them_matters']:,}). The others: {why}. They ran behind: {', '.join(about['sandbox'])}. "
        f"Of {about['definitions_that_use_other_files']:,} definitions that use other files, "
        f"{about['of_those_in_one_context_with_what_they_use']:,} were learned from in one context with what they use."
    )


def exhibits(run: Path, sheet: ScoreSheet) -> list[str]:
    found = []
    for exhibit in sheet.exhibits:
        shown = (run / "evaluate" / exhibit.file).read_text(encoding="utf-8").split(SEPARATOR)[:SHOWN]
        found += [f"### {exhibit.title}", *(fenced(passage.strip("\n")) for passage in shown)]
    return found


def asked(run: Path) -> list[str]:
    """The three holes and a beginning, by the likeliest tokens and by two seeds."""
    generator = api.load(run)
    found = [
        "`genwright generate RUN --prefix ... --suffix ...`, with `--temperature 0`, and as it stands with two seeds."
    ]
    ways = {"temperature 0": {"temperature": 0}, "seed 0": {"seed": 0}, "seed 1": {"seed": 1}}
    for title, (prefix, suffix) in ASKED.items():
        found += [f"### {title}", fenced(f"{prefix}▮{suffix}".rstrip())]
        lines = []
        for way, options in ways.items():
            media = generator.generate(prefix=prefix, suffix=suffix, max_tokens=MOST_TOKENS, **options)
            lines.append(f"* **{way}:** {inline(''.join(piece.data for piece in media))}")
        found.append("\n".join(lines))
    start = "import os\n\n\ndef "
    media = generator.generate(start, seed=0, max_tokens=2 * MOST_TOKENS)
    return [*found, "### from left to right, seed 0", fenced(start + "▮" + "".join(piece.data for piece in media))]
