"""Calls functions of code that nobody has read: in a process of its own, with little time and memory, without files and network.

What the walls are made of is in `sandbox_child.py`, which runs there. They are meant for a model's mistakes (an endless loop, a
memory bomb, a deleted file, a socket); no wall is promised to hold against a determined attacker.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

_CHILD = Path(__file__).with_name("sandbox_child.py")
_MOST_ANSWER_BYTES = 4 << 20


@dataclass(frozen=True)
class Limits:
    """Computing time of the process and of each call, so that a busy machine changes nothing; what only waits meets the clock."""

    cpu_seconds: int = 4
    wall_seconds: float = 20.0
    call_seconds: float = 0.3
    memory_bytes: int = 512 << 20


@dataclass
class Outcome:
    """What came of a piece of code. `values` has one text for each call that was made: "value ...", "error TypeError", "timeout",
    "refused socket.connect". `failure` says why there are none or not all of them."""

    values: list[str] = field(default_factory=list)
    failure: str = ""
    walls: tuple[str, ...] = ()
    """What held the code in: "no network interface", ..."""


def call(code: str, function: str, calls: Sequence[str], package: str = "", limits: Limits = Limits()) -> Outcome:
    """Execute `code` as a module of `package` and call its `function` with each of some argument tuples, written as literals."""
    job = {
        "code": code,
        "function": function,
        "calls": list(calls),
        "package": package,
        "cpu_seconds": limits.cpu_seconds,
        "memory_bytes": limits.memory_bytes,
        "call_seconds": limits.call_seconds,
    }
    with tempfile.TemporaryDirectory(prefix="genwright-") as empty:
        answer = _run(json.dumps(job).encode(), empty, limits.wall_seconds)
    return _read(answer, len(calls))


def _run(job: bytes, folder: str, wall_seconds: float) -> bytes:
    # A session of its own, so that whatever it started dies with it; no variable of ours, which might hold a secret.
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env={},
        start_new_session=True,
    )
    assert child.stdin is not None and child.stdout is not None
    clock = Timer(wall_seconds, _kill, [child])
    clock.start()
    try:
        with suppress(BrokenPipeError):
            child.stdin.write(job)
            child.stdin.close()
        return child.stdout.read(_MOST_ANSWER_BYTES)
    finally:
        clock.cancel()
        _kill(child)
        child.wait()
        child.stdout.close()


def _kill(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)


def _read(answer: bytes, calls: int) -> Outcome:
    lines: list[dict[str, Any]] = []
    for line in answer.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):
            lines.append(json.loads(line))
    if not lines or "walls" not in lines[0]:
        return Outcome(failure="the sandbox did not start")
    outcome = Outcome(walls=tuple(lines[0]["walls"]))
    for line in lines[1:]:
        if "load" in line:
            what = ", ".join(line["refused"]) or f"{line['load']}: {line['detail']}"
            outcome.failure = f"could not be loaded ({what})"
            return outcome
        kind, what = next(iter(line.items()))
        outcome.values.append(kind if kind == "timeout" else f"{kind} {what}")
    if len(outcome.values) < calls:
        outcome.failure = "too slow" if "timeout" in outcome.values else "ended before all calls were made"
    return outcome
