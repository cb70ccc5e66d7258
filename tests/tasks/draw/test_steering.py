"""What a flow can be asked beside words: a picture to start from, words to lead away from; and that other families have no such options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import recipe_class
from genwright.request import Blob, checked, request_class
from genwright.tasks.base import Splits
from genwright.tasks.draw.task import Draw
from helpers import ASSETS

PICTURES = ASSETS / "pictures"


def _items() -> list[Item]:
    rows = [json.loads(line) for line in (PICTURES / "emoji.jsonl").read_text(encoding="utf-8").splitlines()]
    return [Item(id=str(number), source="s", path=row["image"], fields=row) for number, row in enumerate(rows)]


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    schema = recipe_class("draw", "flow").model_fields
    settings = schema["model"].annotation.model_validate({"family": "flow", "size": 16, "width": 16})  # type: ignore[union-attr]
    task = Draw(schema["prepare"].annotation.model_validate({}), settings, "flow")  # type: ignore[union-attr]
    facts = task.fit(_items())
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    parts = build_parts(task, config, facts, torch.device("cpu"))
    with torch.no_grad():
        for parameter in parts["model"].modules.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Model(task, config, facts, parts, torch.device("cpu"))


def _drawn(model: Model, **asked: Any) -> tuple[np.ndarray, dict[str, Any]]:
    request = checked(request_class("draw", "flow"), {"prompt": "red apple", **asked})
    (made,) = model.task.answer(model, request, Engine())
    return np.asarray(made.data).astype(int), made.metadata


def _blob(name: str) -> Blob:
    return Blob(name=name, data=(PICTURES / name).read_bytes())  # type: ignore[call-arg]


@pytest.mark.parametrize(("network", "of"), [("unet", 8), ("transformer", 32)])
def test_a_width_that_does_not_fit_is_refused_by_its_name(network: str, of: int):
    schema = recipe_class("draw", "flow").model_fields["model"].annotation
    settings = {"family": "flow", "size": 16, "network": network}
    assert schema.model_validate({**settings, "width": 2 * of}).width == 2 * of  # type: ignore[union-attr]
    with pytest.raises(ValueError, match=f"multiple of {of}"):
        schema.model_validate({**settings, "width": 2 * of + 4})  # type: ignore[union-attr]


def test_only_a_family_that_can_follow_is_asked():
    assert {"negative", "init", "strength", "guidance", "steps"} <= request_class("draw", "flow").model_fields.keys()
    for family in ("gan", "vae"):
        fields = request_class("draw", family).model_fields
        assert {"prompt", "n", "seed"} <= fields.keys() and not {"negative", "init"} & fields.keys()


def test_a_picture_to_start_from_is_kept_the_more_the_less_may_change(model: Model):
    blob = _blob("1f34e.png")
    picture = model.task._picture(blob).astype(int)  # type: ignore[attr-defined]
    far = [np.abs(_drawn(model, init=blob, strength=strength)[0] - picture).mean() for strength in (0.05, 0.5, 1.0)]
    assert far[0] < far[1] < far[2] and far[0] < 20
    assert np.array_equal(_drawn(model, init=blob, strength=1.0)[0], _drawn(model)[0])


def test_what_was_asked_stands_in_the_picture(model: Model):
    _, made = _drawn(model, init=_blob("1f34e.png"), strength=0.5, negative="green", steps=3)
    assert {"init": "1f34e.png", "strength": 0.5, "negative": "green", "steps": 3}.items() <= made.items()
    _, made = _drawn(model)
    assert made["guidance"] == 2.5 and not {"init", "strength", "negative"} & made.keys()


def test_words_to_lead_away_from_change_the_picture(model: Model):
    assert not np.array_equal(_drawn(model, negative="cat face")[0], _drawn(model)[0])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"negative": "green", "guidance": 1}, "`negative` leads away from something by `guidance`; give one above 1."),
        ({"strength": 0.5}, "`strength` says how much of the picture `init` may change; give that picture."),
        ({"strength": 1.5, "init": "1f34e.png"}, "strength"),
        ({"steps": 0}, "steps"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(model: Model, asked: dict[str, Any], said: str):
    if "init" in asked:
        asked = asked | {"init": _blob(asked["init"])}
    with pytest.raises(RequestError) as refused:
        _drawn(model, **asked)
    assert said in str(refused.value) and str(refused.value).endswith(".")


def test_a_picture_that_is_none_is_refused_by_its_name(model: Model):
    with pytest.raises(RequestError, match="no picture"):
        _drawn(model, init={"name": "notes.txt", "data": "bm90ZXM="})
    cut = (PICTURES / "1f34e.png").read_bytes()[:200]
    with pytest.raises(RequestError, match=r"`init`: cut\.png can't be used"):
        _drawn(model, init=Blob(name="cut.png", data=cut))  # type: ignore[call-arg]


def test_the_file_on_the_command_line_is_the_picture(tmp_path: Path, model: Model):
    """By the options that the command is made of."""
    from genwright.cli.options import check, options_of

    schema = request_class("draw", "flow")
    assert {"--init", "--negative", "--strength"} <= {name for option in options_of(schema) for name in option.opts}
    request = check(schema, {"prompt": "red apple", "init": str(PICTURES / "1f34e.png"), "strength": 0.5})
    assert request.init.name == "1f34e.png" and request.init.medium == "image"
