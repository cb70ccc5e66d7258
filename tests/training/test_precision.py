"""`auto` looks up what the processor or the card has; no clock is asked. Losses in fp16 are scaled, and bits come out alike where asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from genwright.errors import RequestError, WorkError
from genwright.families.base import Loss, Moment
from genwright.hardware.device import has_bf16
from genwright.training import checkpoint, precision, saving
from genwright.training.base import Settings
from genwright.training.trainer import Trainer
from helpers.tiny_family import Lines, Tiny, tiny

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


@pytest.mark.parametrize(
    ("capability", "chosen"), [((6, 1), "fp32"), ((7, 0), "fp16"), ((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")]
)
def test_a_card_is_asked_for_its_compute_capability(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.choose("auto", CARD) == chosen


def test_this_processor_is_read_as_the_system_lists_it() -> None:
    listed = Path("/proc/cpuinfo")
    if not listed.exists():
        pytest.skip("this system does not list what its processor has")
    assert has_bf16(CPU) == ("bf16" in listed.read_text(encoding="utf-8"))


def fp16(family: Tiny, folder: Path | None = None, steps: int = 10) -> Trainer:
    settings = Settings(steps=steps, batch=8, precision="fp16", checkpoint_every=4)
    return Trainer(family, Lines(), settings, CPU, folder)


def overflowing(steps: set[int]) -> Tiny:
    """A family whose first phase's gradients are not finite at some steps."""
    family = tiny()
    loss = family.loss

    def broken(phase: str, batch: Any, rng: torch.Generator, at: Moment) -> Loss:
        out = loss(phase, batch, rng, at)
        if phase == "first" and at.step in steps:
            out.value = out.value * torch.inf
        return out

    family.loss = broken  # type: ignore[method-assign]
    return family


def test_in_fp16_losses_are_scaled_and_the_gradients_are_those_of_fp32() -> None:
    half, full = fp16(tiny(noise=0.0)), Trainer(tiny(noise=0.0), Lines(), Settings(steps=10, batch=8), CPU)
    for made in (half, full):
        made.family.modules["slope"][2].p = 0.0  # dropout draws otherwise for numbers of another size
        made.take_step()
    assert float(half.scaling["first"].state[0]) == 2.0**12  # eight examples are summed
    found, expected = half.window.take(), full.window.take()
    assert found["first/grad_norm"] == pytest.approx(expected["first/grad_norm"], rel=0.01)
    assert found["first/skipped"] == 0


def test_gradients_too_small_for_fp16_are_not_lost() -> None:
    network = torch.nn.Linear(4, 4)
    with precision.autocast("fp16", CPU):
        value = (network(torch.full((2, 4), 1e-3)) * 1e-6).sum()
    (lost,) = torch.autograd.grad(value, network.weight, retain_graph=True)
    assert not lost.any()
    scaling = precision.Scaling(CPU)
    (kept,) = torch.autograd.grad(scaling.times(value, torch.tensor(1.0)), network.weight)
    torch.testing.assert_close(kept / scaling.state[0], torch.full((4, 4), 2e-9), rtol=0.02, atol=0.0)


def test_a_step_without_finite_gradients_is_left_out_and_counts() -> None:
    made = fp16(overflowing({0}))
    before = {name: value.clone() for name, value in made.family.modules.state_dict().items()}
    moments = {name: value.clone() for name, value in made.optimizers["first"].state_dict().items()}
    made.take_step()
    after = made.family.modules.state_dict()
    assert made.step == 1 and torch.equal(before["slope.1.weight"], after["slope.1.weight"])
    assert not torch.equal(before["offset.weight"], after["offset.weight"])  # the other phase has a scale of its own
    assert all(torch.equal(moments[name], value) for name, value in made.optimizers["first"].state_dict().items())
    assert float(made.scaling["first"].state[0]) == 2.0**11 and float(made.scaling["second"].state[0]) == 2.0**12
    record = made.window.take()
    assert record["first/skipped"] == 1 and record["second/skipped"] == 0
    assert all(torch.tensor(value).isfinite() for value in record.values())
    made.take_step()
    assert not torch.equal(before["slope.1.weight"], made.family.modules.state_dict()["slope.1.weight"])


def test_resumed_behind_steps_that_were_left_out_it_is_the_same(tmp_path: Path) -> None:
    broken = {1, 2, 6}
    fp16(overflowing(broken), tmp_path / "whole").run()
    fp16(overflowing(broken), tmp_path / "parts", steps=10)
    stopped = fp16(overflowing(broken), tmp_path / "parts")
    for _ in range(5):
        stopped.take_step()
    saving.save(stopped)
    fp16(overflowing(broken), tmp_path / "parts").run()
    (weights, state), (weights_again, state_again) = (
        checkpoint.read(checkpoint.all_in(tmp_path / name / "checkpoints")[0]) for name in ("whole", "parts")
    )
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert torch.equal(state["scaling"]["first"], state_again["scaling"]["first"])
    assert state["scaling"]["first"].tolist() == [2.0**9, 3.0]


def test_a_loss_that_no_scale_helps_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(WorkError, match=r"at step \d+ a loss or gradient is not a finite number"):
        fp16(overflowing(set(range(200))), tmp_path, steps=200).run()


def test_many_good_steps_try_a_larger_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_GROWS_AFTER", 3)
    monkeypatch.setattr(precision, "_FIRST_SCALE", 2.0**8)
    made = fp16(tiny())
    for _ in range(4):
        made.take_step()
    assert made.scaling["first"].state.tolist() == [2.0**6, 1.0]


def test_asked_for_the_same_bits_torch_is_asked_and_left_as_it_was() -> None:
    assert not torch.are_deterministic_algorithms_enabled()
    with precision.deterministic(True):
        assert torch.are_deterministic_algorithms_enabled() and torch.backends.cudnn.deterministic
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] in (":4096:8", ":16:8")
        with precision.deterministic(False):
            assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled() and not torch.backends.cudnn.deterministic


def test_an_operator_without_a_deterministic_way_is_named_and_refused() -> None:
    with pytest.raises(RequestError, match=r"`put_` has no way .*deterministic: off"), precision.deterministic(True):
        torch.zeros(3).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))
    assert not torch.are_deterministic_algorithms_enabled()
    assert precision.refusal("CUDA error: an illegal memory access") is None
    assert "CUBLAS_WORKSPACE_CONFIG=:4096:8" in str(precision.refusal("... set CUBLAS_WORKSPACE_CONFIG=:16:8 ..."))
