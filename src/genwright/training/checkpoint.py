"""Checkpoints: whole or not there, readable by anyone (safetensors and JSON), no pickle.

<folder>/step-00000120/
  weights.safetensors     parameters and buffers of the modules, but for parameters that are not trained (those by hash)
  state.safetensors       optimizers, averages, random states, extra state: their tensors
  state.json              the rest of it, and which tensor stands where
  manifest.json           sizes and hashes of the files above; written last, and what makes the folder a checkpoint

Files are written under a temporary name, synced and renamed, then the manifest follows in the same way. A folder without
its manifest, or whose files are not what the manifest says, is passed over for the one before.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genwright import files
from genwright.console import say
from genwright.errors import WorkError
from genwright.run import read_json, write_atomic

FORMAT = 1
MANIFEST = "manifest.json"
_WEIGHTS, _TENSORS, _STATE = "weights.safetensors", "state.safetensors", "state.json"


def name_of(step: int) -> str:
    return f"step-{step:08d}"


def write(
    folder: Path, weights: Mapping[str, Tensor], state: Mapping[str, Any], about: Mapping[str, Any] | None = None
) -> Path:
    """Write one checkpoint as `folder`. `state` is JSON-able but for the tensors in it; `about` goes into the manifest.

    Raises WorkError when the disk is full.
    """
    try:
        with files.whole(folder) as temporary:
            temporary.mkdir()
            plain, tensors = pack(state)
            save_file(_storable(weights), temporary / _WEIGHTS)
            save_file(_storable(tensors), temporary / _TENSORS)
            (temporary / _STATE).write_text(json.dumps(plain), encoding="utf-8")
            written = [temporary / name for name in (_WEIGHTS, _TENSORS, _STATE)]
            for file in written:
                files.share(file)
            accounts = {file.name: _account(file) for file in written}
            manifest = {"format": FORMAT, "about": dict(about or {}), "files": accounts}
            for place in (*written, temporary):
                _sync(place)
        write_atomic(folder / MANIFEST, json.dumps(manifest, indent=1))
        _sync(folder)
        _sync(folder.parent)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        free = shutil.disk_usage(folder.parent).free
        raise WorkError(
            f"{folder}: no room for the checkpoint ({free:,} bytes free); make room and run again, it goes on from the one before."
        ) from error
    return folder


def read(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and state of a checkpoint. Raises ValueError saying what is wrong with it."""
    try:
        manifest = read_json(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise ValueError(f"written in format {manifest['format']}, this is {FORMAT}")
        for name, account in manifest["files"].items():
            if _account(folder / name) != account:
                raise ValueError(f"{name} is not what the manifest says")
        weights = load_file(folder / _WEIGHTS)
        state = unpack(read_json(folder / _STATE), load_file(folder / _TENSORS))
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return weights, state


def about(folder: Path) -> dict[str, Any]:
    """What `write` was told of a checkpoint."""
    return read_json(folder / MANIFEST)["about"]


def all_in(folder: Path) -> list[Path]:
    """Every checkpoint folder, newest first, whole or not."""
    return sorted(folder.glob("step-*"), reverse=True)


def finished_in(folder: Path) -> list[Path]:
    """Those that have a manifest, newest first: a kill may leave one without."""
    return [place for place in all_in(folder) if (place / MANIFEST).exists()]


def newest(folder: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
    """The newest checkpoint that is whole; warns of those that are not."""
    for place in all_in(folder):
        try:
            return place, *read(place)
        except ValueError as error:
            say(f"warning: {place} is no whole checkpoint ({error}); the one before it is used.")
    return None


def sweep(folder: Path, keep: int) -> None:
    """Remove all but the newest `keep` whole checkpoints, and what kills left behind."""
    whole = finished_in(folder)
    for place in (*whole[keep:], *folder.glob(".step-*"), *(p for p in all_in(folder) if p not in whole)):
        shutil.rmtree(place, ignore_errors=True)


def keep_only(folder: Path, steps: set[int]) -> None:
    """Remove every checkpoint but those of some steps."""
    names = {name_of(step) for step in steps}
    for place in (*all_in(folder), *folder.glob(".step-*")):
        if place.name not in names:
            shutil.rmtree(place, ignore_errors=True)


def drop_after(folder: Path, step: int) -> None:
    """Remove what was written after a step: a training that goes on from there will write it again."""
    for place in folder.glob("step-*"):
        if place.name.partition(".")[0] > name_of(step):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()


def weights_of(modules: nn.ModuleDict, without: Collection[str] = ()) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, but for some; a shared tensor stands under its first name only."""
    seen: set[int] = set()
    return {
        name: value
        for name, value in modules.state_dict(keep_vars=True).items()
        if not (id(value) in seen or seen.add(id(value))) and name not in without
    }


@torch.no_grad()
def load_weights(
    modules: nn.ModuleDict, weights: Mapping[str, Tensor], strict: bool = True, without: Collection[str] = ()
) -> None:
    """Copy weights in place; `without` are those that were not written. Raises ValueError when names or shapes differ."""
    there = weights_of(modules, without)
    if strict and there.keys() != weights.keys():
        odd = sorted(there.keys() ^ weights.keys())
        raise ValueError(f"the network has other parameters than the checkpoint: {', '.join(odd[:3])}")
    for name, value in weights.items():
        if there[name].shape != value.shape:
            raise ValueError(f"{name} has shape {tuple(there[name].shape)}, the checkpoint {tuple(value.shape)}")
        there[name].copy_(value)


def hash_of(module: nn.Module) -> str:
    """A hash of a module's weights: all that is kept of a frozen one."""
    return hash_tensors(module.state_dict())


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's generator of every device in use, by the device's name."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states.update({f"cuda:{i}": torch.cuda.get_rng_state(i) for i in range(torch.cuda.device_count())})
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Put the states back. Raises WorkError when the devices are not those of the checkpoint: nothing is silently reseeded."""
    here = random_states(device).keys()
    if here != states.keys():
        raise WorkError(
            f"The checkpoint was made on {', '.join(sorted(states))} and this training would go on on {', '.join(sorted(here))}; "
            "use --device to go on on the same, or --fresh to begin again."
        )
    for name, state in states.items():
        if name == "cpu":
            torch.set_rng_state(state)
        elif name == "mps":
            torch.mps.set_rng_state(state)
        else:
            torch.cuda.set_rng_state(state, name)


def pack(tree: Any) -> tuple[Any, dict[str, Tensor]]:
    """Split nested dicts, lists and tuples into JSON and tensors. Raises TypeError for anything else than plain values."""
    tensors: dict[str, Tensor] = {}

    def walk(node: Any) -> Any:
        if isinstance(node, Tensor):
            name = f"{len(tensors):06d}"
            tensors[name] = node
            return {"$": "tensor", "name": name}
        if isinstance(node, Mapping):
            return {"$": "dict", "items": [[walk(key), walk(value)] for key, value in node.items()]}
        if isinstance(node, tuple):
            return {"$": "tuple", "items": [walk(value) for value in node]}
        if isinstance(node, list):
            return [walk(value) for value in node]
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"a checkpoint can't hold a {type(node).__name__}")

    return walk(tree), tensors


def unpack(node: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The reverse of `pack`."""
    if isinstance(node, list):
        return [unpack(value, tensors) for value in node]
    if not isinstance(node, dict):
        return node
    if node["$"] == "tensor":
        return tensors[node["name"]]
    if node["$"] == "tuple":
        return tuple(unpack(value, tensors) for value in node["items"])
    return {unpack(key, tensors): unpack(value, tensors) for key, value in node["items"]}


def _storable(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # safetensors refuses tensors that share memory, as views of one flat buffer do.
    return {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def _account(file: Path) -> list[Any]:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return [file.stat().st_size, digest.hexdigest()]


def _sync(place: Path) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
