"""`family: transformer` of draw: its sizes, the examples of its second part, a codec from another run."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.families.codec.family import Codec
from genwright.model_folder import build_task
from genwright.run import Run, read_json
from genwright.stages.export import stage as export
from genwright.stages.prepare.stage import load_splits
from genwright.stages.train import stage as train
from genwright.tasks.image import codes
from genwright.training import checkpoint
from helpers.training_child import CODES, prepare

CPU = torch.device("cpu")
TRAIN = {"budget": "10 steps", "batch": 4, "validate_times": 1, "previews": 1, "precision": "fp32", "compile": "off"}


def _recipe(**model: Any) -> recipes.Recipe:
    content = copy.deepcopy(CODES) | {"train": TRAIN}
    content["model"] |= {key: content["model"].get(key, {}) | value if isinstance(value, dict) else value for key, value in model.items()}  # fmt: skip
    return recipes.parse(yaml.safe_dump(content))


def _prepared(place: Path, **model: Any) -> tuple[recipes.Recipe, Run]:
    recipe = _recipe(**model)
    file = place.with_suffix(".yaml")
    file.write_text(recipe.to_yaml(), encoding="utf-8")
    prepare(str(file), str(place))
    return recipe, Run(place)


def _trained(place: Path, **model: Any) -> tuple[recipes.Recipe, Run]:
    recipe, run = _prepared(place, **model)
    train.run(recipe, run, task=build_task(recipe), device=CPU)
    return recipe, run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[recipes.Recipe, Run]:
    return _trained(tmp_path_factory.mktemp("codes") / "theirs")


def test_a_code_stands_for_more_pixels_where_pictures_are_large():
    found = {}
    for size in (16, 32, 64, 128, 256):
        model = _recipe(size=size).model
        found[size] = codes.shrink_of(model), codes.side_of(model)
    assert found == {16: (4, 4), 32: (4, 8), 64: (4, 16), 128: (8, 16), 256: (16, 16)}
    assert codes.side_of(_recipe(size=32, codec={"shrink": 2}).model) == 16


def test_the_prior_has_sizes_and_the_codec_has_one():
    chosen = codes.candidates(_recipe().model, CPU)
    assert [config.network for config in chosen] == [{"layers": 1, "width": 32}]
    free = _recipe(prior={"layers": None, "width": None}).model
    wide = [codes.candidates(free, device) for device in (CPU, torch.device("cuda"))]
    assert [len(sizes) for sizes in wide] == [4, 6]
    assert all("a codec of 16 channels" in config.title for sizes in wide for config in sizes)


def test_the_second_part_learns_from_codes_of_pictures_and_of_their_mirror_images(
    trained: tuple[recipes.Recipe, Run],
):
    recipe, run = trained
    task = build_task(recipe)
    codec, store = train.load_trained(run, CPU).parts["codec"], load_splits(run, task)["train"]
    assert isinstance(codec, Codec)
    examples = [store[row] for row in range(5)]
    plain, both = (list(codes.derived(codec, examples, flip)) for flip in (False, True))
    assert set(plain[0]) == {"codes", "condition"} and set(both[0]) == {"codes", "mirrored", "condition"}
    turned = [example | {"image": example["image"][:, ::-1]} for example in examples]
    for example, other in zip(both, codes.derived(codec, turned, flip=False), strict=True):
        assert np.array_equal(example["mirrored"], other["codes"]) and example["codes"].dtype == np.uint16
    task.prepare.flip = True
    drawn = [task.augment(both[0], np.random.default_rng(seed))["codes"] for seed in range(20)]
    kinds = {array.tobytes() for array in drawn}
    assert kinds == {both[0]["codes"].tobytes(), both[0]["mirrored"].tobytes()}
    batch = task.collate(both)
    assert batch["codes"].shape == (5, 16) and batch["codes"].dtype == torch.int64 and "data" not in batch


def test_a_codec_may_be_taken_from_another_run(trained: tuple[recipes.Recipe, Run], tmp_path: Path):
    theirs = trained[1]
    _, run = _trained(tmp_path / "ours", codec={"from": str(theirs.folder)})
    summary = read_json(run.stage("train") / "stage.json")["summary"]
    assert summary["parts"]["prior"]["steps"] == 10 and summary["parts"]["codec"]["from"] == "theirs"
    (one, _), (other, _) = (
        checkpoint.read(checkpoint.all_in(each.stage("train") / "codec" / "best")[0]) for each in (theirs, run)
    )
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert str(theirs.folder) not in json.dumps(summary)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"size": 32}, r"`model\.codec\.from`: `model\.size` is 32 here and 16 in .*theirs; say the same here"),
        ({"codec": {"width": 32}}, r"`model\.codec\.from`: `model\.codec\.width` is 32 here and 16 in .*theirs"),
        ({"codec": {"levels": [8, 6, 5]}}, r"`model\.codec\.levels` is \[8, 6, 5\] here and \[8, 5, 5, 5\] in"),
    ],
)
def test_a_codec_of_another_size_is_refused(
    trained: tuple[recipes.Recipe, Run], tmp_path: Path, model: dict[str, Any], said: str
):
    codec = {"from": str(trained[1].folder)} | model.get("codec", {})
    recipe, run = _prepared(tmp_path / "ours", **model | {"codec": codec})
    for attempt in (train.plan, train.run):
        with pytest.raises(RequestError, match=said):
            attempt(recipe, run, task=build_task(recipe), device=CPU)


def test_a_model_of_two_parts_is_not_gone_on_from(trained: tuple[recipes.Recipe, Run], tmp_path: Path):
    shutil.copytree(trained[1].folder, tmp_path / "run")
    export.run(trained[0], Run(tmp_path / "run"), task=build_task(trained[0]), device=CPU)
    with pytest.raises(RequestError, match="a model of several parts can't be gone on from"):
        build_task(_recipe(**{"from": str(tmp_path / "run")})).check()


def test_a_place_is_one_beside_the_recipe(tmp_path: Path):
    text = "task: draw\ndata: {sources: [{folder: x}]}\nmodel: {family: transformer, codec: {from: ../theirs}}\n"
    assert recipes.parse(text, folder=tmp_path).model.codec.from_ == str(tmp_path / "../theirs")


def test_settings_stand_in_the_section_of_their_part():
    text = "task: draw\ndata: {sources: [{folder: x}]}\nmodel: {family: transformer, %s}\n"
    recipe = recipes.parse(text % "codec: {width: 48}, prior: {width: 64, dropout: 0}")
    assert (recipe.model.codec.width, recipe.model.prior.width, recipe.model.prior.dropout) == (48, 64, 0)
    for wrong, said in (
        ("width: 64", r"`model\.width` is no key of a recipe"),
        ("codec: {layers: 2}", r"`model\.codec\.layers` is no key of a recipe"),
        ("codec: {levels: [1]}", r"`model\.codec\.levels`: .*2 levels or more"),
        ("prior: {from: x}", r"`model\.prior\.from`: .*its own codec alone; take that one"),
        ("prior: {width: 40}", r"`model\.prior\.width`: .*multiple of 32"),
    ):
        with pytest.raises(RequestError, match=said):
            recipes.parse(text % wrong)
