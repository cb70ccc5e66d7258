"""Whether a budget in minutes is kept while other programs work on the same machine.

    python benchmarks/busy_machine.py [--budget 120s] [--recipes demo-write draw-gan] [--loads "beside busy processes"]

Each recipe is run whole three times: alone, beside one busy process a core from before its start to its end, and beside as many that
begin once the plan is made. Rows of other recipes that were measured before are kept. A row says how long the train stage took beside
its budget, whether its plan was revised, how long the evaluation took beside its share, and by how much the time left grew at most
between two of the lines that were printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genwright.hardware import device
from genwright.run import versions
from genwright.settings import Budget

HERE = Path(__file__).parent
BURN = "import os\nimport numpy as np\na, mine = np.random.rand(300, 300), os.getppid()\nwhile os.getppid() == mine: a = a @ a; a /= a.max()"
"""Ends with who began it, even where that was killed."""
LOADS = ("alone", "beside busy processes", "busy once the plan is made")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--recipes", nargs="+", default=["demo-write", "draw-gan"])
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=LOADS)
    parser.add_argument("--results", type=Path, default=HERE / "results")
    options = parser.parse_args()
    kept = options.results / "busy_machine.json"
    measured = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else []
    rows = {(row["recipe"], row["load"]): row for row in measured}
    for recipe in options.recipes:
        for load in options.loads:
            rows[recipe, load] = measure(HERE.parent / "recipes" / f"{recipe}.yaml", options.budget, load)
            print(line(rows[recipe, load]), flush=True)
    report = "\n".join([f"{device.title(device.choose('cpu'))}; {versions()}", HEADER, *map(line, rows.values())])
    (options.results / "busy_machine.txt").write_text(report + "\n", encoding="utf-8")
    kept.write_text(json.dumps([*rows.values()], indent=1) + "\n", encoding="utf-8")


def measure(recipe: Path, budget: str, load: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        run = Path(scratch) / "run"
        command = [sys.executable, "-m", "genwright", "run", str(recipe), "--run-dir", str(run)]
        if load == LOADS[1]:
            stack.enter_context(busy())
        working = subprocess.Popen(
            [*command, "--set", f"train.budget={budget}"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        assert working.stderr is not None
        said = []
        for told in working.stderr:
            said.append(told)
            if load == LOADS[2] and " parameters, " in told:
                stack.enter_context(busy())
        if working.wait():
            raise SystemExit("".join(said))
        return row(recipe.stem, budget, load, run, said)


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """One process a core that does nothing but multiply, each with one thread."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    burning = [subprocess.Popen([sys.executable, "-c", BURN], env=alone) for _ in range(os.cpu_count() or 1)]
    time.sleep(2)
    try:
        yield
    finally:
        for process in burning:
            process.kill()
            process.wait()


def row(name: str, budget: str, load: str, run: Path, said: list[str]) -> dict[str, Any]:
    plan = json.loads((run / "train" / "model" / "plan.json").read_text(encoding="utf-8"))
    seconds = {
        stage: json.loads((run / stage / "stage.json").read_text(encoding="utf-8"))["seconds"]
        for stage in ("train", "evaluate")
    }
    effort = json.loads((run / "evaluate" / "plan.json").read_text(encoding="utf-8"))
    return {
        "recipe": name,
        "load": load,
        "budget_seconds": Budget.parse(budget).amount,
        "train_seconds": round(seconds["train"], 1),
        "steps": plan["settings"]["steps"],
        "revised": plan["revision"],
        "evaluate_seconds": round(seconds["evaluate"], 1),
        "evaluate_allowed": effort["seconds"],
        "samples": effort["samples"],
        "largest_growth": round(largest_growth(said), 2),
    }


def largest_growth(said: list[str]) -> float:
    """How many times as long the time left was as in the line before, of the same piece of work, at most."""
    shown, most = dict[str, tuple[int, float]](), 0.0
    for told in said:
        if found := re.match(r"(.*?) +(\d+)%, (.*) left", told):
            share, left = int(found[2]), 4.0 if found[3] == "a few seconds" else Budget.parse(found[3]).amount
            done, before = shown.get(found[1], (101, left))
            if share >= done:  # else a new piece of work of the same name
                most = max(most, left / before)
            shown[found[1]] = share, left
    return most


HEADER = f"{'':14} {'':28} {'train / budget':>18} {'steps':>16} {'evaluate / share':>18} {'samples':>8} {'time left grew':>15}"


def line(row: dict[str, Any]) -> str:
    steps = f"{row['steps']:,}" + (f" -> {row['revised']['steps']:,}" if row["revised"] else "")
    train = f"{row['train_seconds']:.0f} / {row['budget_seconds']:.0f} s"
    evaluate = f"{row['evaluate_seconds']:.0f} / {row['evaluate_allowed'] or 0:.0f} s"
    return f"{row['recipe']:14} {row['load']:28} {train:>18} {steps:>16} {evaluate:>18} {row['samples']:>8} {row['largest_growth']:>14.2f}x"


if __name__ == "__main__":
    main()
