"""Where the time of a training step goes, from the events of a trace. Pure: the same events give the same shares.

Every moment belongs to the event that began last of those that run then: on a card the kernels, on a processor the operators, whose
innermost is the one at work. A moment without any is the device's waiting: for examples, or for the program that gives it work.
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from genwright.training.profiling.trace import DATA, OPTIMIZERS, WINDOW, Event

Kind = Literal["products", "attention", "memory", "optimizer", "data", "waiting"]
KINDS: dict[Kind, str] = {
    "products": "matrix products",
    "attention": "attention",
    "memory": "memory-bound",
    "optimizer": "optimizer",
    "data": "data",
    "waiting": "launches, idle",
}
"""By name, how a table calls them. `attention`: kernels of its own; where it is made of products it counts as such. `memory`: what does
little with each number it reads. `optimizer`: all that it does, its products too. `data`: copies to the device, and the device's waiting
for examples."""

_ON_DEVICE = ("kernel", "gpu_memcpy", "gpu_memset")
_ATTENTION = re.compile(r"flash|fmha|attention|sdpa|varlen", re.IGNORECASE)
_PRODUCT = re.compile(
    r"gemm|gemv|cutlass|nvjet|xmma|wgmma|cublas|conv(?!ert)|[dw]grad|::(add)?mm\b|::(add)?mv\b|::b(add)?bmm\b|::bmm\b|::dot\b|::_.*_mm\b|mkldnn|onednn",
    re.IGNORECASE,
)
_FUSED = re.compile(r"^(triton_(?!tem)|.*cpp_fused)|Torch-Compiled Region|CompiledFxGraph")
"""Code of torch.compile: named by all that was fused, so that what it is called says nothing; products stay calls of their own."""
_BOOKKEEPING = re.compile(
    r"^(autograd::|torch::autograd|[A-Z]\w*Backward\d*$|[A-Z]|ProfilerStep|aten::(t|to|view|_unsafe_view|_reshape_alias|reshape|as_strided|"
    r"transpose|permute|expand|expand_as|slice|select|narrow|unbind|split\w*|chunk|squeeze|unsqueeze|detach\w*|alias|lift_fresh|empty\w*|"
    r"result_type|resolve_\w+|item|linear|matmul|_local_scalar_dense|unflatten|flatten|size|stride|movedim|broadcast_\w+|resize_)$)"
)
"""Operators that touch no number: what they take is the program's time."""
_BYTES = {"double": 8, "long int": 8, "float": 4, "int": 4, "c10::BFloat16": 2, "c10::Half": 2}


@dataclass(frozen=True)
class Breakdown:
    """Of one step: seconds in all and by kind; bytes that memory-bound work read and wrote a second, as far as shapes were recorded."""

    seconds: float
    by_kind: dict[Kind, float]
    memory_rate: float | None

    def share(self, kind: Kind) -> float:
        return self.by_kind[kind] / self.seconds


def breakdown(events: Sequence[Event], steps: int) -> Breakdown:
    """Of the steps within the mark `trace.WINDOW`. Raises ValueError where there is no such mark."""
    window = next((event for event in events if event.name == WINDOW and event.category == "user_annotation"), None)
    if window is None:
        raise ValueError(f"no event is called {WINDOW!r}")
    inside = [event for event in events if event.start < window.end and event.end > window.start]
    work = [event for event in inside if event.category in _ON_DEVICE]
    if not work:
        work = [event for event in inside if event.thread == window.thread and _is_operator(event)]
    optimizing = _spans(inside, OPTIMIZERS, "gpu_user_annotation") or _spans(inside, OPTIMIZERS, "user_annotation")
    fetching = _spans(inside, (DATA,), "user_annotation")
    total: dict[Kind, float] = dict.fromkeys(KINDS, 0.0)
    owned: dict[int, float] = {}
    for start, end, number in _moments(work, window):
        if number is None:
            waited = sum(max(0.0, min(end, b) - max(start, a)) for a, b in fetching)
            total["data"] += waited
            total["waiting"] += end - start - waited
            continue
        kind = _kind(work[number], optimizing, fetching)
        total[kind] += end - start
        if kind == "memory":
            owned[number] = owned.get(number, 0.0) + end - start
    return Breakdown(
        window.duration / 1e6 / steps,
        {kind: taken / 1e6 / steps for kind, taken in total.items()},
        _memory_rate(work, owned, inside),
    )


def _is_operator(event: Event) -> bool:
    return event.category == "cpu_op" or (event.category == "user_annotation" and event.name.startswith((*OPTIMIZERS, DATA))) or bool(_FUSED.search(event.name))  # fmt: skip


def _spans(events: Sequence[Event], names: tuple[str, ...], category: str) -> list[tuple[float, float]]:
    return [(event.start, event.end) for event in events if event.category == category and event.name.startswith(names)]


def _moments(work: Sequence[Event], window: Event) -> Iterator[tuple[float, float, int | None]]:
    """The window cut where something begins or ends: (start, end, which of `work` the time belongs to)."""
    order = sorted(range(len(work)), key=lambda number: work[number].start)
    edges = {edge for event in work for edge in (event.start, event.end) if window.start < edge < window.end}
    cuts = sorted({window.start, window.end, *edges})
    running: list[tuple[float, float, int]] = []
    following = 0
    for start, end in pairwise(cuts):
        while following < len(order) and work[order[following]].start <= start:
            event = work[order[following]]  # of two that begin together the shorter one is the inner one
            heapq.heappush(running, (-event.start, event.duration, order[following]))
            following += 1
        while running and work[running[0][2]].end <= start:
            heapq.heappop(running)
        yield start, end, running[0][2] if running else None


def _kind(event: Event, optimizing: list[tuple[float, float]], fetching: list[tuple[float, float]]) -> Kind:
    if any(start <= event.start < end for start, end in optimizing):
        return "optimizer"
    if event.category == "gpu_memcpy":
        return "data" if "HtoD" in event.name else "memory"
    if event.category not in _ON_DEVICE and any(start <= event.start < end for start, end in fetching):
        return "data"
    if _FUSED.search(event.name):
        return "memory"
    if event.category not in _ON_DEVICE and _BOOKKEEPING.match(event.name):
        return "waiting"
    if _ATTENTION.search(event.name):
        return "attention"
    return "products" if _PRODUCT.search(event.name) or event.name.startswith("triton_tem") else "memory"


def _memory_rate(work: Sequence[Event], owned: dict[int, float], events: Sequence[Event]) -> float | None:
    """Bytes a second of the memory-bound work whose operators' shapes are known; a kernel's operator is that with its `External id`."""
    operators = {event.about.get("External id"): event for event in events if event.category == "cpu_op"}
    moved: dict[Any, float] = {}
    seconds = 0.0
    for number, taken in owned.items():
        called = operators.get(work[number].about.get("External id"))
        size = _bytes(called) if called is not None else 0.0
        if called is not None and size:
            moved[called.about["External id"]] = size
            seconds += taken / 1e6
    return sum(moved.values()) / seconds if seconds else None


def _bytes(operator: Event) -> float:
    """What an operator reads and writes, by the shapes of what it is given. A kernel of torch.compile is given its outputs too; any other
    is taken to write as much as the largest of what it reads."""
    shapes, types = operator.about.get("Input Dims", []), operator.about.get("Input type", [])
    sizes = [
        _BYTES.get(kind, 1) * math.prod(shape) for shape, kind in zip(shapes, types, strict=False) if _is_shape(shape)
    ]
    return sum(sizes) + (
        0 if operator.name.startswith("triton_") or operator.name.endswith("_") else max(sizes, default=0)
    )


def _is_shape(shape: Any) -> bool:
    return bool(shape) and all(isinstance(side, int) for side in shape)
