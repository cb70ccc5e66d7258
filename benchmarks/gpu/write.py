"""What a budget becomes with nothing set, beside three settings by hand in the same time: held-out bits, speed, share of the product.

`rows(options)`: `text` is a folder of texts, `poems` one of poems or None, `seconds` the budget of each training, `small` for tiny models.
The poems are given three times as long, and nothing is set.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from genwright import recipe as recipes
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.prepare.stage import load_splits
from genwright.stages.train import rate
from genwright.stages.train.outcomes import load_trained

BY_HAND = (
    {"layers": 6, "width": 384, "context": 256, "batch": 64},
    {"layers": 8, "width": 512, "context": 512, "batch": 32},
    {"layers": 12, "width": 768, "context": 1024, "batch": 16},
)
SMALL_BY_HAND = ({"layers": 1, "width": 32, "context": 32, "batch": 4},)


def rows(options: Any) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        yield from _texts(options, Path(name) / "text", options.text)
        if options.poems is not None:
            (Path(name) / "poems").mkdir()
            seconds = 3 * options.seconds
            yield {
                "data": "poems",
                **_trained(options, Path(name) / "poems", options.poems, seconds, "nothing set", {}),
            }


def _texts(options: Any, folder: Path, text: Path) -> Iterator[dict[str, Any]]:
    folder.mkdir()
    settings = {"nothing set": {}} | {
        ", ".join(f"{key} {value}" for key, value in by_hand.items()): by_hand
        for by_hand in (SMALL_BY_HAND if options.small else BY_HAND)
    }
    for title, by_hand in settings.items():
        yield {"data": "text", **_trained(options, folder, text, options.seconds, title, by_hand)}


def _trained(
    options: Any, folder: Path, text: Path, seconds: float, title: str, by_hand: dict[str, int]
) -> dict[str, Any]:
    """One training in a process of its own, from data that is prepared once."""
    given = dict(by_hand)
    train: dict[str, Any] = {"budget": f"{seconds:g}s", "seed": 0, "previews": 0}
    if "batch" in given:
        train["batch"] = given.pop("batch")
    recipe = {"task": "write", "data": {"sources": [{"folder": str(text)}]}, "model": given, "train": train}
    file, prepared, run = (
        folder / "recipe.yaml",
        folder / "prepared",
        folder / title.replace(", ", "-").replace(" ", ""),
    )
    file.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    if not prepared.exists():
        for stage in ("collect", "prepare"):
            _genwright(stage, file, prepared)
    shutil.copytree(prepared, run)
    _genwright("train", file, run, "--device", str(options.device))
    return {
        "setting": title,
        "budget_seconds": seconds,
        **_measured(recipes.load(file), Run(run), torch.device(options.device)),
    }


def _genwright(stage: str, *arguments: object) -> None:
    file, run, *others = map(str, arguments)
    command = [sys.executable, "-m", "genwright", stage, file, "--run-dir", run, *others]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"genwright {stage} failed: {done.stderr[-1000:]}")


def _measured(recipe: recipes.Recipe, run: Run, device: torch.device) -> dict[str, Any]:
    record = run.record("train")
    assert record is not None
    summary, settings = record.summary, record.summary["parts"]["model"]["settings"]
    task = build_task(recipe)
    model = load_trained(run, device)
    _, store = load_splits(run, task).held_out()
    found = task.held_out_scores(model, store, 0)
    assert found, "nothing is held out"
    product = rate.measured(device, summary["precision"], side=8192 if device.type == "cuda" else 512)
    return {
        "size": summary["title"],
        "parameters": summary["parameters"],
        "batch": settings["batch"],
        "weight_decay": settings["weight_decay"],
        "precision": summary["precision"],
        "compiled": summary["compiled"],
        "steps": summary["steps"],
        "passes": summary["passes"],
        "stage_seconds": record.seconds,
        "bits_per_byte": found[0][1].value,
        "validation_nats": summary["best_loss"],
        "tokens_per_second": summary["weight"] / summary["seconds"],
        "product_flops": product.flops,
        "share_of_product": summary["flops_per_second"] / product.flops,
    }
