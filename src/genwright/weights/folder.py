"""A Hugging Face folder: config.json, weights in safetensors (in shards, too), tokenizer.json, chat template.

Weights of the old kind (pytorch_model.bin) are read as data only (`weights_only`), never as programs.
"""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from torch import Tensor

from genwright.console import say
from genwright.errors import RequestError
from genwright.networks.decoder import DecoderConfig
from genwright.networks.hugging_face import from_hf_config
from genwright.rights.licence import is_legal_text, recognise
from genwright.weights.base import Origin, Weights, architecture_of
from genwright.weights.identity import hash_files
from genwright.weights.tokenizers import read_tokenizer

_SAFE = ("model.safetensors.index.json", "model.safetensors")
_OLD = ("pytorch_model.bin.index.json", "pytorch_model.bin")
_FACTS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")

_ADAPTER = "adapter_config.json"
_POINTER = b"version https://git-lfs"


def open_folder(folder: Path, shown: str, title: str) -> Weights:
    """Raises RequestError naming the file that is missing or not as it should be."""
    _refuse_change(folder, shown)
    content = read_object(folder / "config.json", shown)
    said = read_config(content, f"{shown}/config.json")
    tensors = _tensor_files(folder, shown)
    config = _untied(said, tensors, shown)
    generation = read_object(folder / "generation_config.json", shown, missing_is_empty=True)
    tokenizer = read_tokenizer(folder, shown, content, generation, config.vocab_size)
    licence, notices = _rights(folder)
    origin = Origin(title, architecture_of(config), hash_files(files_of(folder)), licence)
    weights = Weights(shown, config, tensors, tokenizer, origin, generation, notices, folder, config != said)
    weights.check()
    return weights


def _refuse_change(folder: Path, shown: str) -> None:
    """Other programs take an adapter's folder for the weights that it changes, with the change."""
    if not (folder / _ADAPTER).exists():
        return
    base = read_object(folder / _ADAPTER, shown).get("base_model_name_or_path") or "other weights"
    raise RequestError(
        f"{shown}: holds a change of {base} (adapter_config.json), not whole weights; merge it into them first (PEFT's merge_and_unload)."
    )


def _untied(config: DecoderConfig, tensors: SafeTensors | OldTensors, shown: str) -> DecoderConfig:
    """As transformers does, the output matrix stays its own where the config ties it and the file holds another than the embedding."""
    names = ("lm_head.weight", "model.embed_tokens.weight")
    if not config.tie_word_embeddings or not tensors.names().issuperset(names):
        return config
    head, embedding = map(tensors.read, names)
    if torch.equal(head, embedding):
        return config
    say(
        f"{shown}: config.json ties lm_head.weight to the embedding, but the two differ; they are kept apart, as transformers does."
    )
    return config.model_copy(update={"tie_word_embeddings": False})


def files_of(folder: Path) -> list[Path]:
    """The files that the weights, the config and the tokenizer are read from."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.is_file() and (file.name in _FACTS or file.suffix in (".safetensors", ".bin"))
    ]


def read_config(content: dict[str, Any], shown: str) -> DecoderConfig:
    if "auto_map" in content:
        say(
            f"{shown}: names a program of its own (auto_map), which is never run; read as transformers' own {content.get('model_type')}."
        )
    try:
        return from_hf_config(content)
    except ValueError as error:
        why = str(error).splitlines()[0] if "validation error" not in str(error) else _first(error)
        raise RequestError(f"{shown}: {why}; choose weights of a known architecture.") from error


def _first(error: Any) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    return f"`{name}`: {first['msg']}" if name else first["msg"]


def read_object(file: Path, shown: str, missing_is_empty: bool = False) -> dict[str, Any]:
    if missing_is_empty and not file.exists():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise RequestError(
            f"{shown}: the folder has no {file.name}; name a folder as Hugging Face keeps a model, or a GGUF file."
        ) from error
    except (OSError, ValueError) as error:
        raise RequestError(f"{shown}/{file.name}: can't be read as JSON ({error}); get the file again.") from error
    if not isinstance(content, dict):
        raise RequestError(f"{shown}/{file.name}: not a JSON object; get the file again.")
    return content


def _tensor_files(folder: Path, shown: str) -> SafeTensors | OldTensors:
    for index, single in (_SAFE, _OLD):
        # Of both, transformers takes the single file.
        if (folder / single).exists():
            return (SafeTensors if single == _SAFE[1] else OldTensors)([folder / single], shown)
        if (folder / index).exists():
            where = read_object(folder / index, shown).get("weight_map")
            if not isinstance(where, dict) or not all(isinstance(name, str) for name in where.values()):
                raise RequestError(f"{shown}/{index}: has no weight_map; get the file again.")
            files = {name: folder / Path(file).name for name, file in where.items()}
            missing = [file.name for file in dict.fromkeys(sorted(files.values())) if not file.is_file()]
            if missing:
                more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                raise RequestError(
                    f"{shown}: the file {missing[0]}{more} of its weights is missing; get the folder whole."
                )
            return (SafeTensors if index == _SAFE[0] else OldTensors)(sorted(set(files.values())), shown)
    raise RequestError(
        f"{shown}: the folder has no weights (model.safetensors, its shards, or pytorch_model.bin); get the folder whole."
    )


class SafeTensors:
    """`TensorFiles` of some safetensors files, each opened for every tensor anew: what stays open stays in the memory."""

    def __init__(self, files: list[Path], shown: str):
        self.files, self._shown = files, shown
        self._where: dict[str, Path] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        for file in files:
            _refuse_pointer(file, shown)
            try:
                with safe_open(file, framework="pt") as opened:
                    shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            except (SafetensorError, OSError) as error:
                raise RequestError(
                    f"{shown}/{file.name}: truncated, or no safetensors file ({error}); get the file again."
                ) from error
            self._shapes |= shapes
            self._where |= dict.fromkeys(shapes, file)

    def names(self) -> frozenset[str]:
        return frozenset(self._where)

    def shape(self, name: str) -> tuple[int, ...]:
        return self._shapes[name]

    def read(self, name: str) -> Tensor:
        try:
            with safe_open(self._where[name], framework="pt") as opened:
                return opened.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise RequestError(
                f"{self._shown}: the weight {name} can't be read ({error}); get the file again."
            ) from error


def _refuse_pointer(file: Path, shown: str) -> None:
    with file.open("rb") as content:
        if content.read(len(_POINTER)) == _POINTER:
            raise RequestError(
                f"{shown}/{file.name}: a pointer of Git LFS, not the weights; fetch them with `git lfs pull`."
            )


class OldTensors:
    """`TensorFiles` of pytorch_model.bin: mapped into memory, unpickled with nothing but tensors allowed."""

    def __init__(self, files: list[Path], shown: str):
        self.files = files
        self._tensors: dict[str, Tensor] = {}
        for file in files:
            try:
                content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
                why = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise RequestError(
                    f"{shown}/{file.name}: not a file of plain weights ({why}); get a safetensors file instead."
                ) from error
            if not isinstance(content, dict):
                raise RequestError(f"{shown}/{file.name}: holds no weights by name; get a safetensors file instead.")
            self._tensors |= {str(name): value for name, value in content.items() if isinstance(value, Tensor)}

    def names(self) -> frozenset[str]:
        return frozenset(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._tensors[name].shape)

    def read(self, name: str) -> Tensor:
        return self._tensors[name]


def _rights(folder: Path) -> tuple[str | None, dict[str, str]]:
    """The licence that the model card's header states, else that of a licence text; and the texts."""
    notices = {
        file.name: file.read_text(encoding="utf-8-sig", errors="replace")
        for file in sorted(folder.iterdir())
        if file.is_file() and is_legal_text(file.name)
    }
    stated = _card_licence(folder / "README.md")
    return stated or next((found for text in notices.values() if (found := recognise(text))), None), notices


def _card_licence(file: Path) -> str | None:
    try:
        header = re.match(r"---\n(.*?)\n---", file.read_text(encoding="utf-8-sig"), re.DOTALL)
        content = yaml.safe_load(header[1]) if header else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(content, dict):
        return None
    licence = content.get("license_name") if content.get("license") == "other" else content.get("license")
    return licence if isinstance(licence, str) else None
