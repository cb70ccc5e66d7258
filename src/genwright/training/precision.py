"""Which precision a training runs in: looked up in what the processor or the card has, so that the same machine gives the same answer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from genwright.hardware.device import has_bf16

Precision = Literal["fp32", "bf16"]


def choose(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """What was asked for; `auto` is bf16 where the device has it in hardware, else fp32."""
    if asked != "auto":
        return asked
    return "bf16" if has_bf16(device) else "fp32"


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """The context that forward passes run in."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, torch.bfloat16)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked: clocks are read after this."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
