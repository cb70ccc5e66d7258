"""The task `restyle` on 64 emoji in two hands: what an example is, what a model is asked, what comes back of a picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.ledger import Drop, Further, Item
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import parse, recipe_class
from genwright.registry import families_of
from genwright.request import Blob, request_class
from genwright.shards import Example, ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.restyle.carry import restyled
from genwright.tasks.restyle.facts import RestyleFacts
from genwright.tasks.restyle.task import Restyle
from helpers.hands import drawings, turned, write_hands


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_hands(tmp_path_factory.mktemp("hands") / "data", same_names=True)


def pairs(folder: Path, **fields: str) -> list[Item]:
    """Items with their other drawing as a further file."""
    found = []
    for number, (name, _, _) in enumerate(drawings()):
        file, other = (str(folder / hand / f"{name}.png") for hand in ("plain", "turned"))
        item = Item(str(number), "folder:data", f"plain/{name}.png", file=file, fields=dict(fields))
        item.files["target"] = Further(f"turned/{name}.png", other)
        found.append(item)
    return found


def sets(folder: Path) -> list[Item]:
    """Items of two sets."""
    names = [name for name, _, _ in drawings()]
    hands = (("a", "plain"), ("b", "turned"))
    return [
        Item(f"{role} {name}", f"folder:{hand}", f"{name}.png", file=str(folder / hand / f"{name}.png"), role=role)
        for role, hand in hands
        for name in names
    ]


def task_of(family: str = "flow", prepare: dict[str, Any] | None = None, **model: Any) -> Restyle:
    schema = recipe_class("restyle", family).model_fields
    given = {"family": family, "size": 16, "width": 16, "a": "plain", "b": "turned", **model}
    settings = schema["model"].annotation.model_validate(given)  # type: ignore[union-attr]
    return Restyle(schema["prepare"].annotation.model_validate(prepare or {}), settings, family)  # type: ignore[union-attr]


def examples(task: Restyle, items: list[Item]) -> tuple[RestyleFacts, list[Example]]:
    facts = task.fit(items)
    found = [example for item in items for example in task.encode(item, facts)]
    assert not any(isinstance(one, Drop) for one in found)
    return facts, found  # type: ignore[return-value]


def model_of(items: list[Item], family: str = "flow", changed: float = 0.05, **settings: Any) -> Model:
    """A model with weights away from the zeros that they start at, as training would bring them."""
    torch.manual_seed(0)
    task = task_of(family, **settings)
    facts = task.fit(items)
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    parts = build_parts(task, config, facts, torch.device("cpu"))
    with torch.no_grad():
        for parameter in parts["model"].modules.parameters():
            parameter.add_(changed * torch.randn_like(parameter))
    return Model(task, config, facts, parts, torch.device("cpu"), {"recipe": "abc123"})


def answer(model: Model, picture: Image.Image, form: str = "PNG", **asked: Any) -> np.ndarray:
    out = io.BytesIO()
    picture.save(out, form)
    blob = Blob(name="own.png", data=out.getvalue())
    request = request_class("restyle", model.task.family).model_validate({"picture": blob, **asked})
    (made,) = model.task.answer(model, request, Engine())
    return np.asarray(made.data)


def test_an_example_of_a_pair_is_both_drawings(folder: Path):
    task = task_of()
    facts, found = examples(task, pairs(folder))
    assert facts.paired and facts.styles == ["turned"] and facts.condition == "none"
    assert found[0]["image"].shape == found[0]["source"].shape == (16, 16, 3)
    for one in found:  # the filter works on each channel alone
        assert np.array_equal(one["image"], turned(one["source"]))
    batch = task.collate(found[:4])
    source = torch.from_numpy(np.stack([one["source"] for one in found[:4]])).permute(0, 3, 1, 2) / 127.5 - 1
    image = torch.from_numpy(np.stack([one["image"] for one in found[:4]])).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(batch["beside"], source)
    torch.testing.assert_close(batch["data"], image - source)
    assert batch["condition"].tolist() == [[0]] * 4


def test_two_sets_are_told_apart_by_what_their_sources_are(folder: Path):
    task = task_of()
    facts, found = examples(task, sets(folder))
    assert not facts.paired and facts.styles == ["plain", "turned"] and facts.condition == "label"
    assert [int(one["style"][0]) for one in found] == [0] * 64 + [1] * 64
    batch = task.collate(found[63:65])
    assert batch["condition"].tolist() == [[0], [1]] and "beside" not in batch and batch["data"].abs().max() <= 1


def test_the_cycle_takes_pairs_for_two_sets(folder: Path, tmp_path: Path):
    task = task_of("cycle")
    facts, found = examples(task, pairs(folder))
    assert not facts.paired and len(found) == 128
    write_part(tmp_path / "part", [(str(n), one) for n, one in enumerate(found)])
    store = ExampleStore([tmp_path / "part"])
    batches = task.batches(store, facts, task.candidates(facts, Splits({}), torch.device("cpu"))[0], 0, "model")
    assert batches.pass_examples == 64
    seen = [one for start in (0, 40) for one in batches.examples(start, 40)][:64]
    for hand, field in enumerate(("source", "image")):
        wanted = sorted(one["image"].tobytes() for one in found if one["style"][0] == hand)
        assert sorted(one[field].tobytes() for one in seen) == wanted  # each once a pass
    together = sum(np.array_equal(one["image"], turned(one["source"])) for one in seen)
    assert together < 16  # but not in pairs
    batch = batches.batch(7, 3)
    assert torch.equal(batch["data"][0], task.collate([batches.examples(7, 1)[0]])["data"][0])
    assert batch["data"].shape == batch["beside"].shape == (3, 3, 16, 16) and batch["data"].max() <= 1


def test_mirrored_are_both_drawings_or_none(folder: Path):
    task = task_of(prepare={"flip": True})
    _, (first, *_) = examples(task, pairs(folder))
    variants = [task.augment(first, np.random.default_rng(n)) for n in range(40)]
    assert {np.array_equal(one["image"], first["image"]) for one in variants} == {True, False}
    assert all(np.array_equal(one["image"], turned(one["source"])) for one in variants)
    assert task_of().augment(first, np.random.default_rng(0)) is first


def test_without_another_hand_it_is_said_what_to_do(folder: Path):
    items = [item for item in sets(folder) if item.role == "a"]
    with pytest.raises(RequestError, match=r"no source is `as: b`.*further file `target`; say in the recipe"):
        task_of().fit(items)
    half = pairs(folder)
    half[3].files = {}
    task = task_of()
    (drop,) = task.encode(half[3], task.fit(half))
    assert isinstance(drop, Drop) and drop.reason == "missing_file"


def test_several_hands_are_told_apart_by_the_field_style(folder: Path):
    items = pairs(folder, style="turned") + pairs(folder, style="cut out")
    facts, found = examples(task_of(), items)
    assert facts.styles == ["cut out", "turned"] and facts.condition == "label"
    assert {int(one["style"][0]) for one in found} == {0, 1}
    assert facts.asked("", "turned").tolist() == [1] and facts.asked("cut out", "turned").tolist() == [0]


def test_two_hands_of_one_name_are_refused():
    with pytest.raises(RequestError, match="both called 'x'"):
        parse("task: restyle\ndata: {sources: [{folder: .}]}\nmodel: {a: x, b: x}")


def test_drawings_of_one_thing_stand_on_one_side(folder: Path):
    task, (one, other, *_) = task_of(), sets(folder)
    one.sha256, other.sha256 = "1", "2"
    assert task.group_key(one) == "1"
    one.fields, other.fields = {"pair": "1F600"}, {"pair": "1F600"}
    assert task.group_key(one) == task.group_key(other) == "1F600"
    one.fields["group"] = "faces"
    assert task.group_key(one) == "faces"


def test_facts_come_back_as_they_were_saved(tmp_path: Path):
    facts = RestyleFacts(False, ["plain", "Müller"], 64)
    facts.save(tmp_path)
    assert RestyleFacts.load(tmp_path) == facts
    (tmp_path / "restyle.json").write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match=r"restyle\.json"):
        RestyleFacts.load(tmp_path)


def test_an_unknown_style_is_refused_by_name(folder: Path):
    model = model_of(sets(folder))
    with pytest.raises(RequestError, match=r"'turnt' is none that .* did you mean 'turned'\?"):
        answer(model, drawings()[0][1], style="turnt")
    with pytest.raises(RequestError, match="choose from plain, turned"):
        answer(model, drawings()[0][1], style="xyz")


def test_of_pairs_an_untrained_model_gives_the_picture_back(folder: Path):
    _, plain, _ = drawings()[5]
    small = plain.resize((16, 16), Image.Resampling.LANCZOS)
    model = model_of(pairs(folder), changed=0.0)
    made = answer(model, small, steps=1)
    shown = np.asarray(Image.alpha_composite(Image.new("RGBA", small.size, "white"), small).convert("RGB"))
    assert np.abs(made[..., :3].astype(int) - shown)[np.asarray(small)[..., 3] > 0].max() <= 1


@pytest.mark.parametrize(("paired", "family"), [(True, "flow"), (False, "flow"), (False, "cycle")])
def test_a_picture_alone_is_the_same_picture_among_others(folder: Path, paired: bool, family: str):
    model = model_of(pairs(folder) if paired else sets(folder), family)
    images = np.stack([np.asarray(p.convert("RGB").resize((16, 16))) for _, p, _ in drawings()[:5]])
    style = model.facts.asked("turned", "")
    together = np.stack(list(restyled(model, Engine(), images, [style] * 5, 3, {"steps": 3})))
    for index in (0, 4):
        (alone,) = restyled(model, Engine(), images[index : index + 1], [style], 3, {"steps": 3}, first=index)
        assert np.abs(alone.astype(int) - together[index]).max() <= 1
    assert len({one.tobytes() for one in together}) == 5 and not np.array_equal(together, images)


def test_strength_says_how_much_may_change(folder: Path):
    for items in (pairs(folder), sets(folder)[::2]):
        model = model_of(items)
        plain = drawings()[2][1].resize((16, 16), Image.Resampling.LANCZOS)
        picture = Image.alpha_composite(Image.new("RGBA", plain.size, "white"), plain).convert("RGB")
        far = [
            np.abs(answer(model, picture, strength=strength, steps=8).astype(int) - np.asarray(picture)).mean()
            for strength in (0.05, 0.4, 1.0)
        ]
        assert far[0] < far[1] < far[2], far


def test_the_style_asked_for_says_which_way(folder: Path):
    for family in ("flow", "cycle"):
        model = model_of(sets(folder), family)
        picture = drawings()[2][1]
        few = {"steps": 3} if family == "flow" else {}
        there, back, default = (answer(model, picture, style=style, **few) for style in ("turned", "plain", ""))
        assert not np.array_equal(there, back) and np.array_equal(there, default)


@pytest.mark.parametrize(("side", "wanted"), [((40, 20), (16, 8)), ((10, 10), (16, 16)), ((5, 80), (1, 16))])
def test_the_picture_comes_back_in_its_own_shape(folder: Path, side: tuple[int, int], wanted: tuple[int, int]):
    model = model_of(pairs(folder), changed=0.0)
    made = answer(model, Image.new("RGB", side, (200, 40, 40)), steps=1)
    assert made.shape == (*wanted[::-1], 3) and np.abs(made.astype(int) - (200, 40, 40)).max() <= 1


def test_what_was_transparent_stays_transparent(folder: Path, capsys: pytest.CaptureFixture[str]):
    model = model_of(pairs(folder))
    picture = Image.new("RGBA", (32, 32), (10, 200, 30, 0))
    picture.paste((10, 200, 30, 255), (0, 0, 16, 32))
    made = answer(model, picture)
    assert made.shape == (16, 16, 4)
    assert (made[:, :6, 3] > 250).all() and (made[:, 10:, 3] < 5).all()
    assert "own.png has 32 x 32 pixels; it is made anew at the 16 of the model." in capsys.readouterr().err
    assert answer(model, picture.convert("RGB")).shape == (16, 16, 3)
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([10, 20, 30, 200, 100, 0])
    palette.paste(1, (0, 0, 8, 16))
    out = io.BytesIO()
    palette.save(out, "GIF", transparency=0)
    see_through = answer(model, Image.open(io.BytesIO(out.getvalue())))
    assert see_through.shape == (16, 16, 4) and see_through[0, 0, 3] == 255 and see_through[0, 15, 3] == 0


def test_a_picture_that_is_none_is_refused_by_its_name(folder: Path):
    model = model_of(pairs(folder))
    out = io.BytesIO()
    drawings()[0][1].save(out, "PNG")
    request = request_class("restyle", "flow").model_validate(
        {"picture": Blob(name="cut.png", data=out.getvalue()[:200])}
    )
    with pytest.raises(RequestError, match=r"cut\.png can't be used \(undecodable"):
        list(model.task.answer(model, request, Engine()))


def test_the_cycle_is_asked_for_nothing_that_it_has_no_use_for():
    assert families_of("restyle") == ("flow", "cycle")
    assert {"steps", "strength", "guidance"} <= set(request_class("restyle", "flow").model_fields)
    assert set(request_class("restyle", "cycle").model_fields) == {"picture", "style", "seed"}
