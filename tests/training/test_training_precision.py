"""`auto` measures both precisions and takes bf16 where it gains."""

from pathlib import Path

import pytest
import torch

from genwright.training import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("half_s", "chosen"), [(0.4, "bf16"), (0.95, "fp32"), (30.0, "fp32")])
def test_bf16_where_it_gains(monkeypatch: pytest.MonkeyPatch, half_s: float, chosen: str) -> None:
    precision._faster.cache_clear()
    monkeypatch.setattr(precision, "product_seconds", lambda device: (1.0, half_s))
    assert precision.choose("auto", CPU) == chosen
    assert precision.choose("fp32", CPU) == "fp32"
    assert precision.choose("bf16", CPU) == "bf16"
    precision._faster.cache_clear()


def test_both_are_measured_and_nothing_random_is_used() -> None:
    state = torch.get_rng_state()
    full_s, half_s = precision.product_seconds("cpu")
    assert full_s > 0 and half_s > 0
    assert torch.equal(torch.get_rng_state(), state)


def test_a_processor_without_bf16_trains_in_fp32() -> None:
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else "bf16"
    if "bf16" in flags:
        pytest.skip("this processor has bf16 instructions, or does not say")
    precision._faster.cache_clear()
    assert precision.choose("auto", CPU) == "fp32"
