"""The training texts of a run as one memory-mapped array, written once and kept in the run.

explain/corpus/
  text.bin         UTF-16 code units of every training document, each closed by the noncharacter U+FFFF, which stands in no text
  starts.npy       int64[D+1]: where each document begins
  about.json       the state of the data it was made of, and the ledger id of each document
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from genwright import files
from genwright import recipe as recipes
from genwright.console import progress
from genwright.errors import RequestError
from genwright.model_folder import build_task
from genwright.registry import about
from genwright.run import Run, read_json
from genwright.shards import ExampleStore

END = 0xFFFF
_FORMAT = 2
_BUFFER_UNITS = 1 << 20


class Corpus:
    """`units` is uint16[N], read-only and not in memory; document d is `units[starts[d] : starts[d + 1] - 1]`."""

    def __init__(self, folder: Path):
        self.units = np.memmap(folder / "text.bin", dtype=np.uint16, mode="r")
        self.starts: np.ndarray = np.load(folder / "starts.npy")
        self.ids: list[str] = read_json(folder / "about.json")["ids"]

    def __len__(self) -> int:
        return len(self.ids)

    def span(self, document: int) -> tuple[int, int]:
        return int(self.starts[document]), int(self.starts[document + 1]) - 1

    def text(self, start: int, stop: int) -> str:
        return text_of(self.units[start:stop])


def units_of(text: str) -> np.ndarray:
    """A text as uint16 code units."""
    return np.frombuffer(text.replace("\uffff", "").encode("utf-16-le", "surrogatepass"), dtype="<u2").astype(np.uint16)


def text_of(units: np.ndarray) -> str:
    """The characters of some code units; halves of a character at the ends are left out."""
    return np.asarray(units).astype("<u2").tobytes().decode("utf-16-le", "ignore")


def open_corpus(run: Run) -> Corpus:
    """The training texts of a run. Raises RequestError where there are none here."""
    record = run.record("prepare")
    if not run.recipe.exists() or record is None:
        raise RequestError(
            f"{run.folder}: the training data does not stand here, so nothing can be traced to it; name the run that made the model."
        )
    recipe = recipes.load(run.recipe)
    if not about(recipe.task).traceable:
        raise RequestError(f"{run.folder}: --nearest compares texts, and `{recipe.task}` does not learn from texts.")
    folder = run.explain / "corpus"
    key = {"format": _FORMAT, "data": record.outputs}
    if not _stands(folder, key):
        prepare = run.stage("prepare")
        parts = read_json(prepare / "index.json")["train"]
        store = ExampleStore([prepare / "parts" / name for name in parts])
        _write(folder, _documents(store, build_task(recipe).load_facts(prepare / "facts")), key, len(store))
    return Corpus(folder)


def _stands(folder: Path, key: dict[str, Any]) -> bool:
    try:
        about = read_json(folder / "about.json")
    except (OSError, ValueError):
        return False
    return {name: about.get(name) for name in key} == key


def _documents(store: ExampleStore, facts: Any) -> Iterator[tuple[str, str, int]]:
    """(ledger id, text, examples done) of each item; the examples that an item was cut into are joined again."""
    special = np.array(sorted(facts.special.values()), dtype=np.int64)
    for item, rows in groupby(range(len(store)), key=lambda row: store.ids[row]):
        numbers = list(rows)
        yield item, "".join(_text(store[row]["tokens"], facts, special) for row in numbers), numbers[-1]


def _text(tokens: np.ndarray, facts: Any, special: np.ndarray) -> str:
    """The text of some tokens; what stands between two special tokens (a title, a turn) is a line of its own."""
    cuts = np.flatnonzero(np.isin(tokens, special))
    return "\n".join(text for text in map(facts.decode, np.split(tokens, cuts)) if text)


def _write(folder: Path, documents: Iterator[tuple[str, str, int]], key: dict[str, Any], total: int) -> None:
    ids: list[str] = []
    starts = [0]
    with files.whole(folder) as temporary, progress("read the texts", total) as line:
        temporary.mkdir()
        with (temporary / "text.bin").open("wb", buffering=2 * _BUFFER_UNITS) as out:
            for item, text, done in documents:
                units = units_of(text)
                out.write(units.tobytes())
                out.write(np.array([END], np.uint16).tobytes())
                ids.append(item)
                starts.append(starts[-1] + len(units) + 1)
                line.update(done)
        np.save(temporary / "starts.npy", np.array(starts, np.int64))
        (temporary / "about.json").write_text(json.dumps({**key, "ids": ids}), encoding="utf-8")
