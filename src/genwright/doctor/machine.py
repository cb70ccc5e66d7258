"""What this machine has that a training or a generation would use, or lacks. Looked at, not judged."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import torch
from pydantic import BaseModel

from genwright import cache
from genwright.errors import RequestError
from genwright.hardware import cards, device
from genwright.networks.native import build

_INSTRUCTIONS = {
    "x86": {
        "AVX2": ("avx2",),
        "AVX-512": ("avx512f", "avx512_f"),
        "AVX-512 bf16": ("avx512_bf16",),
        "AMX bf16": ("amx_bf16",),
    },
    "arm": {"bf16": ("bf16", "arm_bf16"), "SVE": ("sve", "arm_sve"), "int8 products": ("i8mm", "arm_i8mm")},
}
"""By what the processor is: a name for people, and what /proc/cpuinfo and torch call it."""


class Folder(BaseModel):
    what: str
    path: str
    free_bytes: int | None = None
    wrong: str = ""
    """Why it can't be used."""


class Machine(BaseModel):
    """All that `genwright doctor` judges by."""

    system: str
    glibc: tuple[int, int] | None
    """None elsewhere than on Linux with glibc."""
    python: str
    processor: str
    cores: int
    """That this process may use."""
    threads: int
    """That torch computes with."""
    omp_threads: str
    """OMP_NUM_THREADS, "" where it is not set."""
    instructions: dict[str, bool]
    memory_bytes: int
    free_memory_bytes: int
    torch: cards.Build
    cards: list[cards.Card]
    """What the driver tells of."""
    cards_hidden: bool
    reached: list[cards.Card]
    """What torch finds of them."""
    architectures: list[str]
    """What torch's kernels are built for: sm_90, compute_120, ..."""
    triton: bool
    mps: bool
    compiler: str
    """"" where there is none."""
    openmp: bool
    """Whether our own code could be compiled by it."""
    trouble: str = ""
    """Why it could not, in the words of the compiler or the system."""
    native_off: bool
    npm: bool
    folders: list[Folder]
    extras: dict[str, list[str]]
    """By extra of this package: the packages of it that are not installed."""


def look(here: Path) -> Machine:
    """Takes seconds: our native code is compiled where it was not yet."""
    installed = cards.build()
    assert installed is not None  # torch was imported
    compiler = build.compiler()
    openmp = build.library() is not None
    return Machine(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        glibc=_glibc(),
        python=platform.python_version(),
        processor=device.processor(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        omp_threads=os.environ.get("OMP_NUM_THREADS", ""),
        instructions=_instructions(),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        free_memory_bytes=device.memory_bytes(torch.device("cpu")),
        torch=installed,
        cards=list(cards.seen()),
        cards_hidden=cards.hidden(),
        reached=_reached(),
        architectures=torch.cuda.get_arch_list(),
        triton=find_spec("triton") is not None,
        mps=torch.backends.mps.is_available(),
        compiler=shlex.join(compiler) if compiler else "",
        openmp=openmp,
        trouble="" if openmp else build.trouble(),
        native_off=os.environ.get(build.SWITCH) == "0",
        npm=shutil.which("npm") is not None or Path(sys.executable).with_name("npm").exists(),
        folders=[_cache(), _folder("here", here)],
        extras=_extras(),
    )


def _glibc() -> tuple[int, int] | None:
    name, number = platform.libc_ver()
    found = re.match(r"(\d+)\.(\d+)", number)
    return (int(found[1]), int(found[2])) if name == "glibc" and found else None


def _instructions() -> dict[str, bool]:
    try:
        said = set(re.findall(r"\w+", Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").lower()))
    except OSError:
        said = {name for name, there in device.cpu_capabilities().items() if there is True}
    kind = "arm" if platform.machine() in ("arm64", "aarch64") else "x86"
    return {name: not said.isdisjoint(called) for name, called in _INSTRUCTIONS[kind].items()}


def _reached() -> list[cards.Card]:
    if not torch.cuda.is_available():
        return []
    found = map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))
    return [cards.Card(one.name, one.total_memory, None, (one.major, one.minor)) for one in found]


def _cache() -> Folder:
    try:
        return _folder("cache", cache.folder())
    except RequestError as error:
        return Folder(what="cache", path="", wrong=str(error))


def _folder(what: str, path: Path) -> Folder:
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return Folder(what=what, path=str(path), wrong=f"it can't be looked at ({error.strerror})")
    return Folder(
        what=what, path=str(path), free_bytes=free, wrong="" if os.access(path, os.W_OK) else "it may not be written to"
    )


def _extras() -> dict[str, list[str]]:
    try:
        asked = requires("genwright") or []
    except PackageNotFoundError:  # run from a checkout that is not installed
        return {}
    found: dict[str, list[str]] = {}
    for line in asked:
        if of := re.fullmatch(r"([\w.-]+).*;.*extra == ['\"]([\w-]+)['\"].*", line):
            missing = found.setdefault(of[2], [])
            if not _installed(of[1]):
                missing.append(of[1])
    return found


def _installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False
