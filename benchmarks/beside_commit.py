"""This checkout's speed on a processor beside that of another commit: training steps and writing, turn by turn.

    git worktree add ../before 484daea
    python benchmarks/beside_commit.py ../before [--rounds 5] [--only train write]

Each commit has a process of its own, which imports that commit's package and its own `training_speed.py` and `generation.py`, so that
both are measured as they ship. While one works the other waits; the ratio of each round is taken, and its median printed: above 1 this
checkout is faster. Compiling happens before the clock starts. About ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
BLOCK_S = 4.0
"""How long one side trains before the other takes its turn."""
WRITING = {"small": ((1, 150), (16, 100)), "smollm2": ((1, 32), (8, 16))}
"""Texts written together and tokens of each, by model."""
ANSWER = "beside_commit: "


def main() -> None:
    options = arguments()
    if options.work:
        work(options.work, options.checkout)
        return
    rows = []
    for what in options.only:
        pair = [Worker(checkout, what) for checkout in (options.checkout.resolve(), HERE.parent)]
        names, _ = [worker.names() for worker in pair]
        for name in names:
            rounds = [[worker.measure(name) for worker in pair] for _ in range(options.rounds + 1)][1:]
            rows.append({"what": name, "rounds": rounds})
            print(line(rows[-1]), flush=True)
        for worker in pair:
            worker.process.kill()
    from genwright.hardware import device
    from genwright.run import versions

    closing = [
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {device.title(device.choose('cpu'))}; load {os.getloadavg()[0]:.1f}; {versions()}",
        f"commits {' '.join(commit(checkout) for checkout in (options.checkout, HERE.parent))}",
    ]
    text = "\n".join([HEADER, *map(line, rows), *closing])
    print("\n".join(closing))
    (options.results / "beside_commit.txt").write_text(text + "\n", encoding="utf-8")
    (options.results / "beside_commit.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=("train", "write"), default=["train", "write"])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--work", choices=("train", "write"), help=argparse.SUPPRESS)
    return parser.parse_args()


class Worker:
    """A process that measures one commit when it is asked to."""

    def __init__(self, checkout: Path, what: str):
        command = [sys.executable, "-P", str(HERE / "beside_commit.py"), str(checkout), "--work", what]
        paths = os.pathsep.join((str(checkout / "src"), str(checkout / "benchmarks")))
        self.process = subprocess.Popen(
            command, env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def names(self) -> list[str]:
        return self._answer()

    def measure(self, name: str) -> float:
        assert self.process.stdin is not None
        print(name, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for told in self.process.stdout:
            if told.startswith(ANSWER):
                return json.loads(told.removeprefix(ANSWER))
        raise SystemExit("a commit's process ended; what it said stands above")


def work(what: str, checkout: Path) -> None:
    """In the commit's process: tell what can be measured, then measure what is asked for, in units a second."""
    with tempfile.TemporaryDirectory() as scratch:
        measures = training() if what == "train" else writing(Path(scratch))
        print(ANSWER + json.dumps(list(measures)), flush=True)
        for asked in sys.stdin:
            print(ANSWER + json.dumps(measures[asked.strip()]()), flush=True)


def training() -> dict[str, Callable[[], float]]:
    import training_speed as speed

    tokens, alphabet = speed.tokens_of(speed.load_text())
    train, _ = speed.split(tokens)
    sides: dict[str, Any] = {}

    def steps_a_second(name: str, shape: Any, muon: bool, compiled: bool) -> float:
        if name not in sides:
            sides[name] = speed.genwright(shape, train, len(alphabet), muon=muon, compiled=compiled)
        started, steps = time.perf_counter(), 0
        while time.perf_counter() - started < BLOCK_S:
            sides[name].step()
            steps += 1
        return steps / (time.perf_counter() - started)

    return {
        (name := f"steps/s, {shape}, {'Muon' if muon else 'AdamW'}, {'compiled' if compiled else 'eager'}"): (
            lambda name=name, shape=shape, muon=muon, compiled=compiled: steps_a_second(name, shape, muon, compiled)
        )
        for shape in speed.SHAPES
        for muon, compiled in ((False, False), (True, False), (True, True))
    }


def writing(folder: Path) -> dict[str, Callable[[], float]]:
    import generation

    sides: dict[str, Any] = {}
    prompts = [[2 + (7 * place + 3 * number) % 60 for place in range(8)] for number in range(16)]

    def tokens_a_second(model: str, precision: str, together: int, count: int) -> float:
        if model not in sides:
            sides[model] = generation.MAKERS[model](folder / model)
        if (model, precision) not in sides:
            sides[model, precision] = generation.ours(sides[model], precision, False)
        return together * count / sides[model, precision](prompts[:together], count)

    return {
        f"tokens/s, {model} {precision}, {together} together": (
            lambda model=model, precision=precision, together=together, count=count: tokens_a_second(
                model, precision, together, count
            )
        )
        for model, texts in WRITING.items()
        for precision in ("float32", "int8")
        for together, count in texts
    }


def commit(checkout: Path) -> str:
    asked = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()


HEADER = f"{'':66} {'before':>10} {'now':>10} {'now / before':>14}"


def line(row: dict[str, Any]) -> str:
    before, now = (statistics.median(side) for side in zip(*row["rounds"], strict=True))
    ratios = [after / first for first, after in row["rounds"]]
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{row['what']:66} {before:>10.2f} {now:>10.2f} {statistics.median(ratios):>7.2f} {spread}"


if __name__ == "__main__":
    main()
