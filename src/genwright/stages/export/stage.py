"""Export: the trained model as a folder of its own, loaded back and compared before it is called done.

model/
  config.json  model.safetensors  tokenizer.json ...   see genwright.model
  README.md     the card
  NOTICES.txt   the texts that the licences of packaged data were read from, which most of them ask to be passed on
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from genwright import files
from genwright import model_folder as models
from genwright.console import progress, say
from genwright.engine.engine import Engine
from genwright.errors import WorkError
from genwright.exporters.source import ModelReference, is_language_model
from genwright.hardware import device as devices
from genwright.model import Model
from genwright.recipe import Recipe
from genwright.run import Run, write_atomic
from genwright.stages.export import card, example
from genwright.stages.inputs import digest, stage_inputs
from genwright.stages.prepare.stage import load_splits
from genwright.stages.train.stage import load_trained
from genwright.tasks.base import BaseTask, Splits
from genwright.weights import open_weights

_MOST_NAMES = 500
"""Words that config.json lists as known."""


def run(recipe: Recipe, run: Run, *, task: BaseTask, device: torch.device) -> dict[str, Any]:
    """Write model/. Raises WorkError when what was written does not do what the trained model does."""
    started = time.monotonic()
    inputs = stage_inputs("export", recipe, run, task)
    model = load_trained(run, device)
    splits = load_splits(run, task)
    asked = task.example(model.facts, splits)
    item = splits.items.get(asked.quoted) if asked else None
    examples = example.chosen(task.name, asked, item.licence if item else None)
    model.about = {
        **card.about(recipe, run, model.about),
        "knows": _known(model),
        example.OWN: examples[example.PUBLIC],
    }
    folder = run.stage("export")
    run.forget("export")
    with files.whole(folder) as temporary:
        compared = _write(model, splits, temporary)
        facts = card.gather(recipe, run, model, examples[example.PUBLIC])
        write_atomic(temporary / "README.md", card.write(facts))
        if facts["notices"]:
            write_atomic(temporary / "NOTICES.txt", card.notices_text(facts["notices"]))
    summary = {"bytes": _size_bytes(folder), "files": _hashes(folder), "compared_in": compared, **examples}
    run.complete(
        "export",
        inputs=inputs,
        outputs=digest(summary["files"]),
        seconds=time.monotonic() - started,
        device=devices.title(device),
        summary=summary,
    )
    return summary


def _known(model: Model) -> dict[str, dict[str, Any]]:
    """What the model can be asked for by name: how much there is of each kind, and the most frequent."""
    known = model.task.known(model.facts)
    return {kind: {"count": len(names), "names": names[:_MOST_NAMES]} for kind, names in known.items()}


def foretell(model: Model, splits: Splits, scratch: Path) -> float:
    """Seconds that export takes, by doing the most of it with an untrained model."""
    started = time.monotonic()
    with progress("plan: a trial export"):
        _write(model, splits, scratch / "model")
    return time.monotonic() - started


def _write(model: Model, splits: Splits, folder: Path) -> list[str]:
    """Write the model and compare what is read back; returns by which readers."""
    models.save(model, folder)
    _compare(model, models.load(folder, model.device), splits)
    return ["genwright", *_compare_foreign(model, folder)]


def _compare(trained: Model, loaded: Model, splits: Splits) -> None:
    """Both must make the same preview, byte for byte: same prompts, same seeds, same weights."""
    with tempfile.TemporaryDirectory(prefix="genwright-") as folder:
        before = trained.task.preview(trained, Engine(), splits, Path(folder) / "trained")
        after = loaded.task.preview(loaded, Engine(), splits, Path(folder) / "loaded")
        if before.read_bytes() != after.read_bytes():
            raise WorkError(
                "export: the model that was read back makes something else than the trained one; report this as a bug."
            )


def _compare_foreign(model: Model, folder: Path) -> list[str]:
    """Where another library can read the folder: the same logits, greedy text and tokens there. [] where none can, or it is not
    installed."""
    change = (folder / models.ADAPTER).exists()
    if not change and not is_language_model(model):
        return []
    library = "peft" if change else "transformers"
    if missing := [name for name in ("transformers", library) if find_spec(name) is None]:
        say(f"export: not compared in {library}; {missing[0]} is not installed (pip install {missing[0]}).")
        return []
    base = open_weights(model.task.model.from_).folder if change else None
    if change and base is None:
        say("export: the change is not compared in peft, which can't read the GGUF file that it changes.")
        return []
    from genwright.exporters import comparison, hugging_face

    # Both on the CPU: other devices round matrix products in ways of their own.
    reference = ModelReference(model if model.device.type == "cpu" else models.load(folder, torch.device("cpu")))
    hugging_face.compare(folder, comparison.trials(reference), comparison.words(reference), exact=True, base=base)
    return [library]


def _size_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _hashes(folder: Path) -> dict[str, str]:
    """The hash of every file that the model consists of, by its path."""
    found = {}
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.name not in ("README.md", "NOTICES.txt"):
            with file.open("rb") as content:
                found[file.relative_to(folder).as_posix()] = hashlib.file_digest(content, "sha256").hexdigest()
    return found
