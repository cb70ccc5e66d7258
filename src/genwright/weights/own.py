"""Weights of a model that Genwright trained itself: a run, or the model folder that one of them was handed on as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from genwright.errors import RequestError
from genwright.run import model_folder
from genwright.weights.identity import hash_files

WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Own:
    """A model folder of one part; `about` is what its config.json says of it (see model_folder.py)."""

    folder: Path
    about: dict[str, Any]

    @property
    def family(self) -> str:
        return self.about["family"]

    @property
    def model(self) -> dict[str, Any]:
        """The recipe's section `model` that it was made by."""
        return self.about["model"]

    @property
    def config(self) -> dict[str, Any]:
        """Its ModelConfig."""
        return self.about["config"]

    def tensors(self) -> dict[str, Tensor]:
        """By the names that `Family.load_tensors` knows. Raises RequestError where they can't be read."""
        try:
            return load_file(self.folder / WEIGHTS)
        except (OSError, ValueError, SafetensorError) as error:
            raise RequestError(
                f"{self.folder / WEIGHTS}: the weights can't be read ({error}); export the run again."
            ) from error

    def identity(self) -> str:
        """A hash of the weights and of all that says how they are used; the card is none of that."""
        return hash_files(file for file in self.folder.iterdir() if file.suffix in (".json", ".safetensors"))


@lru_cache(maxsize=8)
def open_own(place: str, task: str) -> Own:
    """Raises RequestError where there is no model, or none of the task and of one part."""
    folder = model_folder(Path(place))
    try:
        about = json.loads((folder / "config.json").read_text(encoding="utf-8"))["genwright"]
        found = str(about["task"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(
            f"{folder / 'config.json'}: not the config of a Genwright model ({error}); name a run or its model folder."
        ) from error
    if found != task:
        raise RequestError(f"{place} is a model of the task `{found}`; name a run or model folder of `{task}`.")
    if not (folder / WEIGHTS).is_file():
        raise RequestError(f"{place} has no {WEIGHTS}: a model of several parts can't be gone on from; name another.")
    return Own(folder, about)
