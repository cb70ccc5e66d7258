"""More data later: what is learnt of it, how it is mixed with the old, exact resume, and --refit."""

from __future__ import annotations

import html
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.model_folder import build_task
from genwright.run import Run, read_json, read_json_lines, write_atomic
from genwright.scores import ScoreSheet
from genwright.stages.collect import stage as collect
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.evaluate.record import FILE, Changes
from genwright.stages.prepare import stage as prepare
from genwright.stages.report import stage as report
from genwright.stages.train import new_data
from genwright.stages.train import stage as train
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS
from genwright.training.forecast import PartPlan
from genwright.training.trainer import Trainer
from helpers import ASSETS

CPU = torch.device("cpu")
SONNETS = (ASSETS / "text" / "sonnets.txt").read_text(encoding="utf-8").split("\n\n")
RECIPE: dict[str, Any] = {
    "task": "write",
    "prepare": {"tokenizer": "characters"},
    "model": {"layers": 1, "width": 32, "context": 32},
    "train": {"budget": "12 steps", "batch": 4, "validate_times": 2, "previews": 0, "checkpoint_every": "4 steps"},
}


def add_poems(folder: Path, start: int, stop: int) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(start, stop):
        (folder / f"{number:03}.txt").write_text(SONNETS[number % len(SONNETS)] + f"\n{number}\n", encoding="utf-8")


class Studio:
    """A folder of poems and a run on it."""

    def __init__(self, place: Path):
        self.data, self.run = place / "poems", Run(place / "run")

    def recipe(self, **train_keys: Any) -> recipes.Recipe:
        sections = {"data": {"sources": [{"folder": str(self.data)}]}, "train": RECIPE["train"] | train_keys}
        return recipes.parse(yaml.safe_dump(RECIPE | sections))

    def prepare(self, refit: bool = False) -> dict[str, Any]:
        recipe = self.recipe()
        self.run.folder.mkdir(exist_ok=True)
        write_atomic(self.run.folder / "recipe.yaml", recipe.to_yaml())
        collect.run(recipe, self.run, task=build_task(recipe), offline=True)
        return prepare.run(recipe, self.run, task=build_task(recipe), refit=refit)

    def train(self, refit: bool = False, more: str | None = None, **train_keys: Any) -> dict[str, Any]:
        recipe = self.recipe(**train_keys)
        return train.run(recipe, self.run, task=build_task(recipe), device=CPU, refit=refit, more=more)

    @property
    def plan(self) -> PartPlan:
        return PartPlan.model_validate(read_json(self.run.stage("train") / "model" / "plan.json"))

    def weights(self) -> dict[str, torch.Tensor]:
        return checkpoint.weights_of(train.load_trained(self.run, CPU).family.modules)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("new_data")
    studio = Studio(place)
    add_poems(studio.data, 0, 60)
    studio.prepare()
    studio.train()
    return place


@pytest.fixture
def studio(trained: Path, tmp_path: Path) -> Studio:
    shutil.copytree(trained, tmp_path / "x")
    studio = Studio(trained)  # the data stands where it stood; only the run is a copy
    copied = Studio(tmp_path / "x")
    shutil.rmtree(copied.data)
    shutil.copytree(studio.data, copied.data)
    recipe = (copied.run.folder / "recipe.yaml").read_text().replace(str(studio.data), str(copied.data))
    (copied.run.folder / "recipe.yaml").write_text(recipe)
    return copied


def test_new_files_are_learnt_for_another_budget_mixed_with_old_ones(
    studio: Studio, capsys: pytest.CaptureFixture[str]
) -> None:
    before = studio.weights()
    add_poems(studio.data, 60, 68)
    assert studio.prepare()["encoded"] == 8
    recipe = studio.recipe()
    plan = train.plan(recipe, studio.run, task=build_task(recipe), device=CPU)
    summary = studio.train()
    assert summary["steps"] == 24
    mixture = studio.plan.mixture
    assert mixture is not None and mixture.start == 12 * 4
    # As many steps with the new data as without it: twice their share, and each seen as often as an old one.
    assert mixture.share == pytest.approx(2 * mixture.fair) and 0.1 < mixture.fair < 0.25
    said = capsys.readouterr().err
    assert "examples are new" in plan.new_data and "2 times as often as its share" in plan.new_data
    assert plan.new_data in said
    held = train.load_before(studio.run, CPU)
    assert held is not None
    for name, value in checkpoint.weights_of(held[0].family.modules).items():
        assert torch.equal(value, before[name])
    assert any(not torch.equal(value, before[name]) for name, value in studio.weights().items())


def test_the_old_and_the_new_are_told_by_content(studio: Studio) -> None:
    (studio.data / "003.txt").rename(studio.data / "renamed.txt")
    (studio.data / "004.txt").write_text("Another poem.\nIt has two lines.\n")
    (studio.data / "005.txt").touch()
    studio.prepare()
    splits = prepare.load_splits(studio.run, build_task(studio.recipe()))
    folder = studio.run.stage("train")
    known = new_data.load(folder, read_json(folder / "recipe.json")["data"])
    assert known is not None
    new = [
        splits.items[store.ids[row]].path
        for store in splits.stores.values()
        for row in new_data.is_new(store, splits.items, known).nonzero()[0]
    ]
    assert new == ["004.txt"]


def test_a_share_may_be_asked_for(studio: Studio) -> None:
    add_poems(studio.data, 60, 72)
    studio.prepare()
    studio.train(new_data_share=0.45)
    assert studio.plan.mixture is not None and studio.plan.mixture.share == 0.45
    assert studio.train(new_data_share=0.2)["steps"] == 24  # of what is done nothing depends on it any more
    with pytest.raises(RequestError, match="new_data_share"):
        studio.recipe(new_data_share=1.5)


def test_a_training_on_new_data_that_is_killed_goes_on_bit_for_bit(
    studio: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_poems(studio.data, 60, 72)
    studio.prepare()
    whole = Studio(tmp_path / "whole")
    whole.data = studio.data
    shutil.copytree(studio.run.folder, whole.run.folder)
    whole.train()

    real = Trainer.take_step

    def dies(self: Trainer) -> None:
        if self.step == 18:
            raise KeyboardInterrupt
        real(self)

    monkeypatch.setattr(Trainer, "take_step", dies)
    with pytest.raises(KeyboardInterrupt):
        studio.train()
    monkeypatch.setattr(Trainer, "take_step", real)
    assert studio.train()["steps"] == 24
    for name, value in studio.weights().items():
        assert torch.equal(value, whole.weights()[name])
    logged = [read_json_lines(s.run.stage("train") / "model" / "metrics.jsonl") for s in (studio, whole)]
    steady = [[{k: v for k, v in r.items() if k not in CLOCK_COLUMNS} for r in records] for records in logged]
    assert steady[0] == steady[1]


def test_data_may_come_again_and_again(studio: Studio) -> None:
    former: dict[str, torch.Tensor] = {}
    for number, stop in enumerate((72, 84), start=2):
        add_poems(studio.data, stop - 12, stop)
        studio.prepare()
        former = studio.weights()
        assert studio.train()["steps"] == 12 * number
    held = train.load_before(studio.run, CPU)
    assert held is not None
    for name, value in checkpoint.weights_of(held[0].family.modules).items():
        assert torch.equal(value, former[name])
    assert studio.plan.mixture is not None and studio.plan.mixture.start == 24 * 4
    assert len(list(studio.run.stage("train").glob("known-*.npy"))) == 2
    assert len(list((studio.run.stage("train") / "model" / "before").iterdir())) == 1


def test_refit_measures_anew_and_starts_the_training_over(studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    add_poems(studio.data, 60, 61)
    for number in range(8):
        (studio.data / f"zeta{number}.txt").write_text("Ζεῦ πάτερ\n" * (number + 5), encoding="utf-8")
    frozen = studio.prepare()["facts"]
    assert studio.train()["steps"] == 24
    assert studio.prepare(refit=True)["facts"] != frozen
    with pytest.raises(RequestError, match="--refit or --fresh"):
        studio.train()
    capsys.readouterr()
    assert studio.train(refit=True)["steps"] == 12
    assert "starts over" in capsys.readouterr().err
    assert studio.train(refit=True)["steps"] == 12  # the same facts: nothing starts over


def test_the_report_shows_the_model_before_and_after(studio: Studio) -> None:
    recipe = studio.recipe()
    task = build_task(recipe)
    recipe.evaluate.samples = 2
    studio.prepare()
    evaluate.run(recipe, studio.run, task=task, device=CPU)
    folder = studio.run.stage("evaluate")
    assert not (folder / FILE).exists() and not (folder / "former.json").exists()
    former = ScoreSheet.read(folder / "scores.json")

    add_poems(studio.data, 60, 88)
    studio.prepare()
    studio.train()
    sheet = evaluate.run(recipe, studio.run, task=task, device=CPU)
    changes = Changes.model_validate_json((folder / FILE).read_text())
    assert changes.former == former != sheet
    assert changes.old["train"] + changes.new["train"] == len(prepare.load_splits(studio.run, task)["train"])
    assert changes.new["train"] > 20 and changes.new["test"] > 0 and changes.mixture is not None
    # What the state before costs on the old held-out texts is what was measured at the time: nothing of it is lost.
    old = changes.of("bits_per_byte", "old")
    assert old is not None
    assert old.before.value == pytest.approx(former.row("model").scores["bits_per_byte"].value)
    assert old.after.value != old.before.value
    assert "the new data" in changes.headline and "data that was there before" in changes.headline
    page = report.run(recipe, studio.run).read_text(encoding="utf-8")
    assert "What the new data changed" in page and "times as often as its share" in page
    for pair in changes.pairs:
        for name in (pair.before, pair.after):
            made = (folder / name).read_text(encoding="utf-8").split(">>>")[1].split("\n")[0].strip()
            assert made[:20] in html.unescape(page)
    public = report.run(recipe, studio.run, public=True).read_text(encoding="utf-8")
    prompts = [(folder / pair.before).read_text(encoding="utf-8").split(">>>")[0] for pair in changes.pairs]
    prompt = next(filter(None, prompts))
    assert prompt in html.unescape(page) and prompt not in html.unescape(public)
