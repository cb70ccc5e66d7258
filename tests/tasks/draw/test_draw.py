"""The task `draw` on 64 real emoji: what an example is, what is learnt from, what comes out for a request."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genwright import model_folder as models
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.ledger import Drop, Item
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.networks.text_encoder import PAD, START
from genwright.recipe import recipe_class
from genwright.request import request_class
from genwright.shards import Example, ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.draw.task import Draw
from genwright.tasks.image.facts import LEAST_TOKENS, DrawFacts
from genwright.tasks.image.sampling import draw, interpolate, sample
from helpers import ASSETS
from helpers.drawing_models import emoji_items

PICTURES = ASSETS / "pictures"


def _task(family: str = "gan", prepare: dict[str, Any] | None = None, **model: Any) -> Draw:
    schema = recipe_class("draw", family).model_fields
    settings = schema["model"].annotation.model_validate({"family": family, "width": 16, **model})  # type: ignore[union-attr]
    return Draw(schema["prepare"].annotation.model_validate(prepare or {}), settings, family)  # type: ignore[union-attr]


def _example(task: Draw, facts: DrawFacts, item: Item) -> Example:
    (result,) = task.encode(item, facts)
    assert not isinstance(result, Drop)
    return result


def _model(family: str = "gan", **settings: Any) -> Model:
    torch.manual_seed(0)
    task = _task(family, **settings)
    facts = task.fit(emoji_items())
    (config,) = task.candidates(facts, Splits({}), torch.device("cpu"))
    parts = build_parts(task, config, facts, torch.device("cpu"))
    with torch.no_grad():  # away from the zeros that the weights start at, as training would
        for parameter in parts["model"].modules.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return Model(task, config, facts, parts, torch.device("cpu"), {"recipe": "abc123"})


def _width(network: dict[str, Any]) -> int:
    return network["unet"]["width"] if "unet" in network else network["width"]


def _draw(model: Model, **request: Any) -> list[np.ndarray]:
    wanted = request_class("draw", model.task.family).model_validate(request)
    return [np.asarray(media.data) for media in model.task.answer(model, wanted, Engine())]


def test_an_example_is_a_picture_with_its_caption_and_label():
    task, items = _task(), emoji_items()
    facts = task.fit(items)
    item = next(item for item in items if "apple" in item.fields["text"])
    example = _example(task, facts, item)
    assert example["image"].shape == (32, 32, 3) and example["image"].dtype == np.uint8
    assert example["image"][0, 0].tolist() == [255, 255, 255]  # transparent, laid on white
    assert example["condition"].shape == (LEAST_TOKENS,) and example["condition"][0] == START
    assert facts.words(example["condition"]) == item.fields["text"].lower()
    assert facts.labels[int(example["label"][0])] == item.fields["label"]


def test_captions_are_read_without_regard_to_case():
    facts = _task().fit(emoji_items())
    assert facts.encode("RED Apple", "").tolist() == facts.encode("red apple", "").tolist()


def test_captions_are_read_whole_and_requests_as_far_as_those_went():
    facts = _task().fit(emoji_items())
    assert facts.encode("apple " * 200, "").shape == (LEAST_TOKENS,)
    items = emoji_items()
    items[0].fields["text"] = ("red apple " * 20).strip()
    longer = _task().fit(items)
    assert longer.tokens == 41 and not longer.is_cut(items[0].fields["text"])
    assert _example(_task(), longer, items[1])["condition"].shape == (41,)


def test_a_long_caption_is_learned_from_half_of_the_time_beside_the_short_one():
    items, task = emoji_items(), _task()
    for item in items[:40]:
        item.fields["long"] = f"{item.fields['text']}, one of the {item.fields['label']}"
    facts = task.fit(items)
    example = _example(task, facts, items[0])
    short, long = facts.words(example["condition"]), facts.words(example["long"])
    assert short == items[0].fields["text"].lower() and long.startswith(short) and "one of the" in long
    assert facts.words(_example(task, facts, items[50])["long"]) == items[50].fields["text"].lower()
    seen = [facts.words(task.augment(example, np.random.default_rng(n))["condition"]) for n in range(200)]
    assert 70 < sum(words == short for words in seen) / 0.8 + 20 < 150 and any(words == long for words in seen)
    assert {"condition"} == {name for name in task.collate([example]) if name != "data"}


def test_how_many_captions_are_cut_is_said(capsys):
    items = emoji_items()
    for item in items[:3]:
        item.fields["text"] = (
            "1girl, solo, long hair, looking at viewer, smile, open mouth, blue eyes, outdoors, " * 5 + "sky, day"
        )
    _task().fit(items)
    said = capsys.readouterr().err
    assert f"3 of {len(items)} captions are longer than the 95 tokens that the model reads, and cut: of" in said
    assert re.search(r'it reads "1girl, solo, [^"]*"\.$', said.strip()) and "sky, day" not in said.split("it reads")[1]
    _task().fit(emoji_items())
    assert capsys.readouterr().err == ""


def test_a_label_is_known_however_unicode_writes_it():
    facts = DrawFacts("label", [unicodedata.normalize("NFD", "Müller"), "x"], _task().fit(emoji_items()).captions, 1)
    assert facts.prompt(unicodedata.normalize("NFC", "Müller")).tolist() == [0]
    assert facts.label_id(unicodedata.normalize("NFD", "Müller")) == 0


def test_any_script_is_a_caption():
    facts = _task().fit(emoji_items())
    assert facts.words(facts.encode("红心 ❤ é", "")) == "红心 ❤ é"


def test_facts_come_back_as_they_were_saved(tmp_path: Path):
    facts = _task().fit(emoji_items())
    facts.save(tmp_path)
    again = DrawFacts.load(tmp_path)
    assert (again.condition, again.labels, again.pictures) == (facts.condition, facts.labels, 64)
    assert again.encode("red apple", "").tolist() == facts.encode("red apple", "").tolist()
    (tmp_path / "draw.json").write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match=r"draw\.json"):
        DrawFacts.load(tmp_path)


@pytest.mark.parametrize(("fields", "condition"), [(("text", "label"), "text"), (("label",), "label"), ((), "none")])
def test_auto_takes_the_condition_that_the_data_has(fields: tuple[str, ...], condition: str):
    items = emoji_items()
    for item in items:
        item.fields = {name: item.fields[name] for name in fields}
    task = _task()
    facts = task.fit(items)
    assert facts.condition == condition
    assert len(_example(task, facts, items[0])["condition"]) == (LEAST_TOKENS if condition == "text" else 1)


def test_what_cannot_be_used_is_dropped_with_its_reason(tmp_path: Path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((PICTURES / "1f34e.png").read_bytes()[:200])
    task, silent = _task(condition="text"), emoji_items()[0]
    facts = task.fit(emoji_items())
    (drop,) = task.encode(Item("x", "s", "broken.png", file=str(broken), fields={"text": "a"}), facts)
    assert isinstance(drop, Drop) and drop.reason == "undecodable"
    silent.fields = {}
    (drop,) = task.encode(silent, facts)
    assert isinstance(drop, Drop) and drop.reason == "missing_text"
    (drop,) = _task(prepare={"min_pixels": 64}).encode(emoji_items()[0], facts)
    assert isinstance(drop, Drop) and drop.reason == "too_small"


def test_pictures_with_the_same_words_stand_on_one_side_of_the_split():
    task, (one, other) = _task(), emoji_items()[:2]
    one.sha256, other.sha256 = "1", "2"
    one.fields, other.fields = {"text": "Waving  Hand"}, {"text": "waving hand"}
    assert task.group_key(one) == task.group_key(other)
    other.fields = {"text": "waving hand", "group": "1F44B"}
    assert task.group_key(one) != task.group_key(other) == "1F44B"
    one.fields = {}
    assert task.group_key(one) == "1"


def test_augmentation_leaves_words_out_and_mirrors_only_when_asked():
    items = emoji_items()
    for flip in (False, True):
        task = _task(prepare={"flip": flip})
        facts = task.fit(items)
        example = _example(task, facts, items[0])
        variants = [task.augment(example, np.random.default_rng([0, 7, slot])) for slot in range(200)]
        mirrored = sum(not np.array_equal(v["image"], example["image"]) for v in variants)
        assert (60 < mirrored < 140) if flip else mirrored == 0
        words = np.count_nonzero(example["condition"] != PAD) - 1
        left = [np.count_nonzero(v["condition"] != PAD) - 1 for v in variants]
        assert min(left) == 0 and max(left) == words and 0.7 < np.mean(left) / words < 0.95
        assert all(v["condition"][0] == START for v in variants)
        again = task.augment(example, np.random.default_rng([0, 7, 5]))
        assert all(np.array_equal(again[name], variants[5][name]) for name in example)


def test_a_batch_holds_pictures_from_minus_one_to_one():
    task, items = _task(), emoji_items()
    facts = task.fit(items)
    examples = [_example(task, facts, item) for item in items[:3]]
    batch = task.collate(examples)
    assert batch["data"].shape == (3, 3, 32, 32) and batch["condition"].shape == (3, LEAST_TOKENS)
    back = ((batch["data"][1] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).numpy()
    assert np.array_equal(back, examples[1]["image"])
    assert batch["data"].min() >= -1 and batch["data"].max() == 1


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_a_picture_alone_is_the_same_picture_among_others(family: str):
    """To one step of 255: the machine may add up in another order, the random stream is the same."""
    model = _model(family)
    together = _draw(model, prompt="red apple", n=9, seed=5)
    assert len({picture.tobytes() for picture in together}) == 9
    for index in (0, 8):
        (alone,) = draw(model, Engine(), [model.facts.prompt("red apple")], 5, model.family.Controls(), first=index)
        assert np.abs(alone.astype(int) - together[index].astype(int)).max() <= 1
    assert np.array_equal(_draw(model, prompt="red apple", n=9, seed=5), together)


def test_requests_share_a_step_and_keep_their_own_streams():
    model, engine = _model(), Engine()
    wanted = request_class("draw", "gan")
    answers = [
        model.task.answer(model, wanted.model_validate({"prompt": prompt, "seed": seed}), engine)
        for prompt, seed in (("red apple", 1), ("green apple", 1), ("red apple", 2))
    ]
    pictures = [np.asarray(next(answer).data) for answer in answers]
    (alone,) = _draw(model, prompt="green apple", seed=1)
    assert np.abs(alone.astype(int) - pictures[1].astype(int)).max() <= 1
    assert not np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_the_prompt_and_the_controls_change_the_picture(family: str):
    model = _model(family)
    (apple,), (cat,) = _draw(model, prompt="red apple"), _draw(model, prompt="cat face")
    (narrow,) = _draw(model, prompt="red apple", truncation=0.2)
    assert not np.array_equal(apple, cat) and not np.array_equal(apple, narrow)


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_truncation_brings_the_pictures_of_a_word_together(family: str):
    model = _model(family)

    def spread(truncation: float) -> float:
        return float(np.stack(_draw(model, prompt="red apple", n=6, truncation=truncation)).std(0).mean())

    assert spread(0.1) < 0.5 * spread(1.0)


def test_what_was_called_temperature_is_truncation():
    model = _model("vae")
    (old,), (new,) = (_draw(model, prompt="red apple", **{name: 0.3}) for name in ("temperature", "truncation"))
    assert np.array_equal(old, new)


def test_metadata_says_how_a_picture_was_made():
    model = _model()
    request = request_class("draw", "gan").model_validate({"prompt": "red apple", "n": 2, "seed": 3})
    media = list(model.task.answer(model, request, Engine()))
    assert [m.index for m in media] == [0, 1] and all(m.final for m in media)
    assert media[1].metadata["prompt"] == "red apple" and media[1].metadata["seed"] == 3
    assert media[1].metadata["index"] == 1 and media[1].metadata["recipe"] == "abc123"


def test_a_label_that_is_none_of_the_models_is_refused_by_name():
    items = emoji_items()
    facts = _task(condition="label").fit(items)
    with pytest.raises(RequestError, match=r"'Spaceships' is no label.*Animals"):
        facts.prompt("Spaceships")
    assert facts.prompt(facts.labels[1]).tolist() == [1]


def test_a_prompt_for_a_model_without_words_is_refused():
    facts = _task(condition="none").fit(emoji_items())
    with pytest.raises(RequestError, match="without words"):
        facts.prompt("a red heart")
    assert facts.prompt("").tolist() == [0]


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
@pytest.mark.parametrize("condition", ["text", "label", "none"])
def test_a_saved_model_draws_the_same_pictures(tmp_path: Path, family: str, condition: str):
    model = _model(family, condition=condition, size=16)
    models.save(model, tmp_path)
    again = models.load(tmp_path, torch.device("cpu"))
    prompt = {"text": "red apple", "label": model.facts.labels[0], "none": ""}[condition]
    assert np.array_equal(_draw(model, prompt=prompt, n=2, seed=1), _draw(again, prompt=prompt, n=2, seed=1))
    assert set(again.family.modules) == set(again.family.exported)


@pytest.mark.parametrize("family", ["flow", "gan"])
def test_interpolation_begins_and_ends_at_its_two_pictures(family: str):
    model = _model(family)
    start, stop = model.facts.prompt("red apple"), model.facts.prompt("cat face")
    strip = interpolate(model, Engine(), start, stop, seed=4, steps=5)
    first, last = sample(model, Engine(), np.stack([start, stop]), 4)
    assert strip.shape == (5, 32, 32, 3)
    assert np.abs(strip[0].astype(int) - first.astype(int)).max() <= 1
    assert np.abs(strip[-1].astype(int) - last.astype(int)).max() <= 1


def test_preview_is_one_sheet_from_held_out_words(tmp_path: Path):
    model = _model()
    items = emoji_items()
    write_part(tmp_path / "part", [(i.id, _example(model.task, model.facts, i)) for i in items[:6]])  # type: ignore[arg-type]
    splits = Splits({"validation": ExampleStore([tmp_path / "part"]), "train": ExampleStore([])})
    file = model.task.preview(model, Engine(), splits, tmp_path / "step-1")
    from PIL import Image

    with Image.open(file) as sheet:
        assert sheet.size == (6 * 64 + 5 * 2, 4 * 64 + 3 * 2)


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_sizes_grow_and_can_be_fixed(family: str):
    free = _task(family, width=None)
    facts = free.fit(emoji_items())
    widths = [_width(c.network) for c in free.candidates(facts, Splits({}), torch.device("cpu"))]
    assert widths == sorted(widths) and len(widths) > 3
    (fixed,) = _task(family, width=48).candidates(facts, Splits({}), torch.device("cpu"))
    assert _width(fixed.network) == 48


class _Pictures:
    """As many as are said, none of which is looked at."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count


@pytest.mark.parametrize("family", ["gan", "vae"])
def test_a_card_gets_widths_and_batches_that_the_pictures_bear(family: str):
    task = _task(family, width=None)
    facts, card = task.fit(emoji_items()), torch.device("cuda")

    def found(count: int) -> tuple[int, int | None]:
        splits = Splits({"train": _Pictures(count)})  # type: ignore[dict-item]
        configs = task.candidates(facts, splits, card)
        parts = task.parts(configs[-1].model_copy(update={"batches": {"model": 64}}), facts)
        assert parts[0].batch == 64 and task.parts(configs[-1], facts)[0].batch == 32
        return _width(configs[-1].network), task.most_batch(configs[-1], splits)

    few, some, many = (found(count) for count in (10, 1700 * 64**2 // task.model.size**2, 10**6))
    assert few == (32, 0) and many == (384, 62_500)
    assert few[0] < some[0] < many[0]
    (fixed,) = _task(family, width=48).candidates(facts, Splits({"train": _Pictures(10)}), card)  # type: ignore[dict-item]
    assert _width(fixed.network) == 48
