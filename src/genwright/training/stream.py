"""Micro-batches on the device: fetched while the device computes, where it is another than the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor
from torch.profiler import record_function

from genwright.families.base import Batch
from genwright.training.base import Batches
from genwright.training.profiling.trace import DATA

_STALL = 0.02
"""Share of the time that may be spent waiting for examples before the log tells it."""


class Stream:
    """Takes examples in order from a position. A batch is a pure function of it, so fetching ahead changes nothing. `ready` sees each
    batch before it goes to another device than the CPU."""

    def __init__(self, batches: Batches, device: torch.device, ready: Callable[[Batch], Batch] = lambda batch: batch):
        self.batches, self.device, self.ready, self.position = batches, device, ready, 0
        self._waited = 0.0
        # On a CPU a fetching thread would only take the cores from the computation.
        self._ahead = ThreadPoolExecutor(1) if device.type != "cpu" else None
        self._fetched: tuple[int, int, Future[Batch]] | None = None

    @record_function(DATA)
    def take(self, size: int) -> Batch:
        start = time.perf_counter()
        if self._ahead is None:
            batch = self.batches.batch(self.position, size)
        else:
            if self._fetched is None or self._fetched[:2] != (self.position, size):
                self._fetch(self.position, size)
            assert self._fetched is not None
            batch = self._fetched[2].result()
            self._fetch(self.position + size, size)
        self.position += size
        self._waited += time.perf_counter() - start
        return to_device(batch, self.device)

    def waited(self, seconds: float) -> dict[str, float]:
        """What the log tells of the last `seconds`: the share in which `take` kept its caller waiting, where that is worth telling."""
        share, self._waited = self._waited / max(seconds, 1e-9), 0.0
        return {"data_wait": round(share, 4)} if share > _STALL else {}

    def close(self) -> None:
        if self._ahead is not None:
            self._ahead.shutdown(cancel_futures=True)

    def _fetch(self, position: int, size: int) -> None:
        assert self._ahead is not None
        self._fetched = (position, size, self._ahead.submit(self._pinned, position, size))

    def _pinned(self, position: int, size: int) -> Batch:
        batch = self.ready(self.batches.batch(position, size))
        if self.device.type != "cuda":
            return batch
        return {name: value.pin_memory() if isinstance(value, Tensor) else value for name, value in batch.items()}


def to_device(batch: Batch, device: torch.device) -> Batch:
    if device.type == "cpu":
        return batch
    return {
        name: value.to(device, non_blocking=True) if isinstance(value, Tensor) else value
        for name, value in batch.items()
    }
