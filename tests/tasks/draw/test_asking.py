"""What `draw` says of words: those it knows, those that are nearly so, those it never saw; and what it draws where none are given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.recipe import recipe_class
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.draw.task import Draw
from genwright.tasks.image.facts import DrawFacts
from helpers import ASSETS

PICTURES = ASSETS / "pictures"
CAPTIONS = ["a red heart", "a red apple", "a small dragonfly", "红心", "a blue moon"]


def task(**model: object) -> Draw:
    schema = recipe_class("draw", "gan").model_fields
    settings = schema["model"].annotation.model_validate({"family": "gan", "size": 16, **model})  # type: ignore[union-attr]
    return Draw(schema["prepare"].annotation.model_validate({}), settings, "gan")  # type: ignore[union-attr]


def items(captions: list[str], licence: str | None = None, label: str = "") -> list[Item]:
    file = str(next(PICTURES.glob("*.png")))
    return [
        Item(
            id=str(i), source="t", path=f"{i}.png", file=file, licence=licence, fields={"text": c, "label": label or c}
        )
        for i, c in enumerate(captions)
    ]


def splits(
    made: Draw, facts: DrawFacts, held_out: list[Item], folder: Path, training: list[Item] | None = None
) -> Splits:
    for name, some in (("held-out", held_out), ("train", training or [])):
        write_part(folder / name, [(item.id, example) for item in some for example in made.encode(item, facts)])  # type: ignore[misc]
    stores = {name: ExampleStore([folder / name]) for name in ("held-out", "train")}
    known = {item.id: item for item in [*held_out, *(training or [])]}
    return Splits({"test": stores["held-out"], "validation": stores["held-out"], "train": stores["train"]}, known)


def test_a_word_that_was_never_seen_is_said_and_the_picture_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    facts = task().fit(items(CAPTIONS))
    assert facts.unseen("I drew a b 蓝 heart") == ["drew", "蓝"]
    assert facts.prompt("a RED moon").shape == facts.prompt("红 heart").shape
    assert capsys.readouterr().err == ""
    facts.prompt("a green dragon")
    said = capsys.readouterr().err
    assert said == "Never seen in training: green, dragon (did you mean dragonfly?); what is drawn may be anything.\n"
    facts.prompt("a green heart")
    assert capsys.readouterr().err == "Never seen in training: green; what is drawn goes by the rest.\n"


def test_of_a_prompt_that_is_cut_it_is_said_what_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    facts = task().fit(items(CAPTIONS))
    start = "a red heart " * 12
    one, other = facts.prompt(start + "apple"), facts.prompt(start + "moon")
    assert (one == other).all()
    first, second = capsys.readouterr().err.splitlines()
    assert first == second and 'what is drawn is "a red heart a red heart' in first and "apple" not in first


def test_a_label_that_is_nearly_one_is_asked_back() -> None:
    facts = task(condition="label").fit(items(["Food & Drink", "Symbols"]))
    for prompt in ("Food & Drnk", "food & drink"):
        with pytest.raises(RequestError, match="did you mean 'Food & Drink'"):
            facts.prompt(prompt)
    with pytest.raises(RequestError, match="choose from Food & Drink, Symbols"):
        facts.prompt("x")


@pytest.mark.parametrize("condition", ["text", "label"])
def test_without_words_a_mix_of_those_it_knows_is_drawn(condition: str) -> None:
    facts = task(condition=condition).fit(items(CAPTIONS))
    mix = facts.mix(10, seed=3)
    assert sorted(mix[:5]) == sorted(CAPTIONS) and mix[:5] == mix[5:]
    assert facts.mix(4, seed=3) == mix[:4] and facts.mix(5, seed=4) != mix[:5]
    assert task(condition="none").fit(items(CAPTIONS)).mix(2, seed=0) == ["", ""]


def test_captions_that_may_not_be_passed_on_are_in_no_mix() -> None:
    facts = task().fit([*items(CAPTIONS[:2]), *items(CAPTIONS[2:], licence="CC-BY-ND-4.0")])
    assert set(facts.some_captions) == set(CAPTIONS[:2]) and "dragonfly" in facts.known_words


def test_facts_of_an_older_genwright_know_no_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task().fit(items(CAPTIONS)).save(tmp_path)
    whole = DrawFacts.load(tmp_path)
    assert whole.known_words[:2] == ["a", "red"] and whole.some_captions == CAPTIONS
    old = json.loads((tmp_path / "draw.json").read_text())
    (tmp_path / "draw.json").write_text(json.dumps({k: old[k] for k in ("condition", "labels", "pictures")}))
    facts = DrawFacts.load(tmp_path)
    facts.prompt("a dragon")
    assert capsys.readouterr().err == "" and facts.mix(2, 0) == ["", ""]


def test_the_example_is_what_a_held_out_picture_is_called(tmp_path: Path) -> None:
    made = task()
    facts = made.fit(items(CAPTIONS))
    held_out = items(["a green dragon", "-n red", "a red heart " * 12, "a red\n moon"])
    asked = made.example(facts, splits(made, facts, held_out, tmp_path / "text"))
    assert asked is not None and (asked.values, asked.quoted) == ({"prompt": "a red moon"}, "3")
    assert made.example(facts, splits(made, facts, held_out[:2], tmp_path / "none")) is None
    asked = made.example(facts, splits(made, facts, held_out[:2], tmp_path / "new", items(CAPTIONS)))
    assert asked is not None and asked.values["prompt"] in CAPTIONS and asked.quoted
    made = task(condition="label")
    facts = made.fit(items(["cats", "dogs"]))
    asked = made.example(facts, splits(made, facts, items(["dogs"]), tmp_path / "label"))
    assert asked is not None and (asked.values, asked.quoted) == ({"prompt": "dogs"}, "")
    assert made.known(facts) == {"labels": ["cats", "dogs"]}
