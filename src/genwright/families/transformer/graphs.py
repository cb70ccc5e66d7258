"""Work of fixed shape on fixed buffers, recorded on a card once and replayed (CUDA graphs): a step's hundreds of launches become one."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable

import torch

MOST = 32
"""Graphs that are kept, those that were used last: each is made in a tenth of a second and takes some memory of the driver's."""
_RECORDED_AT = 3
"""A shape is recorded when it is asked for so often: those that a text only passes through are not worth it."""


class Graphs:
    """Anywhere but on a card the work is just done."""

    def __init__(self, device: torch.device):
        self._device = device
        self._graphs: OrderedDict[Hashable, torch.cuda.CUDAGraph] = OrderedDict()
        self._asked: Counter[Hashable] = Counter()
        if device.type == "cuda":
            self._pool, self._stream = torch.cuda.graph_pool_handle(), torch.cuda.Stream(device)

    def run(self, key: Hashable, work: Callable[[], None]) -> None:
        """Do the work that `key` names. To do it twice must be as good as once: it is done once more before it is recorded. All that
        differs from time to time is read from buffers that stay where they are."""
        if self._device.type != "cuda":
            return work()
        graph = self._graphs.get(key)
        if graph is None:
            self._asked[key] += 1
            if self._asked[key] < _RECORDED_AT:
                return work()
            graph = self._graphs[key] = self._record(work)
            if len(self._graphs) > MOST:
                self._graphs.popitem(last=False)
        self._graphs.move_to_end(key)
        graph.replay()

    @property
    def recorded(self) -> list[Hashable]:
        """The keys of the graphs there are, that of the newest use last."""
        return list(self._graphs)

    def _record(self, work: Callable[[], None]) -> torch.cuda.CUDAGraph:
        # Done on the recording stream first: libraries take their workspace for a stream at its first product, kernels are compiled.
        now = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(now)
        with torch.cuda.stream(self._stream):
            work()
        now.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # Other threads (a training's, which fetches batches) may go on using the card meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            work()
        return graph
