"""What `genwright plan` foretold of each stage, and what each then took: with nothing set, and with a model set by hand. Foretold is
what a plan in a process of its own says, as cold as the run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from card import common
from card.common import row
from genwright.run import Run

BUDGET_S = 40.0
BY_HAND = {"layers": 8, "width": 512}
"""Six minutes were foretold of forty seconds for it, when the first validation and preview were timed cold."""
SMALL_BY_HAND = {"layers": 1, "width": 32, "context": 32}
STAGES = ("train", "evaluate", "export")
"""What collect and prepare take is known by then."""
_OFF = 0.25
PLAN = """import json, sys; from genwright import api
print(json.dumps(api.plan(sys.argv[1], run_dir=sys.argv[2]).stages))"""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    text, by_hand = common.folder(options, "text"), SMALL_BY_HAND if options.small else BY_HAND
    for title, model in (("nothing set", {}), ("8 layers of 512", by_hand)):
        with common.work() as place:
            recipe = {
                "task": "write",
                "data": {"sources": [{"folder": str(text)}]},
                "model": model,
                "train": {"budget": f"{3 if options.small else BUDGET_S:.0f}s", "seed": 0},
                "evaluate": {"samples": 2 if options.small else 100},
            }
            (place / "f.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
            yield from _compared(place, title, options)


def _compared(place: Path, title: str, options: Any) -> Iterator[dict[str, Any]]:
    foretold = _foretold(place)
    common.genwright(place, "run", "f.yaml", "--run-dir", "run")
    for stage in STAGES:
        record = Run(place / "run").record(stage)
        assert record is not None
        off = abs(foretold[stage] / max(record.seconds, 1e-9) - 1)
        goal = None if options.small else _OFF
        detail = {"foretold_seconds": foretold[stage], "actual_seconds": record.seconds}
        yield row(f"{title}: {stage} foretold, off by", off, "of actual", None, goal, lower=True, **detail)


def _foretold(place: Path) -> dict[str, float]:
    command = [sys.executable, "-c", PLAN, "f.yaml", "plan"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the plan failed: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])
