"""Which precision the device is faster with: measured, because a CPU without bf16 instructions is 30 times slower in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Literal

import torch

Precision = Literal["fp32", "bf16"]

_GAIN = 1.2
"""How many times faster bf16 must be to be worth its rounding."""


def choose(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    if asked != "auto":
        return asked
    return _faster(str(device))


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """The context that forward passes run in."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, torch.bfloat16)


@lru_cache
def _faster(device: str) -> Precision:
    if torch.device(device).type == "mps":
        return "fp32"
    full_s, half_s = product_seconds(device)
    return "bf16" if half_s * _GAIN < full_s else "fp32"


def product_seconds(device: str) -> tuple[float, float]:
    """What a matrix product takes in fp32 and in bf16: on a CPU one that a small linear layer is, on a GPU one large enough that
    starting it counts for nothing. Stops as soon as bf16 is seen to be slow."""
    size = 256 if torch.device(device).type == "cpu" else 4096
    with torch.random.fork_rng(devices=[]):
        full = torch.randn(size, size).to(device)
    half = full.bfloat16()
    full_s = _seconds(lambda: full @ full, device)
    return full_s, _seconds(lambda: half @ half, device, at_most_s=full_s * 4)


def _seconds(work: Callable[[], object], device: str, at_most_s: float = 1.0) -> float:
    """The median time of one call."""
    times = []
    for _ in range(9):
        if times and times[-1] > at_most_s:
            break
        start = time.perf_counter()
        work()
        synchronise(torch.device(device))
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked: clocks are read after this."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
