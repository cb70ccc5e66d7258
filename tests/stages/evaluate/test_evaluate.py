"""The evaluate stage on a real run, and the judge that is trained by the same loop."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from genwright import recipe as recipes
from genwright.model_folder import build_task
from genwright.run import Run, write_atomic
from genwright.scores import Metric, Score, ScoreSheet
from genwright.stages.collect import stage as collect
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.evaluate.record import Change, Changes, headline
from genwright.stages.evaluate.verdict import training_of
from genwright.stages.prepare import stage as prepare
from genwright.stages.train import stage as train
from genwright.tasks.verdict import Training
from helpers import ASSETS
from helpers.example_run import draw_run
from helpers.tiny_judge import Points, Sides

CPU = torch.device("cpu")
RECIPE = {
    "task": "write",
    "data": {"sources": [{"folder": str(ASSETS / "text")}]},
    "model": {"layers": 1, "width": 32, "context": 32},
    "train": {"budget": "6 steps", "batch": 4, "validate_times": 1, "previews": 0},
    "evaluate": {"samples": 2},
}


def test_the_sheet_stands_beside_its_protocol(tmp_path: Path) -> None:
    recipe, run = recipes.parse(yaml.safe_dump(RECIPE)), Run(tmp_path / "run")
    task = build_task(recipe)
    run.folder.mkdir()
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    collect.run(recipe, run, task=task, offline=True)
    prepare.run(recipe, run, task=task)
    train.run(recipe, run, task=task, device=CPU)
    before = torch.get_rng_state()
    sheet = evaluate.run(recipe, run, task=task, device=CPU)
    assert torch.equal(torch.get_rng_state(), before)
    assert ScoreSheet.read(run.stage("evaluate") / "scores.json") == sheet
    assert {row.kind for row in sheet.rows} >= {"baseline", "model", "real"}
    assert sheet.protocol["split_hash"] == prepare.load_splits(run, task).hash and sheet.protocol["seed"] == 0
    for exhibit in sheet.exhibits:
        assert (run.stage("evaluate") / exhibit.file).exists()
    record = run.record("evaluate")
    assert record is not None and record.summary["headline"] == sheet.headline


def test_what_changed_is_told_in_plain_words_and_without_numbers_where_few_are_held_out() -> None:
    bits = Metric(name="bits", title="bits per byte", better="lower")

    def told(old: int, before: float, after: float) -> str:
        scores = [Score(value=value, low=value - 0.05, high=value + 0.05) for value in (before, after)]
        change = Change(metric="bits", data="old", before=scores[0], after=scores[1])
        return headline(Changes(old={"test": old}, new={}, held_out="test", metrics=[bits], changes=[change]))

    assert "was forgotten" in told(40, 2.0, 2.5) and "2.5" in told(40, 2.0, 2.5)
    assert "has become better" in told(40, 2.5, 2.0)
    assert "nothing of it was forgotten" in told(40, 2.0, 2.01)  # within the interval
    assert "only 3 are held out" in told(3, 2.0, 2.5) and "2.5" not in told(3, 2.0, 2.5)
    assert headline(Changes(old={}, new={}, held_out="test")) == ""


def test_what_is_known_of_a_training_is_read_from_what_it_left(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run")
    assert training_of(run) == Training()  # an older version did not say how often the data was seen
    record = run.record("train")
    assert record is not None
    parts = {"model": {"passes": 3.5, "stopped_early": True}, "taken": {"from": "elsewhere"}}
    run.complete("train", inputs="t", outputs="t", seconds=1, summary=record.summary | {"parts": parts})
    assert training_of(run) == Training(passes=3.5, stopped_early=True, falling=None)
    with (run.stage("train") / "model" / "metrics.jsonl").open("a", encoding="utf-8") as journal:
        journal.writelines(
            f'{{"step": {2000 + i}, "validation/loss": {loss}}}\n' for i, loss in enumerate((4, 3, 2, 1))
        )
    assert training_of(run).falling is True


def test_a_judge_is_trained_by_the_loop_and_left_ready_to_judge(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = Sides()
    evaluate.judge_trainer(0, CPU)(judge, Points(), 150)
    batch = Points().batch(10_000, 200)
    with torch.no_grad():
        right = ((judge.modules["judge"](batch["x"])[:, 0] > 0) == (batch["side"] > 0.5)).float().mean()
    assert right > 0.9
    assert not judge.modules.training and not any(p.requires_grad for p in judge.modules.parameters())
    assert not list(tmp_path.iterdir())
