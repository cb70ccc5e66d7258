"""Chinese poems, three minutes: how many even lines rhyme, how many have the form, and whether long runs are copied; from the run's own
scores, which ask for held-out titles at the default temperature. Nothing but the budget is set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from card import common
from card.common import row
from genwright.run import read_json
from genwright.scores import ScoreSheet

BUDGET_S = 180.0
GOALS = {"verse_rhyme": 0.40, "verse_form": 0.70}
_AFTER_S = 30.0
"""Kept for the evaluation."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    with common.work() as place:
        (place / "p.yaml").write_text(yaml.safe_dump(recipe(common.folder(options, "poems"))), encoding="utf-8")
        for stage in ("collect", "prepare"):
            common.genwright(place, stage, "p.yaml")
        budget = 4.0 if options.small else min(BUDGET_S, common.left(options) - _AFTER_S - 10)
        changes = [f"--set=train.budget={budget:.0f}s", *(["--set=evaluate.samples=8"] if options.small else [])]
        for stage in ("train", "evaluate"):
            common.genwright(place, stage, "p.yaml", *changes)
        yield from _scores(place / "runs" / "p", f"{budget:.0f} s", options)


def recipe(folder: Path) -> dict[str, Any]:
    """As recipes/write-poems.yaml, its model and batch left to the program."""
    packed = folder / "poems.tar.gz"
    source = {"archive": str(packed)} if packed.exists() else {"folder": str(folder)}
    join = {"table": "poet.*.json", "text": "{paragraphs}", "fields": {"author": "{author}", "title": "{title}"}}
    return {
        "task": "write",
        "data": {"sources": [{**source, "join": join}]},
        "prepare": {
            "tokenizer": "characters",
            "vocabulary": 5120,
            "condition": ["author", "title"],
            "group_by_lines": 0.5,
        },
        "train": {"seed": 0},
        "evaluate": {"samples": 500},
    }


def _scores(run: Path, budget: str, options: Any) -> Iterator[dict[str, Any]]:
    sheet = ScoreSheet.read(run / "evaluate" / "scores.json")
    model, real = sheet.row("model").scores, sheet.row("real").scores
    summary = read_json(run / "train" / "stage.json")["summary"] if (run / "train" / "stage.json").exists() else {}
    for name, score in model.items():
        beside = real[name].value if name in real else None
        goal = None if options.small else GOALS.get(name)
        yield row(f"{budget}: {name} (beside: real poems)", score.value, name, beside, goal, title=summary.get("title"))
