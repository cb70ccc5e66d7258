"""Going on from a model of one's own: few pictures, all weights or a low-rank change, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import genwright as gw
from genwright.errors import RequestError
from genwright.model import ModelConfig
from genwright.networks.low_rank import add_low_rank, merged_state
from genwright.networks.told import condition_tokens
from genwright.networks.unet import UNet
from genwright.run import model_folder
from genwright.tasks.draw import from_run

TRAINED = """
task: draw
data: {sources: [{folder: pictures, captions: beside}]}
model: {family: flow, size: 16, width: 16}
train: {budget: 4 steps}
evaluate: {samples: 12}
"""


def _pictures(folder: Path, words: list[str], each: int) -> None:
    rng = np.random.default_rng(0)
    for word in words:
        for number in range(each):
            pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
            file = folder / f"{word} {number}.png"
            file.parent.mkdir(exist_ok=True, parents=True)
            Image.fromarray(pixels).save(file)
            file.with_suffix(".txt").write_text(f"a {word}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of eight words, and a folder with twelve pictures of a new one."""
    place = tmp_path_factory.mktemp("from-run")
    _pictures(place / "pictures", ["cat", "dog", "red sun", "moon", "tree", "car"], 4)
    _pictures(place / "new", ["zorglub"], 12)
    (place / "first.yaml").write_text(TRAINED)
    gw.run(place / "first.yaml", run_dir=place / "first", anyway=True)
    return place


def _go_on(place: Path, name: str, **model: object) -> gw.Run:
    settings = {"family": "flow", "size": 16, "from": "first"} | model
    recipe = TRAINED.replace("folder: pictures", "folder: new").replace(
        "{family: flow, size: 16, width: 16}", json.dumps(settings)
    )
    (place / f"{name}.yaml").write_text(recipe)
    return gw.run(place / f"{name}.yaml", run_dir=place / name)


def _weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(model_folder(run) / "model.safetensors")


@pytest.mark.parametrize("lora", [None, {"rank": 2}])
def test_it_goes_on_with_few_pictures_and_is_whole_without_the_first(place: Path, lora: dict[str, int] | None):
    name = "whole" if lora is None else "changed"
    run = _go_on(place, name, **({} if lora is None else {"lora": lora}))
    before, after = _weights(place / "first"), _weights(place / name)
    assert before.keys() == after.keys()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    ranks = [
        torch.linalg.matrix_rank(torch.atleast_2d(after[key] - before[key]).flatten(1).double(), rtol=1e-3)
        for key in moved
    ]
    assert moved and (lora is None or (max(ranks) <= 2 and not any("stem" in key or "norm" in key for key in moved)))
    config = json.loads((model_folder(place / name) / "config.json").read_text())["genwright"]["model"]
    assert config["from"] == "first"
    (picture,) = run.generate("a zorglub beside a red sun", steps=2)
    assert picture.data.size == (16, 16)
    sheet = json.loads((place / name / "evaluate" / "scores.json").read_text())
    kept = {row["kind"]: row["scores"].get("kept") for row in sheet["rows"]}
    assert kept["model"]["n"] and kept["real"] != kept["model"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"family": "gan"}, "set `model.family: flow`"),
        ({"size": 32}, "set `model.size: 16`"),
        ({"width": 32}, "`model.width` is fixed"),
        ({"condition": "none"}, "draws by `condition: text`"),
        ({"from": "nowhere"}, "neither a run nor a model folder"),
        ({"from": None, "lora": {}}, "name that in `model.from`"),
    ],
)
def test_what_does_not_go_with_it_is_refused_before_anything_is_done(place: Path, model: dict[str, object], said: str):
    name = f"refused-{next(iter(model))}"
    with pytest.raises(RequestError, match=said):
        _go_on(place, name, **model)
    assert not list((place / name).glob("*/stage.json"))


def _small_network() -> UNet:
    torch.manual_seed(0)
    return UNet(condition_tokens("text", 10, 32, 1), 16, [16, 32], [1, 1], [False, True], 2)


def test_a_change_is_nothing_at_first_and_the_same_when_merged():
    network = _small_network()
    inputs = (
        torch.randn(2, 3, 16, 16),
        torch.rand(2),
        torch.rand(2),
        {"condition": torch.full((2, 4), 3)},
        torch.ones(2) > 0,
    )
    with torch.no_grad():
        for parameter in network.parameters():  # it starts as zero
            parameter.add_(0.1 * torch.randn_like(parameter))
    plain = network(*inputs)
    names = set(network.state_dict())
    add_low_rank(network, 2)
    assert torch.equal(network(*inputs), plain)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.1 * torch.randn_like(parameter))
    assert 0 < sum(map(torch.numel, trained)) < 0.5 * sum(map(torch.numel, network.parameters()))
    changed, state = network(*inputs), merged_state(network)
    assert set(state) == names and not torch.allclose(changed, plain)
    whole = _small_network()
    whole.load_state_dict(state)
    torch.testing.assert_close(whole(*inputs), changed)


def test_the_size_is_that_of_the_first(place: Path):
    settings = type("Model", (), {"from_": str(place / "first"), "lora": None})
    found = from_run.candidate(settings, 32)
    assert isinstance(found, ModelConfig) and found.network["unet"]["width"] == 16 and "first" in found.title
