"""`auto` looks up what the processor or the card has; no clock is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genwright.training import precision

CPU, CARD = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "chosen"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"avx2": True, "avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        ({"architecture": "aarch64", "arm_bf16": True}, "bf16"),
        ({}, "fp32"),
    ],
)
def test_a_processor_is_asked_for_its_instructions(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert precision.choose("auto", CPU) == chosen
    assert precision.choose("fp32", CPU) == "fp32"
    assert precision.choose("bf16", CPU) == "bf16"


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "fp32"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_card_is_asked_for_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.choose("auto", CARD) == chosen


def test_this_processor_is_read_as_the_system_lists_it() -> None:
    listed = Path("/proc/cpuinfo")
    if not listed.exists():
        pytest.skip("this system does not list what its processor has")
    assert precision.has_bf16(CPU) == ("bf16" in listed.read_text(encoding="utf-8"))
