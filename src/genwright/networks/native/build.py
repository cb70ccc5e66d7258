"""Compiles decoder.cpp with the compiler of the machine, once; where that can't be done, torch does the work instead.

Nothing but a C++ compiler with OpenMP is asked for (`CXX`, c++, g++ or clang++): the code includes no header of torch or Python, so
compiling takes two seconds; it is called by ctypes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch  # noqa: F401 - its OpenMP must be loaded first, so that both share one pool of threads

from genwright import cache as caches
from genwright.errors import RequestError

SOURCE = Path(__file__).with_name("decoder.cpp")
HEADER = Path(__file__).with_name("kernels.hpp")
SWITCH = "GENWRIGHT_NATIVE"
"""Environment variable: 0 leaves all work to torch."""

_FLAGS = ["-std=c++17", "-O3", "-ffp-contract=off", "-fno-math-errno", "-fopenmp", "-fPIC", "-shared"]
_FAILURES = (OSError, subprocess.SubprocessError, RequestError)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled decoder, or None where it can't be had (no compiler, no OpenMP, or switched off)."""
    program = compiler()
    if program is None or os.environ.get(SWITCH) == "0":
        return None
    try:
        return _made(program)
    except _FAILURES:
        return None


def trouble() -> str:
    """Why the decoder can't be had though there is a compiler: what that says, or the system; "" where all is well. For people."""
    program = compiler()
    if program is None or os.environ.get(SWITCH) == "0":
        return ""
    try:
        _made(program)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").splitlines() if error.stderr else []
        told = (line.strip() for line in said if re.search("error|no space", line, re.IGNORECASE))
        return next(told, f"it ends with status {error.returncode}")
    except _FAILURES as error:
        return str(error)
    return ""


def _made(program: list[str]) -> ctypes.CDLL:
    """Raises one of `_FAILURES`."""
    command = [
        *program,
        *_FLAGS,
        "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native",
    ]
    file = caches.folder("native") / f"decoder-{_fingerprint(command)}.so"
    if not file.exists():
        _compile(command, file)
    return ctypes.CDLL(str(file))


def compiler() -> list[str] | None:
    """The command that compiles C++ here, or None."""
    given = os.environ.get("CXX")
    if given:
        try:
            return shlex.split(given)
        except ValueError:  # a quote that is not closed: no command at all, and said to be none
            return [given]
    found = next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)
    return [found] if found else None


def _fingerprint(command: list[str]) -> str:
    """Of all that decides what is compiled; the processor too, since a cache folder may be shared by machines."""
    version = subprocess.run([command[0], "--version"], capture_output=True, check=True, timeout=20).stdout
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    except OSError:
        processor = [platform.processor()]
    about = [
        SOURCE.read_bytes(),
        HEADER.read_bytes(),
        version,
        repr((command, processor, platform.platform())).encode(),
    ]
    return hashlib.sha256(b"\0".join(about)).hexdigest()[:16]


def _compile(command: list[str], file: Path) -> None:
    """Whole or not at all: another process may be compiling the same."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        made = Path(folder) / "made.so"
        subprocess.run([*command, "-o", str(made), str(SOURCE)], capture_output=True, check=True, timeout=120)
        made.replace(file)
