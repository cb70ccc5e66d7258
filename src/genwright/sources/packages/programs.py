"""Programs of the machine (npm, apt-get) that fetch packages, waited for with a line of progress."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from genwright.console import progress
from genwright.errors import WorkError

_PATIENCE_S = 1800.0


class Answer(NamedTuple):
    status: int
    out: str
    err: str


def ask(command: Sequence[str], folder: Path, environment: Mapping[str, str], shown: str) -> Answer:
    """Run a program in a folder, where it may leave files. Raises WorkError when it does not come to an end."""
    out, err = folder / ".program.out", folder / ".program.err"
    started = time.monotonic()
    with out.open("wb") as stdout, err.open("wb") as stderr, progress(f"fetch {shown}, seconds") as line:
        # In a folder of its own, so that a package.json or .npmrc where the user stands has no say.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, cwd=folder, env=environment
        )
        try:
            while process.poll() is None:
                line.update(time.monotonic() - started)
                if time.monotonic() - started > _PATIENCE_S:
                    name = Path(command[0]).name
                    raise WorkError(
                        f"{shown}: {name} did not finish within {_PATIENCE_S / 60:.0f} minutes; check the network."
                    )
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
    answer = Answer(process.returncode, out.read_text("utf-8", "replace"), err.read_text("utf-8", "replace"))
    out.unlink()
    err.unlink()
    return answer
