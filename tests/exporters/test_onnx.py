"""ONNX: onnxruntime computes what our model computes, prompt at once, token by token and in padded company."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from genwright import model_folder as models
from genwright.errors import WorkError
from genwright.exporters.comparison import trials
from genwright.exporters.formats import export_as
from genwright.exporters.onnx import folder as onnx_folder
from genwright.exporters.onnx import graph as onnx_graph
from genwright.exporters.onnx.folder import Stepper, compare, open_session
from genwright.exporters.source import ModelReference, source_of
from genwright.networks.decoder import DecoderConfig
from helpers.random_models import ARCHITECTURES, text_folder, text_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_onnxruntime_writes_what_we_write(architecture: str, tmp_path: Path):
    text_folder(tmp_path, architecture)
    place, record = export_as(tmp_path, "onnx")
    found, again = record.compared
    assert (found.runtime, again.runtime) == ("onnxruntime", "onnxruntime-genai")
    assert found.equal == again.equal == found.tokens > 60
    assert again.texts == 5
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-3
    onnx.checker.check_model(onnx.load(place / "onnx" / "model.onnx"), full_check=True)


def test_names_and_shapes_are_those_of_optimum(tmp_path: Path):
    folder = text_folder(tmp_path)
    place, _ = export_as(tmp_path, "onnx")
    session = open_session(place / "onnx" / "model.onnx", 1)
    shapes = {value.name: value.shape for value in session.get_inputs()}
    cache = ["batch", 2, "past", 24]
    assert shapes == {
        "input_ids": ["batch", "tokens"],
        "attention_mask": ["batch", "total"],
        "position_ids": ["batch", "tokens"],
        **{f"past_key_values.{layer}.{part}": cache for layer in range(2) for part in ("key", "value")},
    }
    assert [value.name for value in session.get_outputs()][:3] == ["logits", "present.0.key", "present.0.value"]
    beside = {file.name for file in place.iterdir()}
    assert {"config.json", "tokenizer.json", "generation_config.json", "genai_config.json"} <= beside
    genai = json.loads((place / "genai_config.json").read_text())["model"]
    assert (place / genai["decoder"]["filename"]).is_file()
    assert "genwright" not in json.loads((place / "config.json").read_text())
    assert "genwright" in json.loads((folder / "config.json").read_text())


def test_a_prompt_in_two_pieces_gives_the_same(tmp_path: Path):
    text_folder(tmp_path, "qwen2")
    place, _ = export_as(tmp_path, "onnx")
    config = DecoderConfig.model_validate(
        models.load(tmp_path / "model", CPU).config.network,
    )
    session = open_session(place / "onnx" / "model.onnx", 1)
    tokens = list(range(5, 25))
    whole = Stepper(session, config, 1).read([tokens])
    step = Stepper(session, config, 1)
    halves = np.concatenate([step.read([tokens[:7]]), step.read([tokens[7:]])], axis=1)
    np.testing.assert_allclose(halves, whole, atol=1e-4)


def test_a_sliding_window_is_kept(tmp_path: Path):
    text_folder(tmp_path, "mistral", sliding_window=8)
    _, record = export_as(tmp_path, "onnx")
    assert record.compared[0].equal == record.compared[0].tokens


def test_large_weights_stand_in_a_file_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text_folder(tmp_path)
    monkeypatch.setattr(onnx_folder, "LARGEST_BYTES", 10_000)
    place, record = export_as(tmp_path, "onnx")
    assert record.compared[0].equal == record.compared[0].tokens
    small = (place / "onnx" / "model.onnx").stat().st_size
    assert small < (place / "onnx" / "model.onnx_data").stat().st_size
    assert "onnx/model.onnx_data" in record.files


def test_other_weights_are_found_out(tmp_path: Path):
    folder = text_folder(tmp_path)
    made = models.load(folder, CPU)
    source = source_of(made, folder, "small")
    source.tensors["model.norm.weight"] = source.tensors["model.norm.weight"] * 1.01
    network = DecoderConfig.model_validate(made.config.network)
    (tmp_path / "out").mkdir()
    onnx_folder.write_folder(source, network, [0], tmp_path / "out")
    with pytest.raises(WorkError, match=r"the logits of onnxruntime differ"):
        compare(tmp_path / "out", network, trials(ModelReference(made)), 1)


def test_a_file_that_is_no_graph(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"no protobuf")
    with pytest.raises(WorkError, match=r"model\.onnx: onnxruntime can't load it"):
        open_session(tmp_path / "model.onnx", 1)


def test_it_runs_on_runtimes_of_the_last_years():
    made = text_model()
    graph = onnx_graph.build(DecoderConfig.model_validate(made.config.network), made.family.export_tensors())
    assert (graph.opset_import[0].version, graph.ir_version) == (17, 8)
    assert {node.domain for node in graph.graph.node} == {""}
