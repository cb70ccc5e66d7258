"""What the scores of `restyle` compare: held-out pictures with their true other drawings, and training pictures of both hands.

Shapes: N held-out pictures. images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genwright.ledger import Item
from genwright.seeds import stream
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.image.held_out import held_out_splits
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.restyle.facts import RestyleFacts


class Drawing(NamedTuple):
    """A held-out picture and its true other drawing; None where that is not there. `style` is the hand it is carried over to."""

    source: np.ndarray
    truth: np.ndarray | None
    style: np.ndarray
    words: str
    group: str


@dataclass(frozen=True)
class Material:
    """`training` are sources and drawings in the other hand that were learned from, with their styles; of two sets they do not belong
    together. `held_out` is in random order, one of each group, since drawings of one thing are no independent measurements."""

    held_out: list[Drawing]
    real: Pictures
    """Held-out drawings in the other hand."""
    training_sources: Pictures
    training_drawings: Pictures
    training_styles: np.ndarray
    """Of the drawings: [M, 1]."""
    splits: list[str]
    in_all: int

    @property
    def true(self) -> bool:
        """Whether there are true drawings to compare with."""
        return bool(self.held_out) and self.held_out[0].truth is not None


def gather(splits: Splits, facts: RestyleFacts, seed: int, most: int) -> Material:
    names = held_out_splits(splits)
    found = [one for name in names for one in _drawings(splits[name], splits.items, facts)]
    if any(one.truth is not None for one in found):
        found = [one for one in found if one.truth is not None]
    order = stream(seed, "scores", "held out").permutation(len(found))
    alone = list({found[i].group: found[i] for i in order}.values())
    sources, drawings, styles = _training(splits["train"], facts, seed, most)
    if alone and alone[0].truth is not None:
        real = [one.truth for one in alone[:most] if one.truth is not None]
    else:
        real = [e["image"] for name in names for e in _all(splits[name]) if int(e["style"][0]) == 1][:most]
    return Material(alone[:most], _stack(real), sources, drawings, styles, names, len(alone))


def _drawings(store: ExampleStore, items: dict[str, Item], facts: RestyleFacts) -> list[Drawing]:
    """Every picture that may be carried over; of two sets those of the first hand, to the second."""
    if facts.paired:
        return [
            Drawing(e["source"], e["image"], e["style"], *_said(items.get(item), item))
            for item, e in zip(store.ids, _all(store), strict=True)
        ]
    sides: tuple[dict[str, list[int]], dict[str, list[int]]] = {}, {}
    examples = _all(store)
    for row, example in enumerate(examples):
        sides[int(example["style"][0])].setdefault(_pair(items.get(store.ids[row]), store.ids[row]), []).append(row)
    found = []
    for key, rows in sides[0].items():
        others = sides[1].get(key, [])
        truth = examples[others[0]]["image"] if len(rows) == len(others) == 1 else None
        for row in rows:
            said = _said(items.get(store.ids[row]), store.ids[row])
            found.append(Drawing(examples[row]["image"], truth, np.array([1], np.int32), *said))
    return found


def _pair(item: Item | None, name: str) -> str:
    """What a picture and its true other drawing have in common, for the scores alone: the field `pair`, else `group`; files of one item."""
    if item is None or item.files:
        return name
    return item.fields.get("pair") or item.fields.get("group") or name


def _said(item: Item | None, name: str) -> tuple[str, str]:
    """Words for a picture, and its group."""
    if item is None:
        return name, name
    return item.fields.get("text") or item.path.rpartition("/")[2].partition(".")[0], item.group or name


def _training(store: ExampleStore, facts: RestyleFacts, seed: int, most: int) -> tuple[Pictures, Pictures, np.ndarray]:
    order = stream(seed, "scores", "reference").permutation(len(store))
    examples = (store[int(row)] for row in order)
    sources, drawings, styles = [], [], []
    for example in examples:
        if facts.paired:
            sources.append(example["source"])
        elif int(example["style"][0]) == 0:
            sources.append(example["image"])
            continue
        drawings.append(example["image"])
        styles.append(example["style"])
        if min(len(sources), len(drawings)) >= most:
            break
    return _stack(sources[:most]), _stack(drawings[:most]), np.array(styles[:most], np.int32).reshape(-1, 1)


def _all(store: ExampleStore) -> list[dict[str, np.ndarray]]:
    return [store[row] for row in range(len(store))]


def _stack(images: Sequence[np.ndarray]) -> Pictures:
    return np.stack(images) if images else np.empty((0, 1, 1, 3), np.uint8)
