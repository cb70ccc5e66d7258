"""Which precision a training runs in: looked up in what the processor or the card has, so that the same machine gives the same answer."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import torch

Precision = Literal["fp32", "bf16"]

CPU_BF16 = ("amx_bf16", "avx512_bf16", "arm_bf16", "bf16")
"""Instruction sets that multiply bf16 matrices, as torch.cpu.get_capabilities() names them. Without one bf16 is emulated, and up to
thirty times slower than fp32."""
CUDA_BF16 = (8, 0)
"""Compute capability from which a card's matrix units take bf16 (Ampere)."""


def choose(asked: Literal["auto", "fp32", "bf16"], device: torch.device) -> Precision:
    """What was asked for; `auto` is bf16 where the device has it in hardware, else fp32."""
    if asked != "auto":
        return asked
    return "bf16" if has_bf16(device) else "fp32"


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


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager:
    """The context that forward passes run in."""
    return nullcontext() if precision == "fp32" else torch.autocast(device.type, torch.bfloat16)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was asked: clocks are read after this."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
