"""`genwright export --as`: where it goes, what is refused, what is recorded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from genwright.cli.app import main
from genwright.errors import RequestError
from genwright.exporters import formats
from genwright.exporters.formats import Record, export_as
from helpers.random_models import text_folder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder that has a model."""
    text_folder(tmp_path / "verse")
    return tmp_path / "verse"


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str]:
    with pytest.raises(SystemExit) as caught:
        main(["export", *arguments])
    return caught.value.code, capsys.readouterr().err


def test_an_export_stands_beside_the_model_with_its_record(run: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as done:
        main(["export", str(run), "--as", "onnx"])
    assert done.value.code == 0
    out = capsys.readouterr()
    place = run / "export" / "onnx" / "f32"
    assert Path(out.out.strip()) == place
    assert "greedy tokens equal" in out.err
    record = Record.model_validate_json((place / "export.json").read_text())
    assert (record.format, record.type, record.model) == ("onnx", "f32", "verse")
    assert record.compared[0].runtime == "onnxruntime"
    for name, digest in record.files.items():
        assert hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
    assert [entry.name for entry in place.parent.iterdir()] == ["f32"]


def test_as_json(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["export", str(run), "--as", "onnx", "--out", str(tmp_path / "o"), "--json"])
    assert json.loads(capsys.readouterr().out)["compared"][0]["equal"] > 0
    assert (tmp_path / "o" / "onnx" / "model.onnx").exists()


def test_a_model_folder_that_was_handed_on(run: Path, tmp_path: Path):
    handed = tmp_path / "handed"
    (run / "model").rename(handed)
    place, record = export_as(handed, "onnx")
    assert (place, record.model) == (tmp_path / "handed-export" / "onnx" / "f32", "handed")


def test_again_replaces_what_was_written(run: Path, tmp_path: Path):
    place, _ = export_as(run, "onnx", tmp_path / "out")
    (place / "left over").write_text("x")
    export_as(run, "onnx", tmp_path / "out")
    assert not (place / "left over").exists()


def test_a_folder_with_other_files_is_left_alone(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    code, error = fails(capsys, str(run), "--as", "onnx", "--out", str(tmp_path / "mine"))
    assert code == 2
    assert "holds other files" in error
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--as", "coreml"], r"formats are hf, gguf, onnx"),
        (["--as", "onnx", "--type", "q8_0"], r"onnx is written as f32"),
        (["--as", "hf", "--type", "q8_0"], r"hf is written as f32 or f16"),
        (["--out", "x"], r"--out and --type belong to --as"),
    ],
)
def test_what_can_not_be(run: Path, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    code, error = fails(capsys, str(run), *arguments)
    assert code == 2
    assert told in error
    assert error.count("\n") == 1


def test_a_folder_that_is_no_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, error = fails(capsys, str(tmp_path), "--as", "gguf")
    assert (code, "neither a run nor a model folder" in error) == (2, True)


def test_torn_weights(run: Path, capsys: pytest.CaptureFixture[str]):
    file = run / "model" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    code, error = fails(capsys, str(run), "--as", "gguf")
    assert (code, str(file) in error) == (2, True)
    assert not (run / "export").exists()


def test_a_package_that_is_not_installed(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"needs the package gguf; pip install 'genwright\[export\]'"):
        export_as(run, "gguf")


def test_a_runtime_that_is_not_installed(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(formats, "find_spec", lambda name: None if name == "onnxruntime" else True)
    _, record = export_as(run, "onnx")
    assert (record.compared, "onnxruntime" in record.not_compared[0]) == ([], True)
