"""What this machine computes on."""

from __future__ import annotations

import os
import platform
from functools import lru_cache

import torch

from genwright.errors import RequestError


def choose(name: str | None = None) -> torch.device:
    """The device asked for, or the best there is. Raises RequestError when it is not there."""
    if name is None or name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps") if torch.backends.mps.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise RequestError(f"--device {name}: no such kind of device; use cpu, cuda, cuda:1 or mps.") from error
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise RequestError(f"--device {name}: not on this machine; leave it out to use what there is.")
    return device


def title(device: torch.device) -> str:
    """The device in words, for records: "AMD EPYC, 2 threads" or the card's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} threads" if device.type == "cpu" else device.type


def memory_bytes(device: torch.device) -> int:
    """Memory that a training may use: the card's, or what the system has free, or its container's limit."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo", encoding="ascii") as info:  # noqa: PTH123
            return next(int(line.split()[1]) * 1024 for line in info if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@lru_cache
def processor() -> str:
    """What the processor calls itself."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
