"""The train stage on a real run: plan, train, go on, refuse, load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.families.transformer.family import Transformer
from genwright.model_folder import build_task
from genwright.run import Run, read_json_lines, write_atomic
from genwright.stages.collect import stage as collect
from genwright.stages.prepare import stage as prepare
from genwright.stages.train import stage as train
from genwright.training import checkpoint, compilation, rehearsal
from genwright.training.forecast import Plan
from helpers import ASSETS

CPU = torch.device("cpu")
TRAIN = {"budget": "8 steps", "batch": 4, "validate_times": 2, "previews": 1, "checkpoint_every": "4 steps"}
RECIPE: dict[str, Any] = {
    "task": "write",
    "data": {"sources": [{"folder": str(ASSETS / "text")}]},
    "model": {"layers": 1, "width": 32, "context": 32},
    "train": TRAIN,
}


def recipe_of(**train_keys: Any) -> recipes.Recipe:
    sections = {key: dict(value) for key, value in RECIPE.items() if key in ("model", "train")}
    for key, value in train_keys.items():
        section, _, name = key.partition("_")
        sections[section][name] = value
    return recipes.parse(yaml.safe_dump(RECIPE | sections))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = Run(tmp_path_factory.mktemp("runs") / "prepared")
    recipe = recipe_of()
    run.folder.mkdir()
    task = build_task(recipe)
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    collect.run(recipe, run, task=task, offline=True)
    prepare.run(recipe, run, task=task)
    return run.folder


@pytest.fixture
def run(prepared: Path, tmp_path: Path) -> Run:
    shutil.copytree(prepared, tmp_path / "run")
    return Run(tmp_path / "run")


def trained(run: Run, more: str | None = None, **keys: Any) -> dict[str, Any]:
    recipe = recipe_of(**keys)
    return train.run(recipe, run, task=build_task(recipe), device=CPU, more=more)


def steps_logged(run: Run) -> list[int]:
    return [record["step"] for record in read_json_lines(run.stage("train") / "model" / "metrics.jsonl")]


def test_it_trains_and_says_what_came_of_it(run: Run) -> None:
    summary = trained(run)
    assert summary["steps"] == 8 and summary["examples"] == 32 and summary["weight"] == 32 * 32
    assert summary["parameters"] > 1000 and summary["flops"] > 0 and summary["flops_per_second"] > 0
    assert summary["best_step"] in (4, 8) and not summary["stopped_early"]
    record = run.record("train")
    assert record is not None and record.summary == json.loads(json.dumps(summary))
    assert steps_logged(run) == list(range(1, 9))
    assert [file.name for file in (run.stage("train") / "model" / "previews").iterdir()] == ["step-00000008.txt"]


def test_the_trained_model_is_the_best_checkpoint(run: Run) -> None:
    summary = trained(run)
    model = train.load_trained(run, CPU)
    best, _ = checkpoint.read(run.stage("train") / "model" / "best" / checkpoint.name_of(summary["best_step"]))
    for name, value in checkpoint.weights_of(model.family.modules).items():
        assert torch.equal(value, best[name]) and not value.requires_grad
    assert not model.family.modules.training
    assert model.about["trained"]["steps"] == 8


def test_a_finished_training_is_not_done_again(run: Run) -> None:
    trained(run)
    before = {file: file.stat().st_mtime_ns for file in run.stage("train").rglob("*.safetensors")}
    trained(run)
    assert {file: file.stat().st_mtime_ns for file in run.stage("train").rglob("*.safetensors")} == before


def test_a_kill_before_a_checkpoint_had_its_manifest_costs_that_checkpoint_alone(run: Run) -> None:
    trained(run)
    place = run.stage("train") / "model"
    newest, before = checkpoint.all_in(place / "checkpoints")
    whole, _ = checkpoint.read(newest)
    (newest / checkpoint.MANIFEST).unlink()
    (place / "outcome.json").unlink()
    run.forget("train")
    assert checkpoint.finished_in(place / "checkpoints") == [before]
    assert trained(run)["steps"] == 8 and steps_logged(run) == list(range(1, 9))
    again, _ = checkpoint.read(newest)
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_a_larger_budget_and_more_go_on_where_it_ended(run: Run) -> None:
    trained(run)
    assert trained(run, train_budget="12 steps")["steps"] == 12
    assert trained(run, more="5 steps", train_budget="12 steps")["steps"] == 17
    assert trained(run, train_budget="12 steps")["steps"] == 17  # what was added stays added
    assert steps_logged(run) == list(range(1, 18))


def test_a_smaller_budget_is_refused(run: Run) -> None:
    trained(run)
    with pytest.raises(RequestError, match=r"train\.budget"):
        trained(run, train_budget="4 steps")
    with pytest.raises(RequestError, match=r"--more nonsense"):
        trained(run, more="nonsense")


def test_a_changed_section_is_refused_with_its_keys(run: Run) -> None:
    trained(run)
    with pytest.raises(RequestError, match=r"`model\.width`, `train\.seed` changed.*--fresh") as refused:
        trained(run, model_width=64, train_seed=3)
    assert refused.value.exit_status == 2
    assert run.record("train") is not None  # the finished stage still stands
    trained(run, train_keep_checkpoints=3)  # changes no step, so it may change


def test_without_new_examples_the_weights_stay(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    trained(run)
    record = run.record("prepare")
    assert record is not None
    run.complete("prepare", inputs="new", outputs="new", seconds=0, summary=record.summary)
    assert trained(run)["steps"] == 8
    assert "no training example is new" in capsys.readouterr().err


def test_other_facts_need_a_fresh_start(run: Run) -> None:
    trained(run)
    record = run.record("prepare")
    assert record is not None
    run.complete("prepare", inputs="x", outputs="x", seconds=0, summary=record.summary | {"facts": "other"})
    with pytest.raises(RequestError, match="facts"):
        trained(run)


def test_nothing_is_loaded_from_an_unfinished_training(run: Run) -> None:
    with pytest.raises(RequestError, match="not finished"):
        train.load_trained(run, CPU)


def test_plan_forecasts_and_changes_nothing(run: Run) -> None:
    before = sorted(path for path in run.folder.rglob("*"))
    recipe = recipe_of()
    plan = train.plan(recipe, run, task=build_task(recipe), device=CPU)
    assert isinstance(plan, Plan)
    assert sorted(path for path in run.folder.rglob("*")) == before
    summary = trained(run)
    assert plan.steps == summary["steps"] == 8
    assert plan.parameters == summary["parameters"] and plan.flops == summary["flops"]
    on_disk = sum(file.stat().st_size for file in (run.stage("train") / "model").rglob("*.safetensors"))
    assert 0.3 * plan.disk_bytes < on_disk <= plan.disk_bytes
    assert {
        "parameters",
        "memory_bytes",
        "disk_bytes",
        "seconds",
        "steps",
        "seconds_per_step",
    } <= plan.model_dump().keys()


def test_an_unchosen_size_is_chosen_by_the_budget(run: Run) -> None:
    """More time never makes the model smaller, and the reason is said."""
    small, large = (
        train.plan(recipe, run, task=build_task(recipe), device=CPU)
        for recipe in (
            recipe_of(model_layers=None, model_width=None, model_context=None, train_budget=budget, train_previews=0)
            for budget in ("2s", "3000 steps")
        )
    )
    assert small.parameters < large.parameters
    assert small.reason and large.reason and small.reason != large.reason


@pytest.mark.parametrize("budget", ["300 steps", "40k tokens"])
def test_a_budget_that_is_no_time_is_planned_alike_whatever_the_clock_says(
    run: Run, monkeypatch: pytest.MonkeyPatch, budget: str
) -> None:
    """Size, precision, compiling and steps: equal seeds give equal models on a quiet day and on a busy one."""
    recipe = recipe_of(model_layers=None, model_width=None, model_context=None, train_budget=budget, train_previews=0)
    plans, real = [], rehearsal.time.monotonic
    for slower in (1.0, 10_000.0):
        monkeypatch.setattr(rehearsal.time, "monotonic", lambda slower=slower: real() * slower)
        plans.append(train.plan(recipe, run, task=build_task(recipe), device=CPU))
    quick, slow = plans
    assert slow.seconds > 100 * quick.seconds
    assert quick.config == slow.config
    assert quick.steps == slow.steps
    free = {"checkpoint_every"}  # where checkpoints are written changes nothing that is computed
    assert quick.parts["model"].settings.model_dump(exclude=free) == slow.parts["model"].settings.model_dump(
        exclude=free
    )


def test_compiling_is_decided_by_operations_where_the_budget_is_no_time() -> None:
    assert not compilation.worth(1e12, 10**6, CPU) and compilation.worth(1e14, 10, CPU)
    assert not compilation.worth(1e30, 10**9, torch.device("mps"))
    card = torch.device("cuda")
    assert not compilation.worth(1e12, 400, card) and compilation.worth(1e16, 400, card)
    assert compilation.worth(1e12, 5000, card)  # each waits for Python


def test_compiling_pays_sooner_on_a_card() -> None:
    """Six seconds there, half a minute on two cores."""
    card = torch.device("cuda")
    assert compilation.worth_seconds(45, card) and not compilation.worth_seconds(45, CPU)
    assert compilation.worth_seconds(300, CPU) and not compilation.worth_seconds(10, card)
    assert not compilation.worth_seconds(10**6, torch.device("mps"))


def test_where_the_memory_ends_the_plan_says_how_it_went_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loss = Transformer.loss

    def cramped(family: Transformer, phase: str, batch: Any, rng: torch.Generator, at: Any) -> Any:
        if len(batch["tokens"]) > 1 and at.steps == 8 and at.step >= 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return loss(family, phase, batch, rng, at)

    monkeypatch.setattr(Transformer, "loss", cramped)
    summary = trained(run, train_validate_times=0)
    place = run.stage("train") / "model"
    cuts = json.loads((place / "plan.json").read_text(encoding="utf-8"))["cuts"]
    assert cuts == summary["parts"]["model"]["cuts"]
    assert cuts == [{"at": 5, "phase": "model", "accumulate": parts} for parts in (2, 4)]
    assert (
        "memory was too small at step 6, so from there on a batch is taken 1 example at a time"
        in capsys.readouterr().err
    )
    weights, _ = checkpoint.read(place / "checkpoints" / checkpoint.name_of(8))
    shutil.rmtree(place / "checkpoints")
    (place / "outcome.json").unlink()
    monkeypatch.undo()
    trained(run, train_validate_times=0)
    again, _ = checkpoint.read(place / "checkpoints" / checkpoint.name_of(8))
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_a_deterministic_training_says_so_and_may_be_switched(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    loss = Transformer.loss

    def watched(*inputs: Any) -> Any:
        asked.append(torch.are_deterministic_algorithms_enabled())
        return loss(*inputs)

    monkeypatch.setattr(Transformer, "loss", watched)
    summary = trained(run, train_deterministic="on")
    assert all(asked) and not torch.are_deterministic_algorithms_enabled()
    assert summary["deterministic"] and summary["parts"]["model"]["settings"]["deterministic"]
    assert not trained(run, more="2 steps")["deterministic"]
