"""What the parts share: rows, clocks, the product that a share is of, and the program as a user starts it."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from genwright.training.precision import Precision, synchronise
from genwright.training.profiling.step import Profile, profile_steps

ASSETS = Path(__file__).resolve().parents[2] / "tests" / "assets"


def row(
    what: str,
    figure: Any,
    unit: str,
    beside: float | None = None,
    goal: float | None = None,
    *,
    lower: bool = False,
    **detail: Any,
) -> dict[str, Any]:
    """A row of gpu.py. `goal` is reached from there up, or down where `lower` is better."""
    reached = None if goal is None or figure is None else bool(figure <= goal if lower else figure >= goal)
    found = {"what": what, "figure": figure, "unit": unit, "beside": beside, "goal": goal, "reached": reached}
    return found | ({"detail": detail} if detail else {})


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def folder(options: Any, name: str) -> Path:
    """A folder of data that a part needs."""
    given: Path | None = getattr(options, name)
    if given is None or not given.is_dir():
        raise FileNotFoundError(f"--{name}: no folder {given or ''}; benchmarks/README.md says how to fill .gpu/.")
    return given


def left(options: Any) -> float:
    """Seconds until the part is ended."""
    return options.until - time.time()


@contextlib.contextmanager
def work() -> Iterator[Path]:
    """A scratch folder."""
    place = Path(tempfile.mkdtemp(prefix="genwright-gpu-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def genwright(here: Path, *arguments: object, **environment: str) -> str:
    """Run a command as a user would, in a folder; what it printed. Raises RuntimeError with its last lines where it fails."""
    command = [sys.executable, "-m", "genwright", *map(str, arguments)]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        last = " | ".join(done.stderr.replace("\r", "\n").splitlines()[-3:])
        raise RuntimeError(f"genwright {' '.join(map(str, arguments))}: exit status {done.returncode}: {last}")
    return done.stdout


def seconds_a_step(step: Callable[[], Any], times: int) -> float:
    """The median of some steps, each waited for."""
    found = []
    for _ in range(times):
        synchronise(device())
        start = time.perf_counter()
        step()
        synchronise(device())
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def seconds_of_steps(step: Callable[[], Any], times: int) -> float:
    """Of each of some steps in a row, as a training takes them: the device is waited for at their end alone."""
    synchronise(device())
    start = time.perf_counter()
    for _ in range(times):
        step()
    synchronise(device())
    return (time.perf_counter() - start) / times


def first_step(step: Callable[[], Any]) -> float:
    """Seconds of the first step, compiling with it; two more follow to warm up."""
    found = seconds_a_step(step, 1)
    seconds_a_step(step, 2)
    return found


def share(what: str, step: Callable[[], Any], flops: float, computed_in: Precision) -> dict[str, Any]:
    """Where a step goes: the table on standard error, the share in which the device waits as a row, all of it as detail."""
    with work() as place:
        found: Profile = profile_steps(step, device(), place / "trace.json.gz", flops, computed_in, what)
    print(found, file=sys.stderr, flush=True)
    by_kind = {kind: round(seconds / found.profiled_seconds, 4) for kind, seconds in found.by_kind.items()}
    more = {"products_of_peak": found.products_of_peak, "memory_of_copy": found.memory_of_copy}
    return row(f"{what}: launches and idle", by_kind["waiting"], "of a step", **by_kind, **more)


def free() -> None:
    """Give back what is no longer used of the card."""
    import gc

    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
