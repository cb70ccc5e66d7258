"""What a device gives a training: looked up where no clock may decide, else measured in a fifth of a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from genwright.hardware import device as devices
from genwright.training import precision


class Rate(NamedTuple):
    flops: float
    """Operations a second of a large matrix product in the training's precision."""
    launch_seconds: float
    """From one small operation to the next, where the device waits for Python."""
    memory_bytes: int
    """What may be used of it."""


_PRODUCTS = {(7, 0): 1024, (8, 0): 2048, (9, 0): 4096, (10, 0): 8192}
"""16-bit operations a cycle of a multiprocessor's matrix units, by compute capability, as cards for computing centres have them."""
_PRODUCTS_ELSEWHERE = 512
"""As others have them, where sums are kept in fp32."""
_PLAIN_PRODUCTS = 256
"""In fp32."""
_CYCLES = 1.5e9
"""A second, while matrix units are busy: an H200's 132 multiprocessors then do 811e12 operations, and 801e12 were measured."""
_LAUNCH_SECONDS = 1e-5

_CHAIN = 20
_CHAINED = 6 * _CHAIN
"""Operations of a chain of so many pairs and of its gradient."""


def known(device: torch.device, kind: str) -> Rate | None:
    """A card's rate in a precision by what the card is, the same on a quiet day and a busy one; None of any other device."""
    if device.type != "cuda":
        return None
    card = torch.cuda.get_device_properties(device)
    cycle = _PLAIN_PRODUCTS if kind == "fp32" else _PRODUCTS.get((card.major, card.minor), _PRODUCTS_ELSEWHERE)
    return Rate(card.multi_processor_count * cycle * _CYCLES, _LAUNCH_SECONDS, devices.memory_bytes(device))


def measured(device: torch.device, kind: str, side: int = 8192) -> Rate:
    """The same by a clock: the fastest of a few products of square matrices, and of a few chains of small operations."""
    there = devices.memory_bytes(device)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(kind, torch.float32)
    matrix = torch.rand(side, side, device=device, dtype=dtype)
    small = torch.ones(8, device=device, requires_grad=True)

    def chain() -> None:
        x = small
        for _ in range(_CHAIN):
            x = x * small + small
        x.sum().backward()

    product, operations = _seconds(lambda: matrix @ matrix, device), _seconds(chain, device)
    return Rate(2 * side**3 / product, operations / _CHAINED, there)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    times = []
    for _ in range(6):
        start = time.perf_counter()
        work()
        precision.synchronise(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])
