"""A few examples of a folder as the model will see them: through the recipe's own sources and the task's own `encode`.

This loads the task, and torch with it; nothing else of `genwright new` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from genwright import recipe as recipes
from genwright.console import held_back
from genwright.files import printable, read_regular
from genwright.ledger import Drop, Item
from genwright.recipe import Recipe
from genwright.stages.collect.read import measure
from genwright.stages.collect.stage import open_sources

if TYPE_CHECKING:
    from genwright.tasks.base import BaseTask, Shown

_OFFERED = 2_000
"""Items of a source that the examples are chosen from."""
_FITTED = 60
"""Items that the task measures its facts on."""


@dataclass(frozen=True)
class Seen:
    """An item and what the model sees of it."""

    name: str
    passages: list[Shown]


@dataclass(frozen=True)
class Examples:
    seen: list[Seen]
    marked: str
    """What of them is marked; "" where nothing is."""


def examples(file: Path, count: int = 3) -> Examples:
    """Examples of a recipe's data, from one end of it to the other. Raises what the task raises."""
    from genwright.model_folder import build_task

    recipe = _from_nothing(file)
    task = build_task(recipe)
    items = list(islice(_usable(recipe, task), _FITTED))
    with held_back():  # it says how many of these few are cut or unknown; of all of them `prepare` says it
        facts = task.fit(items)
    seen = []
    for item in _spread(items, len(items)):
        found = next((e for e in task.encode(item, facts) if not isinstance(e, Drop)), None)
        if found is not None:
            seen.append(Seen(_name(item), task.shown(found, facts)))
        if len(seen) == count:
            break
    return Examples(seen, task.marked)


def _from_nothing(file: Path) -> Recipe:
    """The recipe without weights to start from: to fetch them only to show an example would take minutes."""
    recipe = recipes.load(file)
    started = "from_" in type(recipe.model).model_fields and recipe.model.from_ is not None
    return recipes.load(file, ["model.from=null", "model.lora=null"]) if started else recipe


def _usable(recipe: Recipe, task: BaseTask) -> Iterator[Item]:
    """Kept items that are of the task's medium, measured, in an order that begins all over the data."""
    sources = {source.name: source for source in open_sources(recipe.data)}
    offered = [list(islice((i for i in source.offer() if i.kept), _OFFERED)) for source in sources.values()]
    items = list(chain.from_iterable(offered))
    for item in _spread(items, _FITTED * 2):
        if item.file is not None:
            try:
                measured = measure(read_regular(item.file), task.medium)
            except OSError:
                continue
            if measured.drop or measured.medium != task.medium:
                continue
            measured.note(item)
        sources[item.source].complete(item)
        if item.kept:
            yield item


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """Items in the order: the middle one, then that of the quarters, the eighths and so on."""
    order: dict[int, None] = {}
    parts = 2
    while len(order) < min(most, len(items)):
        order.update(dict.fromkeys(len(items) * part // parts for part in range(1, parts, 2)))
        if parts > 2 * len(items):
            order[0] = None
        parts *= 2
    return [items[place] for place in order][:most]


def _name(item: Item) -> str:
    size = f", {item.width} x {item.height} pixels" if item.width else ""
    return f"{printable(item.path)}{f' row {item.row}' if item.row is not None else ''}{size}"
