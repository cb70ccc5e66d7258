"""A real task of two parts, tests/outside/mosaic.py: a codec, then a prior over the codes that it makes of the data."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import multiprocessing
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from genwright import api
from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.model_folder import build_task
from genwright.run import Run, read_json, read_json_lines, write_atomic
from genwright.shards import ExampleStore
from genwright.stages.collect import stage as collect
from genwright.stages.collect.account import public_recipe
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.evaluate.record import FILE, Changes
from genwright.stages.pipeline import Options, run_stages
from genwright.stages.prepare import stage as prepare
from genwright.stages.report.training import read_training
from genwright.stages.train import jobs
from genwright.stages.train import stage as train
from genwright.tasks.base import main_part
from genwright.training import checkpoint
from genwright.training.base import CLOCK_COLUMNS, Outcome
from genwright.training.forecast import PartPlan
from helpers import ASSETS, ROOT, two_parts
from helpers.two_parts import RECIPE, TRAIN

CPU = torch.device("cpu")
PICTURES = sorted((ASSETS / "pictures").glob("*.png"))
CODEC_STEPS, PRIOR_STEPS = 20, 30
"""Of a budget of 50: the codec's share is 0.4."""


@pytest.fixture(scope="module", autouse=True)
def _registered() -> Iterator[None]:
    two_parts.register()
    yield
    two_parts.unregister()


class Studio:
    """A folder of pictures and a run on it."""

    def __init__(self, place: Path):
        self.data, self.run = place / "pictures", Run(place / "run")

    def add(self, start: int, stop: int) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        for picture in PICTURES[start:stop]:
            shutil.copy(picture, self.data)

    def recipe(self, model: dict[str, Any] | None = None, **train_keys: Any) -> recipes.Recipe:
        sections = {"data": {"sources": [{"folder": str(self.data)}]}, "train": TRAIN | train_keys}
        return recipes.parse(yaml.safe_dump(RECIPE | sections | ({"model": model} if model else {})))

    def prepare(self) -> None:
        recipe = self.recipe()
        self.run.folder.mkdir(exist_ok=True)
        write_atomic(self.run.folder / "recipe.yaml", recipe.to_yaml())
        collect.run(recipe, self.run, task=build_task(recipe), offline=True)
        prepare.run(recipe, self.run, task=build_task(recipe))

    def train(self, more: str | None = None, model: dict[str, Any] | None = None, **train_keys: Any) -> dict[str, Any]:
        recipe = self.recipe(model, **train_keys)
        write_atomic(self.run.folder / "recipe.yaml", recipe.to_yaml())
        return train.run(recipe, self.run, task=build_task(recipe), device=CPU, more=more)

    def folder(self, part: str) -> Path:
        return self.run.stage("train") / part

    def outcome(self, part: str) -> Outcome:
        return Outcome.model_validate(read_json(self.folder(part) / "outcome.json"))

    def plan(self, part: str) -> PartPlan:
        return PartPlan.model_validate(read_json(self.folder(part) / "plan.json"))

    def files(self, part: str) -> dict[Path, int]:
        """What weights and logs of a part there are, and when they were written."""
        kept = ("checkpoints", "best", "metrics.jsonl", "outcome.json")
        found = [file for name in kept for file in (self.folder(part) / name, *(self.folder(part) / name).rglob("*"))]
        return {file: file.stat().st_mtime_ns for file in found if file.is_file()}

    def derived(self) -> dict[str, np.ndarray]:
        """By the folder's name below `derived`: the codes in it."""
        place = self.folder("prior") / "derived"
        return {
            str(file.parent.relative_to(place)): ExampleStore([file.parent]).flat("codes")
            for file in sorted(place.glob("*/*/manifest.json"))
        }


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    studio = Studio(tmp_path_factory.mktemp("two_parts"))
    studio.add(0, 48)
    studio.prepare()
    return studio.run.folder.parent


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All stages of a run."""
    place = tmp_path_factory.mktemp("finished")
    studio = copied(prepared, place / "x")
    run_stages(studio.recipe(), studio.run, Options(device="cpu"))
    return place / "x"


def copied(place: Path, to: Path) -> Studio:
    shutil.copytree(place, to)
    studio = Studio(to)
    studio.prepare()  # the sources stand in another place now; nothing is encoded again
    return studio


@pytest.fixture
def studio(prepared: Path, tmp_path: Path) -> Studio:
    return copied(prepared, tmp_path / "x")


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Studio:
    return copied(finished, tmp_path / "done")


def test_both_parts_are_trained_in_order_and_make_pictures(finished: Path, tmp_path: Path) -> None:
    studio = Studio(finished)
    summary = read_json(studio.run.stage("train") / "stage.json")["summary"]
    assert [studio.outcome(part).steps for part in ("codec", "prior")] == [CODEC_STEPS, PRIOR_STEPS]
    assert [studio.plan(part).settings.batch for part in ("codec", "prior")] == [16, 8]
    assert summary["steps"] == CODEC_STEPS + PRIOR_STEPS and list(summary["parts"]) == ["codec", "prior"]
    seen = {part: studio.outcome(part).examples / studio.plan(part).pass_examples for part in ("codec", "prior")}
    assert {part: summary["parts"][part]["passes"] for part in seen} == pytest.approx(seen, abs=0.001)
    assert min(seen.values()) < summary["passes"] < max(seen.values())
    assert not (studio.folder("codec") / "previews").exists(), "without a prior there is nothing to show"
    assert len(list((studio.folder("prior") / "previews").iterdir())) == TRAIN["previews"]
    losses = [record["model/loss"] for record in read_json_lines(studio.folder("codec") / "metrics.jsonl")]
    assert losses[-1] < 0.8 * losses[0]

    pictures = list(api.load(studio.run.folder, "cpu").generate(n=3, seed=1))
    assert all(media.data.size == (16, 16) for media in pictures)
    assert len({media.data.tobytes() for media in pictures}) == 3
    shutil.copytree(studio.run.folder / "model", tmp_path / "alone")
    assert {place.name for place in (tmp_path / "alone").iterdir() if place.is_dir()} == {"codec", "prior"}
    alone = list(api.load(tmp_path / "alone", "cpu").generate(n=3, seed=1))
    assert [media.data.tobytes() for media in alone] == [media.data.tobytes() for media in pictures]


def test_the_report_marks_the_step_that_was_kept_of_each_part(finished: Path) -> None:
    run = Studio(finished).run
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "codec" in page and "prior" in page
    plain = {view.name: view.chief[0].wide for view in read_training(run)}
    for part in ("codec", "prior"):
        marked = {view.name: view.chief[0].wide for view in read_training(run, {part: {"best_step": 10}})}
        assert {name for name in plain if marked[name] != plain[name]} == {part}


def test_the_codes_are_those_of_the_trained_codec(finished: Path) -> None:
    studio = Studio(finished)
    model = train.load_trained(studio.run, CPU)
    assert model.main == "prior" and model.family is model.parts["prior"]
    splits = prepare.load_splits(studio.run, build_task(studio.recipe()))
    derived = studio.derived()
    (place,) = {Path(name).parent for name in derived}
    for store in splits.stores.values():
        for folder in store.folders:
            examples = ExampleStore([folder])
            made = model.task.codes_of(model.parts, [examples[i] for i in range(len(examples))])  # type: ignore[attr-defined]
            codes = np.concatenate([example["codes"] for example in made])
            assert np.array_equal(derived[str(place / folder.name)], codes)
    assert len(np.unique(np.concatenate(list(derived.values())))) > 2


def test_a_codec_that_learns_on_gives_other_codes(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    """While no later part has begun, what is added is shared."""
    real = train.plan_job

    def stopped(job: jobs.Job, *rest: Any) -> PartPlan:
        if job.name == "prior":
            raise KeyboardInterrupt
        return real(job, *rest)

    monkeypatch.setattr(train, "plan_job", stopped)
    with pytest.raises(KeyboardInterrupt):
        studio.train()
    before = studio.derived()
    monkeypatch.setattr(train, "plan_job", real)
    studio.train(more="50 steps")
    assert [studio.outcome(part).steps for part in ("codec", "prior")] == [2 * CODEC_STEPS, 2 * PRIOR_STEPS]
    after = studio.derived()
    assert len(after) == len(before) and not after.keys() & before.keys()
    assert any(not np.array_equal(one, other) for one, other in zip(after.values(), before.values(), strict=True))


def test_what_is_added_after_the_end_goes_to_the_later_part(done: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    codec, codes = done.files("codec"), done.derived()
    done.train(more="10 steps")
    assert [done.outcome(part).steps for part in ("codec", "prior")] == [CODEC_STEPS, PRIOR_STEPS + 10]
    assert "train codec: stays as it is" in capsys.readouterr().err
    done.train(budget="65 steps")
    assert [done.outcome(part).steps for part in ("codec", "prior")] == [CODEC_STEPS, PRIOR_STEPS + 25]
    assert done.files("codec") == codec and done.derived().keys() == codes.keys()


def test_new_data_gets_codes_of_its_own(done: Studio) -> None:
    codec, codes = done.files("codec"), done.derived()
    before = checkpoint.weights_of(train.load_trained(done.run, CPU).parts["prior"].modules)
    done.add(48, 64)
    done.prepare()
    recipe = done.recipe()
    plan = train.plan(recipe, done.run, task=build_task(recipe), device=CPU)
    done.train()
    assert [done.outcome(part).steps for part in ("codec", "prior")] == [CODEC_STEPS, PRIOR_STEPS + 50]
    assert done.files("codec") == codec
    after, splits = done.derived(), prepare.load_splits(done.run, build_task(recipe))
    assert codes.keys() < after.keys()
    assert sum(map(len, after.values())) == 16 * sum(len(store) for store in splits.stores.values())
    mixture = done.plan("prior").mixture
    assert mixture is not None and mixture.text() in plan.new_data

    held = train.load_before(done.run, CPU)
    assert held is not None and held.plan.settings.part == "prior"
    for name, value in checkpoint.weights_of(held.model.parts["prior"].modules).items():
        assert torch.equal(value, before[name])
    evaluate.run(recipe, done.run, task=build_task(recipe), device=CPU)
    changes = Changes.model_validate_json((done.run.stage("evaluate") / FILE).read_text())
    (metric,) = changes.metrics
    old = changes.of(metric.name, "old")
    assert metric.name == "loss" and old is not None and old.before.value != old.after.value


def test_a_plan_derives_a_sample(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    import mosaic

    real, asked = mosaic.Mosaic.codes_of, []

    def counted(self: Any, trained: Any, examples: Any) -> Any:
        asked.append(len(examples))
        return real(self, trained, examples)

    monkeypatch.setattr(mosaic.Mosaic, "codes_of", counted)
    monkeypatch.setattr(jobs, "SAMPLE", 12)
    before = sorted(studio.run.folder.rglob("*"))
    recipe = studio.recipe()
    plan = train.plan(recipe, studio.run, task=build_task(recipe), device=CPU)
    assert sorted(studio.run.folder.rglob("*")) == before
    splits = prepare.load_splits(studio.run, build_task(recipe))
    assert len(splits["train"]) > 24
    assert sum(asked) == 12 + min(12, len(splits["validation"]))
    assert plan.parts["prior"].pass_examples == len(splits["train"])
    assert {part: planned.settings.steps for part, planned in plan.parts.items()} == {
        "codec": CODEC_STEPS,
        "prior": PRIOR_STEPS,
    }
    asked.clear()
    summary = studio.train()
    assert sum(asked) == sum(len(store) for store in splits.stores.values()) and max(asked) > 12
    assert plan.parameters == summary["parameters"]
    assert studio.plan("prior").pass_examples == len(splits["train"])


def test_every_part_is_weighed_when_a_size_is_chosen(studio: Studio) -> None:
    """The codec is the same in all sizes; the prior is what a short budget does not teach."""
    found = {}
    for budget in ("60 steps", "20000 steps"):
        recipe = studio.recipe(model={"prior": {"width": None}}, budget=budget, previews=0)
        found[budget] = train.plan(recipe, studio.run, task=build_task(recipe), device=CPU)
    assert [plan.config["network"]["width"] for plan in found.values()] == [32, 64]


def test_a_part_may_be_taken_from_another_run(done: Studio, studio: Studio) -> None:
    model = {"codec": {"from": str(done.run.folder)}, "prior": {"width": 32}}
    recipe = studio.recipe(model)
    plan = train.plan(recipe, studio.run, task=build_task(recipe), device=CPU)
    assert list(plan.parts) == ["prior"] and plan.steps == 50
    summary = studio.train(model=model)
    assert studio.outcome("prior").steps == summary["steps"] == 50, "the prior has the whole budget"
    assert summary["parts"]["codec"]["from"] == done.run.folder.name
    assert str(done.run.folder) not in json.dumps(summary), "a model folder is handed on with it"
    assert str(done.run.folder) not in public_recipe(recipe)
    assert plan.parameters == summary["parameters"]
    theirs, ours = (train.load_trained(s.run, CPU).parts["codec"].modules.state_dict() for s in (done, studio))
    assert theirs.keys() == ours.keys() and all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert sum(map(len, studio.derived().values())) == sum(map(len, done.derived().values()))

    shutil.rmtree(done.run.folder)  # the run is whole without the other
    assert studio.train(model=model, more="5 steps")["steps"] == 55
    with pytest.raises(RequestError, match=r"`model\.codec\.from` changed"):
        studio.train()


def test_a_part_of_a_model_folder_and_previews_as_soon_as_the_model_is_whole(done: Studio, studio: Studio) -> None:
    model = {"prior": {"width": 32, "from": str(done.run.folder / "model")}}
    studio.train(model=model)
    assert studio.outcome("codec").steps == 50 and studio.outcome("prior").steps == 0
    assert len(list((studio.folder("codec") / "previews").iterdir())) == TRAIN["previews"]
    theirs, ours = (train.load_trained(s.run, CPU).parts["prior"].modules.state_dict() for s in (done, studio))
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"codec": {"from": "{run}/nowhere"}}, r"`model\.codec\.from`: .*nowhere: neither a run nor a model folder"),
        ({"codec": {"from": "{run}", "levels": 5}}, r"`model\.codec\.levels` is 5 here and 4 in .*leave `from` out"),
        ({"codec": {"from": "{run}/model"}}, r"`model\.codec\.from`: .*without its encoder; name the run"),
        ({"prior": {"from": "{run}"}}, r"`model\.prior\.width` is None here and 32 in"),
        ({"codec": {"from": "{run}"}, "prior": {"width": 32, "from": "{run}"}}, "every part is taken"),
    ],
)
def test_what_can_not_be_taken_is_refused(done: Studio, studio: Studio, model: dict[str, Any], said: str) -> None:
    model = yaml.safe_load(yaml.safe_dump({"prior": {"width": 32}} | model).replace("{run}", str(done.run.folder)))
    with pytest.raises(RequestError, match=said):
        studio.train(model=model)
    assert not (studio.run.stage("train") / "codec" / "outcome.json").exists()


def test_a_part_of_another_size_is_refused(done: Studio, studio: Studio) -> None:
    """The settings agree, and the size that a budget chose does not."""
    written = done.run.stage("train") / "recipe.json"
    written.write_text(written.read_text().replace('"width": 32', '"width": null'))
    model = {"prior": {"from": str(done.run.folder)}}
    with pytest.raises(RequestError, match=r"`model\.prior\.from`: .*of another size than this model"):
        studio.train(model=model, budget="20000 steps")


def test_an_earlier_part_may_be_the_main_one(finished: Path) -> None:
    run = Studio(finished).run
    model = train.load_trained(run, CPU)
    parts = model.task.parts(model.config, model.facts)
    assert main_part(parts) == "prior"
    unmarked = [dataclasses.replace(part, main=False) for part in parts]
    assert main_part(unmarked) == "prior", "the last one, unless it is said"
    assert main_part([dataclasses.replace(unmarked[0], main=True), unmarked[1]]) == "codec"
    assert dataclasses.replace(model, main="codec").family is model.parts["codec"]


def test_the_recipe_has_a_section_for_each_part(tmp_path: Path) -> None:
    text = "task: mosaic\ndata: {sources: [{folder: x}]}\nmodel:\n  codec: {from: ../theirs}\n  prior: {width: 48}\n"
    recipe = recipes.parse(text, folder=tmp_path)
    assert recipe.model.codec.from_ == str(tmp_path / "../theirs") and recipe.model.prior.width == 48
    assert recipe.family == "code_prior" and not hasattr(recipe.model, "width")
    for line, said in (
        ("codec: {widht: 8}", r"`model\.codec\.widht` is no key.*did you mean `width`"),
        ("width: 8", r"`model\.width` is no key of a recipe"),
        ("prior: {width: 8}", r"line 4: `model\.prior\.width`: .*greater than or equal to 16"),
    ):
        with pytest.raises(RequestError, match=said):
            recipes.parse(f"task: mosaic\ndata: {{sources: [{{folder: x}}]}}\nmodel:\n  {line}\n", folder=tmp_path)
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec and spec.loader
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    page = pages.recipe_page()
    for shown in ("| `codec` | section |", "### model.codec", "| `from` | text |", "| `levels` | integer | `4` |"):
        assert shown in page


@pytest.mark.parametrize("where", ["codec", "derive", "prior"])
def test_killed_anywhere_it_ends_where_an_uninterrupted_one_does(
    finished: Path, studio: Studio, where: str, tmp_path: Path
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(studio.recipe().to_yaml(), encoding="utf-8")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["helpers.two_parts", "torch._dynamo"])
    for dies_in, code in ((where, -signal.SIGKILL), ("", 0)):
        child = context.Process(target=two_parts.train_run, args=(str(recipe), str(studio.run.folder), dies_in))
        child.start()
        child.join()
        assert child.exitcode == code
        assert (studio.folder("codec") / "outcome.json").exists() == (dies_in != "codec")
        assert (studio.folder("prior") / "plan.json").exists() == (dies_in in ("prior", ""))
    whole = Studio(finished)
    for name in ("codec", "prior"):
        newest = checkpoint.all_in(whole.folder(name) / "checkpoints")[0].name
        for kind in ("checkpoints", "best"):
            places = [checkpoint.all_in(s.folder(name) / kind)[0] for s in (whole, studio)]
            assert places[0].name == places[1].name
            (weights, _), (weights_again, _) = map(checkpoint.read, places)
            assert all(torch.equal(weights[key], weights_again[key]) for key in weights), f"{name} {newest}"
        logs = [read_json_lines(s.folder(name) / "metrics.jsonl") for s in (whole, studio)]
        steady = [[{k: v for k, v in r.items() if k not in CLOCK_COLUMNS} for r in records] for records in logs]
        assert steady[0] == steady[1] and len(steady[0]) == whole.outcome(name).steps
    assert {k: v.tobytes() for k, v in studio.derived().items()} == {k: v.tobytes() for k, v in whole.derived().items()}
