"""Which precision a training runs in, looked up in what the processor or the card has, so that the same machine gives the same answer; and how bits come out alike.

fp16 has bf16's digits and three more, but its smallest number is 6e-8: gradients below would be lost. So losses are multiplied by a scale
before the backward pass, as large as gradients allow (arXiv:1710.03740, section 3.2).

With `train.deterministic: on` a card gives the same bits each time, as a CPU does without being asked. Sums of many numbers by atomic
additions, and kernels chosen by a clock, are what differs otherwise. An operator that has no other way is named and refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal

import torch
from torch import Tensor

from genwright.errors import RequestError
from genwright.hardware.device import has_bf16

Precision = Literal["fp32", "bf16", "fp16"]

CUDA_FP16 = (7, 0)
"""Compute capability from which a card's matrix units take fp16 (Volta)."""
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_FIRST_SCALE, _LEAST_SCALE = 2.0**15, 2.0**-30
"""Of a loss of weight 1, and of the largest power of two that fp16 has for the gradient of a loss by itself; what is no scale any more."""
_GROWS_AFTER = 2000
"""Steps without an overflow after which a larger scale is tried, as in torch's GradScaler."""
_WORKSPACE, _SIZE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
"""cuBLAS reads it at its first call, and gives the same bits each time with this size (its documentation, section 2.1.4)."""


def choose(asked: Literal["auto", "fp32", "bf16", "fp16"], device: torch.device) -> Precision:
    """What was asked for; `auto` is bf16 where the device has it in hardware, fp16 on a card that has that, else fp32."""
    if asked != "auto":
        return asked
    if has_bf16(device):
        return "bf16"
    older = device.type == "cuda" and torch.cuda.get_device_capability(device) >= CUDA_FP16
    return "fp16" if older else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """The context that forward passes run in."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, _DTYPES[precision])


class Scaling:
    """The scale of a phase's losses. A step whose gradients are not finite is left out and halves it; many good ones double it.

    `state` is all that there is of it: the scale (0 until there was a loss) and the good steps since it changed, on the device.
    """

    def __init__(self, device: torch.device):
        self.state = torch.zeros(2, device=device)

    def times(self, value: Tensor, weight: Tensor | None = None) -> Tensor:
        """A value times the scale, which the first loss of some weight chooses: the less, the more examples are summed in it."""
        if weight is not None:
            first = torch.exp2((_FIRST_SCALE / weight.clamp_min(1.0)).log2().floor())
            self.state[0] = torch.where(self.state[0] > 0, self.state[0], first)
        return value * self.state[0].clone()

    def update(self, good: Tensor) -> bool:
        """After gradients that are finite, or are not (bool, a scalar), which is returned."""
        scale, steps = self.state.unbind()
        grows = steps + 1 >= _GROWS_AFTER
        after = torch.where(good, torch.where(grows, scale * 2, scale), scale / 2)
        steps_after = torch.where(good & ~grows, steps + 1, torch.zeros_like(steps))
        self.state.copy_(torch.stack((after, steps_after)))
        return bool(good)

    @property
    def collapsed(self) -> Tensor:
        """Whether no scale helped: it is the loss that is not finite (bool, a scalar)."""
        return (self.state[0] > 0) & (self.state[0] < _LEAST_SCALE)


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within, only operators that give the same bits each time. Raises RequestError with the name of one that can't."""
    if not wanted:
        yield
        return
    os.environ.setdefault(_WORKSPACE, _SIZE)
    # Modules with properties, which type checkers don't know.
    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic
    mode, filled = torch.get_deterministic_debug_mode(), memory.fill_uninitialized_memory
    chosen = cudnn.deterministic, cudnn.benchmark
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # a guard for those who read what they did not write
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    except RuntimeError as error:
        if (sentence := refusal(str(error))) is None:
            raise
        raise RequestError(sentence) from error
    finally:
        torch.set_deterministic_debug_mode(mode)
        memory.fill_uninitialized_memory = filled
        cudnn.deterministic, cudnn.benchmark = chosen


def refusal(message: str) -> str | None:
    """What is said of an operator that torch refused; None where the message is of something else."""
    if _WORKSPACE in message:
        return (
            "train.deterministic: cuBLAS was used in this process before it was asked for the same bits each time; set "
            f"{_WORKSPACE}={_SIZE} in the environment and run again."
        )
    found = re.search(r"(\S+) does not have a deterministic implementation", message)
    if found is None:
        return None
    return (
        f"train.deterministic: `{found.group(1)}` has no way on this device that gives the same bits each time; set "
        "`train.deterministic: off` (a resumed training may then differ in the last bits), or train with --device cpu."
    )


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked: clocks are read after this."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
