"""The rows of draw's score sheet: real pictures at the ceiling, the floor below them, copies found out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import genwright as gw
from genwright.families.base import Family, Moment
from genwright.media.image import resize_square
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import EvaluateSettings, parse
from genwright.scores import ScoreSheet
from genwright.shards import Example, ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.draw import scores as draw_scores
from genwright.tasks.draw import variety as draw_variety
from genwright.tasks.draw.task import Draw
from genwright.tasks.image.facts import DrawFacts, caption_tokenizer
from genwright.training.base import Batches
from helpers import ASSETS

PICTURES = ASSETS / "pictures"


def pictures() -> list[tuple[str, np.ndarray, str]]:
    """(name, picture, words) of the 64 emoji, mirrored ones beside them: 128 in all."""
    found = []
    for line in (PICTURES / "emoji.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        picture = Image.open(PICTURES / row["image"]).convert("RGBA")
        sheet = Image.new("RGBA", picture.size, "white")
        sheet.alpha_composite(picture)
        image = resize_square(np.asarray(sheet.convert("RGB")), 16)
        found += [(row["image"], image, row["text"]), (row["image"] + "m", image[:, ::-1], row["text"])]
    return found


@pytest.fixture(scope="module")
def facts() -> DrawFacts:
    words = [words for _, _, words in pictures()]
    return DrawFacts("text", ["even", "odd"], caption_tokenizer(words), len(words))


@pytest.fixture(scope="module")
def splits(facts: DrawFacts, tmp_path_factory: pytest.TempPathFactory) -> Splits:
    folder = tmp_path_factory.mktemp("prepared")
    parts: dict[str, list[tuple[str, Example]]] = {"train": [], "validation": [], "test": []}
    order = np.random.default_rng(0).permutation(128)
    everything = pictures()
    for place, index in enumerate(order):
        name, image, words = everything[index]
        label = np.array([len(words) % 2], np.int32)
        example = {"image": np.ascontiguousarray(image), "condition": facts.encode(words, ""), "label": label}
        parts["train" if place < 88 else "validation" if place < 100 else "test"].append((name, example))
    for split, rows in parts.items():
        write_part(folder / split, rows)
    return Splits({split: ExampleStore([folder / split]) for split in parts} | {"judge": ExampleStore([])}, hash="h")


def untrained(family: str, facts: DrawFacts) -> Model:
    recipe = parse(f"task: draw\ndata: {{sources: [{{folder: .}}]}}\nmodel: {{family: {family}, size: 16, width: 16}}")
    task = Draw(recipe.prepare, recipe.model, family)
    config = task.candidates(facts, Splits({}), torch.device("cpu"))[0]
    torch.manual_seed(0)
    device = torch.device("cpu")
    return Model(task, config, facts, build_parts(task, config, facts, device), device)


def few_steps(judge: Family, batches: Batches, steps: int) -> None:
    optimizer = torch.optim.AdamW(judge.modules.parameters(), 1e-3)
    for step in range(15):
        optimizer.zero_grad()
        judge.loss("judge", batches.batch(step * 16, 16), torch.Generator(), Moment()).value.backward()
        optimizer.step()


def scored(family: str, facts: DrawFacts, splits: Splits, folder: Path) -> ScoreSheet:
    model = untrained(family, facts)
    assert isinstance(model.task, Draw)
    return draw_scores.score(model, splits, EvaluateSettings(samples=40), few_steps, folder)


@pytest.fixture(scope="module")
def sheets(
    facts: DrawFacts, splits: Splits, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[ScoreSheet, Path]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        folders = {family: tmp_path_factory.mktemp(family) for family in ("gan", "vae")}
        return {family: (scored(family, facts, splits, folder), folder) for family, folder in folders.items()}


def test_floor_lies_far_above_copies_and_real_pictures(sheets: dict[str, tuple[ScoreSheet, Path]]) -> None:
    sheet, _ = sheets["gan"]
    kid = {row.kind: row.scores["kid"] for row in sheet.rows}
    assert list(kid) == ["floor", "copy", "model", "real"]
    assert kid["floor"].value > 10 * max(kid["copy"].value, kid["real"].value)
    assert kid["real"].low is not None and kid["real"].high is not None and kid["floor"].low is not None
    assert kid["real"].low < 0.2 and kid["real"].high < kid["floor"].low


def test_copies_are_found_and_noise_is_not(sheets: dict[str, tuple[ScoreSheet, Path]]) -> None:
    sheet, _ = sheets["gan"]
    rate = {row.kind: row.scores["copy_rate"].value for row in sheet.rows}
    assert rate["copy"] == 1.0
    assert rate["floor"] == 0.0
    assert 0 < rate["real"] < 0.3


def test_both_families_have_the_same_metrics_and_protocol(sheets: dict[str, tuple[ScoreSheet, Path]]) -> None:
    names = {family: [metric.name for metric in sheet.metrics] for family, (sheet, _) in sheets.items()}
    own = ["own_pairs", "own_on_real", "own_on_generated"]
    assert names["gan"] == [*names["vae"], *own]
    assert names["gan"][:2] == ["kid", "frechet"]
    assert sheets["gan"][0].protocol == sheets["vae"][0].protocol
    gan, vae = (sheets[family][0].row("model").scores for family in ("gan", "vae"))
    assert set(gan) == {*vae, *own}


def test_a_distance_with_too_few_pictures_says_so(sheets: dict[str, tuple[ScoreSheet, Path]]) -> None:
    sheet, _ = sheets["vae"]
    frechet = next(metric for metric in sheet.metrics if metric.name == "frechet")
    assert "too few" in frechet.title
    assert "1280" in frechet.description
    assert {row.scores["frechet"].n for row in sheet.rows} == {40}


def test_the_protocol_holds_what_a_score_needs(sheets: dict[str, tuple[ScoreSheet, Path]]) -> None:
    protocol = sheets["gan"][0].protocol
    expected = {"split_hash": "h", "reference_n": 40, "held_out_n": 40, "extractor": "efficientnet-lite0", "seed": 0}
    assert {key: protocol[key] for key in expected} == expected
    assert protocol["split"] == "test and validation"
    assert {"resize", "input_size", "dimensions", "judge", "copy_distance"} <= set(protocol)


def test_variety_within_a_word_stands_beside_that_of_the_real_pictures(
    sheets: dict[str, tuple[ScoreSheet, Path]],
) -> None:
    """Each emoji is there twice, once mirrored: real pictures of a word are near each other."""
    for sheet, _ in sheets.values():
        values = {row.kind: row.scores["variety"] for row in sheet.rows if "variety" in row.scores}
        assert list(values) == ["floor", "model", "real"]
        assert 0 < values["real"].value < 0.8
        assert values["floor"].value == pytest.approx(1, abs=0.15)
        assert values["model"].n == 6 * 3
        assert "6 words of training pictures, 3 samples of each" in sheet.protocol["variety"]
        assert "efficientnet-lite0" in sheet.protocol["variety"]


@pytest.mark.parametrize(("deaf_to", "low", "high"), [("noise", 0, 1e-6), ("words", 0.8, 1.3)])
def test_a_planted_generator_is_found_out(
    deaf_to: str,
    low: float,
    high: float,
    facts: DrawFacts,
    splits: Splits,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """One that ignores its noise draws one picture for a word, one that ignores its words draws any picture for any."""
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    train = splits["train"]

    def draw(model, engine, conditions, seed, controls, first=0):
        for index, condition in enumerate(conditions):
            number = int(condition.astype(int) @ np.arange(1, len(condition) + 1)) if deaf_to == "noise" else index * 7
            yield train[number % len(train)]["image"]

    monkeypatch.setattr(draw_variety, "draw", draw)
    shown = draw_variety.Words(
        *(np.stack([train[i][name] for i in range(len(train))]) for name in ("condition", "label")),
        np.zeros((len(train), 4)),
    )
    found = draw_variety.measure(
        untrained("vae", facts),
        shown,
        lambda labels: np.zeros((len(labels), 16, 16, 3), np.uint8),
        EvaluateSettings(samples=90),
    )
    assert low <= found.rows["model"].value <= high


def test_exhibits_are_there_and_say_whether_they_show_training_pictures(
    sheets: dict[str, tuple[ScoreSheet, Path]],
) -> None:
    for family, (sheet, folder) in sheets.items():
        shown = {exhibit.name: exhibit.shows_training_items for exhibit in sheet.exhibits}
        expected = {
            "samples": False,
            "beside_real": True,
            "nearest": True,
            "nearest_worst": True,
            "interpolation": False,
        }
        assert shown == expected | ({"reconstruction": True} if family == "vae" else {})
        words = {e.name: (len(e.words), e.across) for e in sheet.exhibits if e.words}
        assert words == {"samples": (48, 12)} | dict.fromkeys(("beside_real", "nearest", "nearest_worst"), (12, 12))
        for exhibit in sheet.exhibits:
            with Image.open(folder / exhibit.file) as picture:
                assert picture.width > 500


def test_samples_have_the_words_of_the_copy_row_and_none_of_the_reference(splits: Splits) -> None:
    given = draw_scores.gather(splits["train"], [splits["test"]], EvaluateSettings(samples=40))
    assert (given.reference_count, given.copy_count) == (40, 40)
    train = splits["train"]
    by_picture = {train[i]["image"].tobytes(): train[i]["condition"] for i in range(len(train))}
    for image, condition in zip(given.searched[given.copies], given.conditions, strict=True):
        np.testing.assert_array_equal(by_picture[image.tobytes()], condition)
    few = draw_scores.gather(splits["train"], [splits["test"]], EvaluateSettings(samples=100))
    assert (few.reference_count, few.copy_count, len(few.conditions)) == (44, 44, 100)


def test_a_handful_of_pictures_is_trained_exported_and_reported_without_scores(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for number in range(5):
        Image.new("RGB", (16, 16), (50 * number, 0, 0)).save(tmp_path / "data" / f"{number}.png")
    train = {"budget": "2 steps", "batch": 2, "compile": "off", "precision": "fp32", "previews": 1}
    content = {"task": "draw", "data": {"sources": [{"folder": str(tmp_path / "data")}]}, "train": train}
    content["model"] = {"family": "vae", "size": 16, "width": 16}
    (tmp_path / "five.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    run = gw.run(tmp_path / "five.yaml", run_dir=tmp_path / "run", device="cpu", anyway=True)
    assert "scores need at least 4 training pictures, and there are 3" in run.scores.headline
    assert run.scores.row("model").scores == {}
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "scores need at least 4 training pictures" in page and (tmp_path / "run" / "model" / "config.json").exists()


def test_the_floor_has_the_mean_and_spread_of_its_class() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    searched = np.clip(random.normal(100 + 50 * labels[:, None, None, None], 12, (60, 4, 4, 3)), 0, 255).astype(
        np.uint8
    )
    none = np.empty((0, 4, 4, 3), np.uint8)
    drawn_labels = np.arange(2000) % 2
    given = draw_scores.Material(
        searched, labels, np.zeros((60, 1)), 30, 30, np.zeros((2000, 1)), drawn_labels, none, np.zeros((0, 1)), 60
    )
    drawn = draw_scores.floor(given, random).astype(float)
    for label in (0, 1):
        own, made = searched[labels == label].astype(float), drawn[drawn_labels == label]
        np.testing.assert_allclose(made.mean(0), own.mean(0), atol=2)
        np.testing.assert_allclose(made.std(0), own.std(0), atol=2)
    unlabelled = dataclasses.replace(given, labels=np.full(2000, -1))
    np.testing.assert_allclose(draw_scores.floor(unlabelled, random).mean(0), searched.mean(0), atol=3)
