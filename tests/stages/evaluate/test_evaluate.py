"""The evaluate stage on a real run, and the judge that is trained by the same loop."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml

from genwright import recipe as recipes
from genwright.model_folder import build_task
from genwright.run import Run, write_atomic
from genwright.scores import ScoreSheet
from genwright.stages.collect import stage as collect
from genwright.stages.evaluate import stage as evaluate
from genwright.stages.prepare import stage as prepare
from genwright.stages.train import stage as train
from helpers import ASSETS
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
