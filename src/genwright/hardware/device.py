"""What this machine computes on."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from typing import Any

import torch

from genwright.console import count
from genwright.errors import RequestError

CPU_BF16 = ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16")
"""Instruction sets that multiply bf16 matrices, as torch.cpu.get_capabilities() names them. Without one bf16 is emulated, and up to
thirty times slower than fp32."""
CUDA_BF16 = (8, 0)
"""Compute capability from which a card's matrix units take bf16 (Ampere)."""


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
    return f"{processor()}, {count(torch.get_num_threads(), 'thread')}" if device.type == "cpu" else device.type


def has_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices by instructions of its own."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= CUDA_BF16
    if device.type == "cpu":
        return any(cpu_capabilities().get(name) for name in CPU_BF16)
    return False


def cpu_capabilities() -> dict[str, Any]:
    """What the processor can do, by name; {} where this torch can't tell (before 2.12)."""
    ask = getattr(torch.cpu, "get_capabilities", None)
    return dict(ask()) if ask is not None else {}


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
