"""What a minute becomes with nothing set, beside the best of some settings by hand in the same time, as many as there is time for: held-out bits, speed, share of
the product. Poems, whose data does not end, follow where there is time left (--seconds 600), for three minutes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from card import common, poems
from card.common import row
from genwright import recipe as recipes
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages.prepare.stage import load_splits
from genwright.stages.train import rate
from genwright.stages.train.outcomes import load_trained

BUDGET_S, POEMS_S = 60.0, 180.0
BY_HAND = (
    {"layers": 6, "width": 384, "context": 256, "batch": 64},
    {"layers": 8, "width": 512, "context": 512, "batch": 32},
    {"layers": 12, "width": 768, "context": 1024, "batch": 16},
)
SMALL_BY_HAND = ({"layers": 1, "width": 32, "context": 32, "batch": 4},)
_POEMS_SHARE = 0.35
_BESIDE_S = 20.0
"""A training's start, and the measuring after it."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    by_hand = SMALL_BY_HAND if options.small else BY_HAND
    with common.work() as place:
        content = {"task": "write", "data": {"sources": [{"folder": str(common.folder(options, "text"))}]}}
        _prepare(place, "text", content)
        budget = 3.0 if options.small else min(BUDGET_S, common.left(options) / 2 - _BESIDE_S)
        text, ours = f"{budget:.0f} s, nothing set", _trained(place, "text", content, budget, {}, options)
        yield row(text, ours["bits_per_byte"], "bits/byte", **ours)
        found = []
        for given in by_hand:
            if not found or common.left(options) > budget + _BESIDE_S:
                found.append(_trained(place, "text", content, budget, given, options))
                title = f"{budget:.0f} s by hand, {_title(given)}"
                yield row(title, found[-1]["bits_per_byte"], "bits/byte", **found[-1])
        best = min(one["bits_per_byte"] for one in found)
        goal = None if options.small else best
        yield row(
            f"{text} (beside: the best of {len(found)} by hand)",
            ours["bits_per_byte"],
            "bits/byte",
            best,
            goal,
            lower=True,
        )
        yield row(text, ours["tokens_per_second"], "tokens/s", 117_000)
        yield row(f"{text}: share of the product", ours["share_of_product"], "", 0.002)
        if options.poems is not None and not options.small and common.left(options) > POEMS_S + 2 * _BESIDE_S:
            yield from _poems(place, options)


def _poems(place: Path, options: Any) -> Iterator[dict[str, Any]]:
    content = poems.recipe(options.poems)
    _prepare(place, "poems", content)
    budget = min(POEMS_S, common.left(options) - _BESIDE_S)
    found = _trained(place, "poems", content, budget, {}, options)
    what = f"poems, {budget:.0f} s, nothing set: share of the product"
    yield row(what, found["share_of_product"], "", None, _POEMS_SHARE, **found)


def _prepare(place: Path, name: str, content: dict[str, Any]) -> None:
    (place / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    for stage in ("collect", "prepare"):
        common.genwright(place, stage, f"{name}.yaml", "--run-dir", name)


def _title(given: dict[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in given.items())


def _trained(
    place: Path, name: str, content: dict[str, Any], budget: float, given: dict[str, int], options: Any
) -> dict[str, Any]:
    """One training in a process of its own, in a copy of the prepared run; then its weights on what is held out."""
    model = {key: value for key, value in given.items() if key != "batch"}
    train = {"budget": f"{budget:.0f}s", "seed": 0, "previews": 0} | ({"batch": given["batch"]} if given else {})
    file, run = place / "trained.yaml", place / "trained"
    file.write_text(yaml.safe_dump({**content, "model": model, "train": train}), encoding="utf-8")
    shutil.rmtree(run, ignore_errors=True)
    shutil.copytree(place / name, run)
    common.genwright(place, "train", file.name, "--run-dir", run.name)
    return _measured(recipes.load(file), Run(run), options)


def _measured(recipe: recipes.Recipe, run: Run, options: Any) -> dict[str, Any]:
    record = run.record("train")
    assert record is not None
    summary, settings = record.summary, record.summary["parts"]["model"]["settings"]
    task, device = build_task(recipe), common.device()
    model = load_trained(run, device)
    _, store = load_splits(run, task).held_out()
    scores = task.held_out_scores(model, store, 0)
    assert scores, "nothing is held out"
    product = rate.measured(device, summary["precision"], side=512 if options.small else 8192)
    del model
    common.free()
    chosen = {name: settings[name] for name in ("batch", "accumulate", "weight_decay")}
    told = {name: summary[name] for name in ("title", "parameters", "precision", "compiled", "steps", "passes")}
    return {
        "bits_per_byte": scores[0][1].value,
        "tokens_per_second": summary["weight"] / summary["seconds"],
        "share_of_product": summary["flops_per_second"] / product.flops,
        "stage_seconds": record.seconds,
        **chosen,
        **told,
    }
