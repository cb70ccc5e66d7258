"""Where a step's time goes, from events made by hand. Times are in microseconds."""

from __future__ import annotations

from typing import Any

import pytest

from genwright.training.profiling.breakdown import KINDS, breakdown
from genwright.training.profiling.trace import DATA, OPTIMIZER, WINDOW, Event


def window(start: float = 0, duration: float = 1000) -> Event:
    return Event(WINDOW, "user_annotation", start, duration, thread=1)


def kernel(name: str, start: float, duration: float, **about: Any) -> Event:
    return Event(name, "kernel", start, duration, thread=7, about=about)


def operator(name: str, start: float, duration: float, thread: int = 1, **about: Any) -> Event:
    return Event(name, "cpu_op", start, duration, thread, about)


def microseconds(events: list[Event], steps: int = 1) -> dict[str, float]:
    found = breakdown(events, steps)
    assert sum(found.by_kind.values()) == pytest.approx(found.seconds), "every moment has one kind"
    return {kind: round(seconds * 1e6, 6) for kind, seconds in found.by_kind.items() if seconds}


def test_kernels_of_a_card_are_told_apart_by_their_names() -> None:
    events = [
        window(),
        kernel("nvjet_tst_128x256_64x4_2x1_v_bz_TNT", 0, 200),
        kernel("sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n", 200, 100),
        kernel("void cutlass::device_kernel<flash::FlashAttnFwdSm90>", 300, 100),
        kernel("cudnn_generated_fort_native_sdpa_sm90_flash_bprop", 400, 50),
        kernel("triton_per_fused__scaled_dot_product_flash_attention_mm_add_3", 450, 50),
        kernel("triton_tem_fused_mm_7", 500, 20),
        kernel("void at::native::vectorized_elementwise_kernel<4, ...>", 520, 80),
        Event("Memcpy HtoD (Pinned -> Device)", "gpu_memcpy", 600, 30),
        Event("Memcpy DtoD (Device -> Device)", "gpu_memcpy", 630, 30),
    ]
    found = microseconds(events)
    assert found == {"products": 320, "attention": 150, "memory": 160, "data": 30, "waiting": 340}


def test_all_that_the_optimizer_does_counts_as_its_own() -> None:
    events = [
        window(),
        kernel("nvjet_forward", 0, 400),
        Event(OPTIMIZER, "gpu_user_annotation", 500, 300),
        Event(OPTIMIZER, "user_annotation", 100, 20, thread=1),
        kernel("nvjet_of_muon", 500, 100),
        kernel("multi_tensor_apply_kernel", 650, 150),
    ]
    assert microseconds(events) == {"products": 400, "optimizer": 250, "waiting": 350}


def test_a_card_that_waits_while_examples_are_fetched_waits_for_data() -> None:
    events = [
        window(),
        kernel("nvjet", 0, 500),
        Event(DATA, "user_annotation", 400, 300, thread=1),
        kernel("nvjet", 900, 100),
    ]
    assert microseconds(events) == {"products": 600, "data": 200, "waiting": 200}


def test_kernels_side_by_side_count_once() -> None:
    events = [window(), kernel("nvjet", 0, 600), kernel("elementwise_kernel", 400, 400), kernel("nvjet", 2000, 10)]
    assert microseconds(events) == {"products": 400, "memory": 400, "waiting": 200}


def test_on_a_processor_the_innermost_operator_is_at_work() -> None:
    events = [
        window(),
        operator("aten::linear", 0, 300),
        operator("aten::t", 0, 20),
        operator("aten::addmm", 20, 270),
        operator("aten::copy_", 30, 40),
        operator("aten::gelu", 300, 100),
        operator("aten::_scaled_dot_product_flash_attention_for_cpu", 400, 100),
        operator("autograd::engine::evaluate_function: MulBackward0", 500, 60),
        operator("aten::mul", 520, 30),
        Event(OPTIMIZER, "user_annotation", 600, 200, thread=1),
        operator("aten::mm", 650, 100),
        Event(DATA, "user_annotation", 800, 50, thread=1),
        operator("aten::index_select", 810, 20),
        operator("aten::mm", 0, 1000, thread=2),
        operator("Torch-Compiled Region: 0/0", 900, 50),
        operator("aten::mm", 910, 10),
    ]
    found = microseconds(events)
    # Of linear itself 10 are left, and 30 of autograd: its own bookkeeping.
    assert found["products"] == 270 - 40 + 10 and found["memory"] == 40 + 100 + 30 + 40
    assert found["attention"] == 100 and found["optimizer"] == 200 and found["data"] == 50
    assert found["waiting"] == 20 + 10 + 30 + 40 + 50 + 50


def test_what_lies_outside_the_window_is_not_counted() -> None:
    events = [window(start=100, duration=100), kernel("nvjet", 0, 120), kernel("nvjet", 190, 100)]
    found = breakdown(events, steps=2)
    assert found.seconds == pytest.approx(50e-6) and found.by_kind["products"] == pytest.approx(15e-6)
    assert found.share("products") == pytest.approx(0.3)


def test_the_rate_of_memory_is_that_of_the_work_whose_shapes_are_known() -> None:
    big = {"Input Dims": [[1000, 1000], [1000, 1000], []], "Input type": ["float", "c10::BFloat16", "Scalar"]}
    events = [
        window(),
        operator("aten::add", 0, 5, **{"External id": 1}, **big),
        kernel("elementwise_kernel", 10, 100, **{"External id": 1}),
        operator("triton_poi_fused_add_0", 5, 5, **{"External id": 2}, **big),
        kernel("triton_poi_fused_add_0", 110, 100, **{"External id": 2}),
        kernel("elementwise_kernel", 300, 500),
    ]
    # Eager: reads 4 MB and 2 MB, writes 4 MB. Compiled: what is written is among what is given.
    assert breakdown(events, 1).memory_rate == pytest.approx((10e6 + 6e6) / 200e-6)
    assert breakdown([window(), kernel("elementwise_kernel", 0, 10)], 1).memory_rate is None


def test_a_trace_without_the_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="no event is called"):
        breakdown([kernel("nvjet", 0, 1)], 1)
    assert set(breakdown([window()], 1).by_kind) == set(KINDS)
