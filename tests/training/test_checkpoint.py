"""Checkpoints: whole or not there, and plain data only."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from genwright.errors import WorkError
from genwright.training import checkpoint

STATE = {
    "step": 3,
    "seen": torch.tensor(7.5, dtype=torch.float64),
    "nested": {"list": [1, 2.5, None, True, "x"], "tuple": (1, torch.arange(3)), 4: "an int key"},
    "random": torch.get_rng_state(),
}


def write(folder: Path, step: int = 3) -> Path:
    place = folder / checkpoint.name_of(step)
    return checkpoint.write(place, {"w": torch.randn(3, 4)}, STATE, {"best": step})


def test_state_comes_back_as_it_was(tmp_path: Path) -> None:
    weights, state = checkpoint.read(write(tmp_path))
    assert weights["w"].shape == (3, 4)
    assert state["nested"]["list"] == STATE["nested"]["list"] and state["nested"][4] == "an int key"
    assert isinstance(state["nested"]["tuple"], tuple) and torch.equal(state["nested"]["tuple"][1], torch.arange(3))
    assert state["seen"].dtype == torch.float64 and state["seen"].item() == 7.5
    assert torch.equal(state["random"], STATE["random"])
    assert checkpoint.about(tmp_path / checkpoint.name_of(3)) == {"best": 3}


def test_no_pickle_stands_in_it(tmp_path: Path) -> None:
    place = write(tmp_path)
    assert {file.suffix for file in place.iterdir()} == {".json", ".safetensors"}
    with pytest.raises(TypeError, match="can't hold a set"):
        checkpoint.pack({"x": {1, 2}})


@pytest.mark.parametrize("name", ["weights.safetensors", "state.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_harmed_file_is_noticed_and_the_one_before_is_used(
    tmp_path: Path, name: str, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, 3)
    file = write(tmp_path, 6) / name
    content = bytearray(file.read_bytes())
    if harm == "cut":
        os.truncate(file, len(content) - 1)
    elif harm == "flip":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    found = checkpoint.newest(tmp_path)
    assert found is not None and found[0].name == checkpoint.name_of(3)
    said = capsys.readouterr().err
    assert checkpoint.name_of(6) in said and name in said


@pytest.mark.parametrize("text", ["", "{", '{"format": 1}', "[]"])
def test_a_torn_manifest_is_no_checkpoint(tmp_path: Path, text: str) -> None:
    place = write(tmp_path)
    (place / checkpoint.MANIFEST).write_text(text)
    assert checkpoint.newest(tmp_path) is None


def test_of_another_format_is_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = write(tmp_path)
    manifest = json.loads((place / checkpoint.MANIFEST).read_text())
    (place / checkpoint.MANIFEST).write_text(json.dumps(manifest | {"format": 99}))
    assert checkpoint.newest(tmp_path) is None
    assert "format 99" in capsys.readouterr().err


def test_sweeping_keeps_the_newest_and_removes_what_kills_left(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    (tmp_path / ".step-00000009.123").mkdir()
    (tmp_path / checkpoint.name_of(9)).mkdir()  # renamed, and killed before its manifest
    checkpoint.sweep(tmp_path, 2)
    assert sorted(place.name for place in tmp_path.iterdir()) == [checkpoint.name_of(3), checkpoint.name_of(4)]


def test_dropping_what_came_after_a_step(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        write(tmp_path, step)
        (tmp_path / f"{checkpoint.name_of(step)}.png").write_bytes(b"")
    checkpoint.drop_after(tmp_path, 2)
    assert {place.name.partition(".")[0] for place in tmp_path.iterdir()} == {"step-00000001", "step-00000002"}


def test_a_full_disk_is_said_and_the_checkpoint_before_stays(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    write(tmp_path, 3)
    large = {"w": torch.zeros(200_000)}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal = pytest.importorskip("signal")
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(WorkError, match="make room"):
            checkpoint.write(tmp_path / checkpoint.name_of(6), large, STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    found = checkpoint.newest(tmp_path)
    assert found is not None and found[0].name == checkpoint.name_of(3)
    assert [place.name for place in tmp_path.iterdir()] == [checkpoint.name_of(3)]


def test_shared_weights_are_stored_once_and_shapes_are_checked() -> None:
    modules = nn.ModuleDict({"a": nn.Linear(3, 3), "b": nn.Linear(3, 3)})
    modules["b"].weight = modules["a"].weight
    weights = checkpoint.weights_of(modules)
    assert list(weights) == ["a.weight", "a.bias", "b.bias"]
    with pytest.raises(ValueError, match="other parameters"):
        checkpoint.load_weights(modules, {"a.weight": weights["a.weight"]})
    with pytest.raises(ValueError, match="shape"):
        checkpoint.load_weights(modules, {**weights, "a.bias": torch.zeros(4)})


def test_the_hash_of_a_module_follows_its_weights_and_buffers() -> None:
    module = nn.BatchNorm1d(3)
    before = checkpoint.hash_of(module)
    assert checkpoint.hash_of(module) == before
    module.running_mean[0] = 1.0  # type: ignore[index]
    assert checkpoint.hash_of(module) != before


def test_random_states_of_other_devices_are_refused() -> None:
    states = checkpoint.random_states(torch.device("cpu"))
    torch.rand(3)
    checkpoint.restore_random_states(states, torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), states["cpu"])
    with pytest.raises(WorkError, match="cuda:0"):
        checkpoint.restore_random_states({**states, "cuda:0": states["cpu"]}, torch.device("cpu"))
