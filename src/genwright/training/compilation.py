"""torch.compile, where it can be had: each trained module is compiled in place, so that no name in a checkpoint changes.

A network that repeats one block says so by a method `compile_regions()` that gives the blocks: they share one compilation,
which takes a fraction of the time that the whole network's would, and runs nearly as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

import torch
from torch import nn

from genwright.console import say
from genwright.hardware import compiler

_WORTH_SECONDS = {"cpu": 240.0, "cuda": 25.0}
"""A shorter training, run eagerly, can't win back what compiling costs. On two cores that is half a minute for a step that is a third
shorter; on an H200 six seconds, and a step that waits for Python gains more than half."""
_WORTH_FLOPS = {"cpu": 1.5e13, "cuda": 5e15}
"""The same in operations, looked up where the budget is no time, so that no clock decides what is computed: what two cores do in about
four minutes, and a large card's matrix units in the other time, eagerly."""
_WORTH_STEPS = {"cuda": 2500}
"""A card's steps take ten milliseconds at least while Python calls every kernel, however few operations they have."""


def worth_seconds(seconds: float, device: torch.device) -> bool:
    """Whether a training that would take so long eagerly is long enough for the device to win back what compiling costs."""
    return seconds >= _WORTH_SECONDS.get(device.type, float("inf"))


def worth(flops: float, steps: int, device: torch.device) -> bool:
    """The same of a training of so many operations in so many steps."""
    never = float("inf")
    return flops >= _WORTH_FLOPS.get(device.type, never) or steps >= _WORTH_STEPS.get(device.type, never)


def possible(device: torch.device) -> bool:
    """Whether this machine can compile for the device: a CPU needs a C++ compiler, MPS is not worth trying."""
    if device.type == "cpu":
        return _has_cpp_compiler()
    return device.type == "cuda"


def apply(modules: nn.ModuleDict, device: torch.device) -> bool:
    """Compile some modules; says so once, and does nothing, where it is not possible."""
    if not possible(device):
        say_eager(device.type)
        return False
    compiler.hush()
    for region in _regions(modules.values()):
        region.compile()
    return True


def remove(modules: nn.ModuleDict) -> None:
    """Undo `apply`: the modules run eagerly again."""
    for region in _regions(modules.values()):
        region._compiled_call_impl = None  # what nn.Module.compile sets; torch has no call to take it back


def _regions(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        regions = getattr(module, "compile_regions", None)
        yield from regions() if regions is not None else [module]


@lru_cache
def _has_cpp_compiler() -> bool:
    from torch._inductor.cpp_builder import get_cpp_compiler
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        return bool(get_cpp_compiler())
    except (InvalidCxxCompiler, RuntimeError, OSError):
        return False


@lru_cache
def say_eager(kind: str) -> None:
    what = "no C++ compiler was found" if kind == "cpu" else f"{kind} is not compiled for"
    say(f"train: {what}, so the model runs without torch.compile; only the speed changes.")


def checkpoint_activations(modules: nn.Module, wanted: bool) -> None:
    """Have every network inside that can compute activations again in the backward pass (arXiv:1604.06174): less memory for a step that is
    a third longer, and the same result. A network that can has an attribute of this name, and does so while it is true."""
    for module in modules.modules():
        if "checkpoint_activations" in vars(module):
            vars(module)["checkpoint_activations"] = wanted
