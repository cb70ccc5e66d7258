"""Models that draw, written for other programs: onnxruntime and stock diffusers draw the same picture from the same noise."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from genwright import model_folder as models
from genwright.errors import RequestError, WorkError
from genwright.exporters.formats import export_as
from genwright.exporters.pictures import folder as pictures
from genwright.exporters.pictures.drawing import Pipeline
from genwright.exporters.pictures.prx import transformer_config
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.networks.dit import DiT
from genwright.networks.told import condition_tokens
from genwright.recipe import recipe_class
from genwright.registry import TASKS
from genwright.tasks.base import Splits
from helpers.drawing_models import drawing_model
from helpers.random_models import text_folder

KINDS: dict[str, dict[str, Any]] = {
    "gan": {"family": "gan"},
    "vae": {"family": "vae", "condition": "label"},
    "unet": {"family": "flow"},
    "transformer": {"family": "flow", "network": "transformer", "width": 64},
    "no words": {"family": "flow", "condition": "none"},
}


def saved(place: Path, **settings: Any) -> Path:
    models.save(drawing_model(**{"size": 16, **settings}), place / "model")
    return place / "model"


@pytest.mark.parametrize("kind", KINDS)
def test_onnxruntime_draws_what_we_draw(kind: str, tmp_path: Path) -> None:
    place, record = export_as(saved(tmp_path, **KINDS[kind]), "onnx")
    (found,) = record.compared
    assert isinstance(found, pictures.PictureComparison)
    assert found.runtime == "onnxruntime" and 0 < found.largest_difference < 1e-3
    graph = onnx.load(place / "model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert {node.domain for node in graph.graph.node} == {""} and graph.opset_import[0].version == 17
    assert set(record.files) >= {"model.onnx", "pipeline.json", "drawing.py"}


def test_a_network_that_sees_another_picture_leaves_with_it(tmp_path: Path) -> None:
    schema = recipe_class("repair", "flow").model_fields
    settings = schema["model"].annotation.model_validate({"family": "flow", "size": 16, "width": 16})  # type: ignore[union-attr]
    task = TASKS["repair"].load()(schema["prepare"].annotation.model_validate({}), settings, "flow")  # type: ignore[union-attr]
    facts = task.fit([])
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    torch.manual_seed(0)
    parts = build_parts(task, config, facts, torch.device("cpu"))
    with torch.no_grad():
        for parameter in parts["model"].modules.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    models.save(Model(task, config, facts, parts, torch.device("cpu")), tmp_path / "model")
    place, record = export_as(tmp_path / "model", "onnx")
    about = json.loads((place / "pipeline.json").read_text())
    assert about["inputs"][-1] == "beside" and about["condition"] == {"kind": "ids", "count": task.condition_ids}
    (found,) = record.compared
    assert isinstance(found, pictures.PictureComparison) and 0 < found.largest_difference < 1e-3


def test_the_script_beside_it_draws_without_genwright(tmp_path: Path) -> None:
    place, _ = export_as(saved(tmp_path, family="flow"), "onnx")
    command = [sys.executable, "-I", str(place / "drawing.py"), "a red apple", str(tmp_path / "apple.png"), "3"]
    subprocess.run(command, check=True, capture_output=True)
    with Image.open(tmp_path / "apple.png") as picture:
        assert picture.size == (16, 16)
        drawn = np.asarray(picture).astype(int)
    pipeline = Pipeline(place, threads=1)
    assert np.abs(np.asarray(pipeline("a red apple", 3)).astype(int) - drawn).max() <= 1
    assert np.abs(np.asarray(pipeline("cat face", 3)).astype(int) - drawn).max() > 1
    fine = pipeline("a red apple", 3, steps=16, guidance=1.0, solver="euler")
    assert np.abs(np.asarray(fine).astype(int) - drawn).max() > 1


def test_weights_that_are_not_the_models_are_found_out(tmp_path: Path) -> None:
    model = drawing_model("gan", size=16)
    (tmp_path / "out").mkdir()
    work = pictures.PictureWork("small", model, tmp_path, "f32", tmp_path / "out", [], [])
    pictures.write_folder(work)
    with torch.no_grad():
        next(model.family.modules["generator"].parameters()).mul_(1.5)
    with pytest.raises(WorkError, match="what onnxruntime draws differs from ours"):
        pictures.compare(work, 1)


@pytest.mark.parametrize(
    ("settings", "form", "said"),
    [
        ({"family": "flow"}, "diffusers", "train one with `model: {family: flow, network: transformer}`"),
        ({"family": "gan"}, "diffusers", "train one with `model: {family: flow, network: transformer}`"),
        ({"family": "flow", "network": "transformer", "width": 32, "condition": "label"}, "diffusers", "`condition: text`"),
        ({"family": "gan"}, "gguf", "can't be written as gguf; it can be written as onnx or diffusers"),
    ],
)  # fmt: skip
def test_what_has_no_such_form_is_one_sentence(settings: dict[str, Any], form: str, said: str, tmp_path: Path) -> None:
    folder = saved(tmp_path, **settings)
    with pytest.raises(RequestError, match=f"--as {form}: ") as error:
        export_as(folder, form)
    assert said in str(error.value) and not (tmp_path / "export" / form / "f32").exists()


def test_texts_do_not_leave_as_pictures(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="can't be written as diffusers; it can be written as hf or gguf or onnx"):
        export_as(text_folder(tmp_path), "diffusers")


def test_a_diffusers_folder_says_what_stands_in_it_where_diffusers_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genwright.exporters.pictures.prx.find_spec", lambda name: None)
    place, record = export_as(saved(tmp_path, **KINDS["transformer"]), "diffusers")
    assert record.compared == [] and "pip install diffusers==0.42.1 ftfy" in record.not_compared[0]
    index = json.loads((place / "model_index.json").read_text())
    parts = {name: value for name, value in index.items() if isinstance(value, list)}
    assert set(parts) == {"transformer", "scheduler", "text_encoder", "tokenizer"}
    assert all((place / name).is_dir() for name in parts)
    config = json.loads((place / "transformer" / "config.json").read_text())
    assert (config["hidden_size"], sum(config["axes_dim"]) * config["num_heads"]) == (64, 64)


@pytest.mark.skipif(find_spec("diffusers") is None, reason="needs diffusers, which is no dependency")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("noise", "tolerance"), [([1 / 64, 1 / 32], 2e-5), ([0.8, 0.3], 2e-3)])
def test_our_transformer_is_diffusers_own(noise: list[float], tolerance: float) -> None:
    """Random weights, random inputs, some tokens closed off. An angle of the time is its share of noise times 1000, so in fp32 its last bits
    are the larger the more noise there is, and the two multiply in another order."""
    from diffusers import PRXTransformer2DModel  # type: ignore[attr-defined]

    torch.manual_seed(0)
    ours = DiT(condition_tokens("text", 10, 32, 1), 16, 64, 3, 4, 16).eval()
    theirs = PRXTransformer2DModel(**transformer_config(ours)).eval()
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(0.2 * torch.randn_like(parameter))
        state = {k: v for k, v in ours.state_dict().items() if not k.startswith(("encoder.", "leap_in."))}
        assert theirs.load_state_dict(state, strict=True)
        token_BL, told_B = torch.tensor([[1, 5, 6, 0], [1, 7, 8, 9]]), torch.ones(2, dtype=torch.bool)
        z_BCHW, time_B = torch.randn(2, 3, 16, 16), 1 - torch.tensor(noise)
        found = ours(z_BCHW, time_B, time_B, {"condition": token_BL}, told_B)
        token_BLD, real_BL = ours.encoder(token_BL, told_B)
        wanted = theirs(z_BCHW, 1 - time_B, token_BLD, real_BL).sample
    assert found.std() > 0.1
    print(f"largest difference {(found - wanted).abs().max():.2g} of {found.abs().max():.2g}")
    torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance * float(found.abs().max()))


@pytest.mark.skipif(find_spec("diffusers") is None or find_spec("ftfy") is None, reason="needs diffusers and ftfy")
@pytest.mark.filterwarnings("ignore")
def test_stock_diffusers_draws_the_same_picture(tmp_path: Path) -> None:
    _, record = export_as(saved(tmp_path, **KINDS["transformer"]), "diffusers")
    (found,) = record.compared
    print(found)
    assert isinstance(found, pictures.PictureComparison) and found.largest_difference < 1e-3
