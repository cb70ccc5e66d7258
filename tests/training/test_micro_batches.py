"""Where the memory ends a step is taken again in smaller micro-batches: by the same numbers as one that was planned so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from genwright.errors import WorkError
from genwright.run import read_json_lines
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS, Settings
from genwright.training.micro_batches import Cut, accumulated
from genwright.training.trainer import Trainer
from helpers.tiny_family import Lines, Tiny, tiny

CPU = torch.device("cpu")


def cramped(room: int, step: int = 0, phase: str = "first") -> Tiny:
    """A family that from a step on has no memory for more than `room` examples of a phase. It finds out after it has drawn random numbers
    and changed a buffer, as a real one would."""
    family = tiny()
    loss = family.loss

    def limited(name: str, batch: Any, rng: torch.Generator, at: Any) -> Any:
        much = name == phase and at.step >= step and len(batch["x"]) > room
        out = loss(name, batch, rng, at) if room or not much else None
        if much or out is None:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return out

    family.loss = limited  # type: ignore[method-assign]
    return family


def trainer(family: Tiny, folder: Path | None, steps: int = 12, **options: Any) -> Trainer:
    settings = Settings(steps=steps, batch=8, checkpoint_every=5, keep_checkpoints=9)
    return Trainer(family, Lines(), settings, CPU, folder, **options)


def assert_same(one: Path, other: Path, step: int) -> None:
    (weights, state), (weights_again, state_again) = (
        checkpoint.read(at / "checkpoints" / checkpoint.name_of(step)) for at in (one, other)
    )
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert state["position"] == state_again["position"] and state["extra"]["calls"] == state_again["extra"]["calls"]
    tensors, again = checkpoint.pack(state)[1], checkpoint.pack(state_again)[1]
    assert tensors.keys() == again.keys() and all(torch.equal(tensors[name], again[name]) for name in tensors)
    records, records_again = (
        [{k: v for k, v in r.items() if k not in CLOCK_COLUMNS} for r in read_json_lines(at / "metrics.jsonl")]
        for at in (one, other)
    )
    assert records == records_again


@pytest.mark.parametrize(("phase", "step"), [("first", 0), ("first", 7), ("second", 6)])
def test_the_step_is_repeated_as_if_it_had_not_been_tried(phase: str, step: int, tmp_path: Path) -> None:
    written: list[Cut] = []
    trainer(cramped(3, step, phase), tmp_path / "cramped", write_cut=written.append).run()
    assert written == [Cut(at=step, phase=phase, accumulate=2), Cut(at=step, phase=phase, accumulate=4)]
    trainer(tiny(), tmp_path / "planned", cuts=written).run()
    assert_same(tmp_path / "cramped", tmp_path / "planned", 12)


def test_without_memory_from_the_start_it_is_the_training_that_accumulates(tmp_path: Path) -> None:
    trainer(cramped(2), tmp_path / "cramped").run()
    settings = Settings(steps=12, batch=8, checkpoint_every=5, keep_checkpoints=9, accumulate=4)
    Trainer(tiny(), Lines(), settings, CPU, tmp_path / "accumulating").run()
    assert_same(tmp_path / "cramped", tmp_path / "accumulating", 12)


def test_killed_behind_its_cut_it_ends_the_same(tmp_path: Path) -> None:
    plan: list[Cut] = []
    trainer(cramped(5, 6), tmp_path / "whole", write_cut=plan.append).run()
    trainer(cramped(5, 6), tmp_path / "killed", steps=8).run()
    resumed = trainer(tiny(), tmp_path / "killed", cuts=plan)
    for place in checkpoint.all_in(tmp_path / "killed" / "checkpoints")[:1]:
        (place / checkpoint.MANIFEST).unlink()  # so that it goes on from step 5, before the cut
    resumed.run()
    (weights, _), (weights_again, _) = (
        checkpoint.read(checkpoint.all_in(tmp_path / name / "checkpoints")[0]) for name in ("whole", "killed")
    )
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)


def test_an_example_that_is_too_large_alone_is_told() -> None:
    with pytest.raises(WorkError, match=r"at step 0 one example alone is too much .* smaller"):
        trainer(cramped(0), None).take_step()


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    family, calls = tiny(), []

    def broken(*args: Any) -> Any:
        calls.append(args)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    family.loss = broken  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="mat1"):
        trainer(family, None).take_step()
    assert len(calls) == 1


def test_a_cut_holds_from_its_turn_on() -> None:
    cuts = [Cut(at=3, phase="second", accumulate=2), Cut(at=5, phase="first", accumulate=4)]
    found = [
        [accumulated(1, cuts, step, phase, ("first", "second")) for phase in ("first", "second")]
        for step in range(2, 7)
    ]
    assert found == [[1, 1], [1, 2], [2, 2], [4, 4], [4, 4]]
