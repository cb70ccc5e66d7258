"""What the device can do, measured here and now: the rate of its matrix products, and of copying its memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from genwright.training.precision import Precision, synchronise

_SIDES = {"cpu": (512, 1024), "cuda": (8192,)}
_COPIED_BYTES = {"cpu": 64 << 20, "cuda": 1 << 30}
_TIMES = 10


def product_rate(device: torch.device, precision: Precision) -> float:
    """Operations a second of the best product of two square matrices; an addition and a multiplication count two."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    best = 0.0
    for side in _SIDES.get(device.type, (2048,)):
        a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        out = torch.empty_like(a)
        best = max(best, 2 * side**3 / _seconds(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), device))
    return best


def copy_rate(device: torch.device) -> float:
    """Bytes a second that are read and written in copying a block much larger than any cache."""
    source = torch.zeros(_COPIED_BYTES.get(device.type, 1 << 28), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _seconds(lambda: target.copy_(source), device)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of one of several in a row on a card, which is asked ahead; the quickest of them on a processor, which others use too."""
    work()
    synchronise(device)
    start, quickest = time.perf_counter(), float("inf")
    for _ in range(_TIMES):
        began = time.perf_counter()
        work()
        quickest = min(quickest, time.perf_counter() - began)
    synchronise(device)
    return quickest if device.type == "cpu" else (time.perf_counter() - start) / _TIMES
