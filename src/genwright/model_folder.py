"""A model on the disk, loadable without the run that it came from.

model/
  config.json         {"genwright": {...}}, beside the Hugging Face keys of a text model
  model.safetensors   a model of one part lies flat; several parts have a subfolder each
  adapter_model.safetensors, adapter_config.json      in its place: a change of the weights that `model.from` names, as PEFT has it
  tokenizer.json ...  the task's facts
  README.md           the card
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from genwright.errors import RequestError
from genwright.families.base import Family, Foreign, foreign_config
from genwright.files import share
from genwright.model import Model, ModelConfig
from genwright.recipe import Recipe, recipe_class
from genwright.registry import TASKS
from genwright.tasks.base import BaseTask, main_part

WEIGHTS, ADAPTER = "model.safetensors", "adapter_model.safetensors"
"""Whole weights, or a change of the weights that `model.from` names, as PEFT calls it."""


def save(model: Model, folder: Path) -> None:
    """Write the model folder, card apart. Only modules that generating needs are kept (`Family.exported`)."""
    folder.mkdir(parents=True, exist_ok=True)
    flat = len(model.parts) == 1
    config: dict[str, Any] = {}
    for name, family in model.parts.items():
        place = folder if flat else folder / name
        place.mkdir(exist_ok=True)
        files = family.foreign_files() if isinstance(family, Foreign) else {}
        for file, content in files.items():
            (place / file).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        stored = place / (ADAPTER if files else WEIGHTS)
        save_file({k: v.contiguous() for k, v in family.export_tensors().items()}, stored, metadata={"format": "pt"})
        share(stored)
        if flat:
            config.update(foreign_config(family))
    config["genwright"] = {
        "task": model.task.name,
        "family": model.task.family,
        "prepare": model.task.prepare.model_dump(mode="json"),
        "model": model.task.exported_settings(),
        "config": model.config.model_dump(mode="json"),
        "about": model.about,
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    model.facts.save(folder)


def build_task(recipe: Recipe) -> BaseTask:
    return TASKS[recipe.task].load()(recipe.prepare, recipe.model, recipe.family)


def build_parts(task: BaseTask, config: ModelConfig, facts: Any, device: torch.device) -> dict[str, Family]:
    """All parts with their initial weights, in evaluation mode."""
    built: dict[str, Family] = {}
    for part in task.parts(config, facts):
        family = part.build(built)
        family.modules.to(device).eval()
        built[part.name] = family
    return built


def load(folder: Path, device: torch.device) -> Model:
    """Read a model folder. Raises RequestError naming the file that is not as it should be."""
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))["genwright"]
        schema = recipe_class(about["task"], about["family"])
        prepare = _section(schema, "prepare").model_validate(about["prepare"])
        settings = _section(schema, "model").model_validate(about["model"])
        config = ModelConfig.model_validate(about["config"])
    except (OSError, ValueError, KeyError) as error:
        raise RequestError(
            f"{folder / 'config.json'}: not the config of a Genwright model ({error}); name a run or its model folder."
        ) from error
    task: BaseTask = TASKS[about["task"]].load()(prepare, settings, about["family"])
    facts = task.load_facts(folder)
    parts = task.parts(config, facts)
    built: dict[str, Family] = {}
    for part in parts:
        family = part.build(built)
        place = folder if len(parts) == 1 else folder / part.name
        file = place / (ADAPTER if (place / ADAPTER).exists() else WEIGHTS)
        try:
            family.load_tensors(load_file(file))
        except (OSError, RuntimeError, KeyError, ValueError, SafetensorError) as error:
            raise RequestError(
                f"{file}: the weights do not fit config.json ({error}); export the run again."
            ) from error
        drop_unexported(family)
        family.modules.to(device).eval()
        built[part.name] = family
    return Model(task, config, facts, built, device, about["about"], main=main_part(parts))


def drop_unexported(family: Family) -> None:
    for name in [name for name in family.modules if name not in family.exported]:
        del family.modules[name]


def _section(schema: type[Recipe], name: str) -> Any:
    return schema.model_fields[name].annotation
