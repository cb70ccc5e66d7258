"""What `genwright plan` foretold of each stage, and what each then took, of two runs: nothing set, and a model set by hand.

`rows(options)`: `text` is a folder of texts, `seconds` the budget of each training, `small` for a tiny model by hand.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from genwright.run import Run

BY_HAND = {"layers": 8, "width": 512}
"""Six minutes were foretold of forty seconds for it, when the first validation and preview were timed cold."""
SMALL_BY_HAND = {"layers": 1, "width": 32, "context": 32}
STAGES = ("train", "evaluate", "export")
"""Those behind them that are forecast; what collect and prepare take is known by then."""


PLAN = """import json, sys; from genwright import api
print(json.dumps(api.plan(sys.argv[1], run_dir=sys.argv[2], device=sys.argv[3]).stages))"""
"""In a process of its own, as cold as the run."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    for title, model in (("nothing set", {}), ("by hand", SMALL_BY_HAND if options.small else BY_HAND)):
        with tempfile.TemporaryDirectory() as name:
            yield from _one(options, Path(name), title, model)


def _one(options: Any, folder: Path, title: str, model: dict[str, int]) -> Iterator[dict[str, Any]]:
    recipe = {
        "task": "write",
        "data": {"sources": [{"folder": str(options.text)}]},
        "model": model,
        "train": {"budget": f"{options.seconds:g}s", "seed": 0},
        "evaluate": {"samples": 2 if options.small else 100},
    }
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    device = str(options.device)
    foretold = json.loads(_python("-c", PLAN, str(file), str(folder / "plan"), device).splitlines()[-1])
    _python("-m", "genwright", "run", str(file), "--run-dir", str(folder / "run"), "--device", device)
    for stage in STAGES:
        record = Run(folder / "run").record(stage)
        assert record is not None
        took = record.seconds
        yield {
            "setting": title,
            "stage": stage,
            "foretold_seconds": foretold[stage],
            "actual_seconds": took,
            "off": foretold[stage] / max(took, 1e-9) - 1,
        }


def _python(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments[:3])} failed: {done.stderr[-1000:]}")
    return done.stdout
