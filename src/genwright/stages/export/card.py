"""The model card: README.md of the model folder, with the metadata header that Hugging Face reads.

It names no file of the data and no place on the machine it was made on, for the folder is made to be handed on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from genwright import registry
from genwright.exporters.source import is_language_model
from genwright.model import Model
from genwright.pages.page import render
from genwright.recipe import Recipe
from genwright.request import shown
from genwright.rights.duties import duties
from genwright.run import Run
from genwright.scores import Row, ScoreSheet
from genwright.stages.collect.account import DataView, NoticeText, public_recipe, read_data, read_notices
from genwright.stages.train.record import read_training
from genwright.version import __version__


def about(recipe: Recipe, run: Run, known: dict[str, Any]) -> dict[str, Any]:
    """What config.json says of the model's making: hashes, the account of the data, scores."""
    collected = run.record("collect")
    sheet = _sheet(run)
    account = (
        {key: collected.summary.get(key) for key in ("offered", "kept", "dropped", "licences")} if collected else {}
    )
    model_row = next((row for row in sheet.rows if row.kind == "model"), None) if sheet else None
    return {
        "genwright": __version__,
        "recipe": recipe.hash(),
        "ledger": collected.outputs if collected else None,
        "data": account,
        "scores": {name: score.model_dump() for name, score in model_row.scores.items()} if model_row else {},
        "headline": sheet.headline if sheet else "",
        "verdict": sheet.verdict.model_dump() if sheet and sheet.verdict else None,
        **known,
    }


def gather(recipe: Recipe, run: Run, model: Model, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything the card's template is handed; `asked` are the values of a request that is shown."""
    records = {name: run.record(name) for name in ("collect", "prepare", "train", "evaluate")}
    trained = records["train"]
    data, sheet = read_data(run, public=True), _sheet(run)
    summary = trained.summary if trained else {}
    in_transformers = is_language_model(model)
    return {
        "header": _header(recipe, run.name, data, sheet, in_transformers),
        "name": run.name,
        "recipe": recipe,
        "recipe_yaml": public_recipe(recipe),
        "about": registry.about(recipe.task),
        "in_transformers": in_transformers,
        "example": shown(recipe.task, recipe.family, asked),
        "data": data,
        "unknown": next((row.kept for row in data.licences if row.name is None), 0) if data else 0,
        "duties": {row.name: duties(row.name) for row in data.licences} if data else {},
        "sheet": sheet,
        "training": read_training(summary),
        "trained": summary,
        "device": trained.device if trained else "",
        "versions": trained.versions if trained else {},
        "hashes": {name: record.outputs for name, record in records.items() if record},
        "recipe_hash": recipe.hash(),
        "notices": [*read_notices(run, packages_only=True), *weights_notices(model)],
        "origin": origin_of(model),
        "version": __version__,
    }


def origin_of(model: Model) -> dict[str, Any] | None:
    """Whose weights the model started from: `weights.Origin` as JSON."""
    foreign = getattr(getattr(model, "facts", None), "foreign", None)
    return foreign.origin if foreign is not None else None


def weights_notices(model: Model) -> list[NoticeText]:
    """The licence texts that came with the weights started from."""
    origin = origin_of(model)
    if origin is None:
        return []
    from genwright.weights import open_weights

    found = open_weights(getattr(model.task.model, "from_")).notices  # noqa: B009 - only text tasks have it
    return [NoticeText(origin["title"], name, origin["licence"], text) for name, text in found.items()]


def write(facts: dict[str, Any]) -> str:
    return render("card.md.j2", **facts)


def notices_text(notices: Sequence[NoticeText]) -> str:
    """NOTICES.txt: each notice under the name of the source it was found in."""
    line = "=" * 78
    return "\n\n".join(f"{line}\n{n.source}: {n.path}\n{line}\n\n{n.text.strip()}" for n in notices) + "\n"


def _sheet(run: Run) -> ScoreSheet | None:
    file = run.stage("evaluate") / "scores.json"
    return ScoreSheet.read(file) if run.record("evaluate") and file.exists() else None


def _header(recipe: Recipe, name: str, data: DataView | None, sheet: ScoreSheet | None, in_transformers: bool) -> str:
    """The YAML between the two lines of dashes. No licence is claimed for the weights: that is the owner's to say."""
    task = registry.about(recipe.task)
    row = next((row for row in sheet.rows if row.kind == "model"), None) if sheet else None
    header: dict[str, Any] = {
        "library_name": "transformers" if in_transformers else "genwright",
        "pipeline_tag": task.pipeline,
        "tags": ["genwright", recipe.task, recipe.family, *task.tags],
        "license": "other",
        "license_name": "not-declared",
    }
    if row and sheet and data:
        dataset = {"type": "other", "name": ", ".join(source.name for source in data.sources)}
        results = {"task": {"type": header["pipeline_tag"]}, "dataset": dataset, "metrics": _metrics(sheet, row)}
        header["model-index"] = [{"name": name, "results": [results]}]
    return yaml.safe_dump(header, sort_keys=False, allow_unicode=True)


def _metrics(sheet: ScoreSheet, row: Row) -> list[dict[str, Any]]:
    return [
        {"type": metric.name, "name": metric.title, "value": row.scores[metric.name].value}
        for metric in sheet.metrics
        if metric.name in row.scores
    ]
