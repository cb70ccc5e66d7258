"""What is claimed of a card, part by part, each beside its peer in the same call. One JSON line a row, and a table at the end.

    python benchmarks/gpu.py [PART ...] [--small] [--seconds N] [--nanogpt CHECKOUT] [--r3gan CHECKOUT] [--text FOLDER]
                             [--poems FOLDER] [--pictures FOLDER] [--results FILE]

A part is a module of `card/` and runs in a process of its own, for four minutes at most (--seconds): one that takes longer is ended, one
that fails says so, and the next goes on. Rows are flushed as they are measured, to standard output and to the results file, so that a
machine that is taken away leaves what was done. Folders are found in .gpu/, as `card/pack.py` fills it. --small runs the same code on
any machine with tiny shapes: its figures mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("training", "decoding", "write", "forecast", "resume", "draw", "finetune", "poems", "race")
"""In this order, so that what matters most is there if the time runs out."""
FOLDERS = ("nanogpt", "r3gan", "text", "poems", "pictures")
ROW = ("part", "what", "figure", "unit", "beside", "goal", "reached", "card", "torch", "date", "commit")
LIMIT_S = 240.0
_TRACEBACK_LINES = 15


def main() -> int:
    options = arguments()
    if options.child:
        return child(options)
    about = circumstances()
    rows = [row for part in options.parts for row in run(part, options, about)]
    print("\n".join(table(rows, about)))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", default=PARTS, help=f"default: {' '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="tiny shapes, on any machine")
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="a part that takes longer is ended")
    for name in FOLDERS:
        there = ROOT / ".gpu" / name
        parser.add_argument(f"--{name}", type=Path, default=there if there.exists() else None)
    parser.add_argument("--peer", action="store_true", help="race: one whole run of nanoGPT's own, kept in results/")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.jsonl")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such part; there are {', '.join(PARTS)}")
    for name in FOLDERS:
        given = getattr(options, name)
        setattr(options, name, given.resolve() if given else None)
    options.until = time.time() + options.seconds
    return options


def child(options: argparse.Namespace) -> int:
    """One part: its rows go to standard output, whatever else is printed to standard error."""
    rows = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "src")]
    try:
        for row in importlib.import_module(f"card.{options.parts[0]}").rows(options):
            print(json.dumps(row), file=rows, flush=True)
    except Exception as error:
        last = "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]
        print("\n".join(last), file=sys.stderr, flush=True)
        print(json.dumps({"what": f"failed: {type(error).__name__}: {error}"}), file=rows, flush=True)
        return 1
    return 0


def run(part: str, options: argparse.Namespace, about: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The rows of a part, each printed and written down as it comes."""
    for row in _rows(part, options):
        whole = dict.fromkeys(ROW) | {"part": part} | row | about | {"date": time.strftime("%Y-%m-%d %H:%M:%S %Z")}
        line = json.dumps(whole, ensure_ascii=False)
        print(line, flush=True)
        options.results.parent.mkdir(parents=True, exist_ok=True)
        with options.results.open("a", encoding="utf-8") as out:
            out.write(line + "\n")
        yield whole


def _rows(part: str, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    if not (ROOT / "benchmarks" / "card" / f"{part}.py").exists():
        yield {"what": "not built"}
        return
    given = [word for word in sys.argv[1:] if word not in options.parts]
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).resolve()), part, "--child", *given],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,  # so that what it starts can be ended with it
    )
    ended = threading.Event()
    watchdog = threading.Timer(options.seconds, lambda: (ended.set(), _end(process)))
    watchdog.start()
    said = False
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said = True
            yield json.loads(line)
        if process.wait() and not said and not ended.is_set():
            yield {"what": f"failed: exit status {process.returncode}"}
    finally:
        watchdog.cancel()
        _end(process)
    if ended.is_set():
        yield {"what": f"ended after {options.seconds:.0f} s; what stands above was done"}


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def circumstances() -> dict[str, str]:
    """Card, torch and commit, asked for in a process of its own: this one must hold no memory of the card."""
    code = "import torch; print(torch.__version__); print(torch.cuda.get_device_name() if torch.cuda.is_available() else 'CPU')"
    version, card = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()  # fmt: skip
    commit = os.environ.get("GENWRIGHT_COMMIT", "")
    with contextlib.suppress(OSError):
        asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
        commit = commit or asked.stdout.strip()
    return {"card": card, "torch": version, "commit": commit or "unknown"}


def table(rows: list[dict[str, Any]], about: dict[str, str]) -> list[str]:
    lines = [
        f"{about['card']}; torch {about['torch']}; commit {about['commit']}; {time.strftime('%Y-%m-%d %H:%M %Z')}",
        f"{'part':<9} {'what':<62} {'figure':>12} {'unit':<12} {'beside':>12} {'goal':>12} reached",
    ]
    for row in rows:
        figures = [f"{_number(row[name]):>12}" for name in ("figure", "beside", "goal")]
        reached = {True: "yes", False: "NO", None: ""}[row["reached"]]
        lines.append(f"{row['part']:<9} {row['what']:<62} {figures[0]} {row['unit'] or '':<12} {figures[1]} {figures[2]} {reached}")  # fmt: skip
    return lines


def _number(value: Any) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return str(value) if value is not None else ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main())
