"""Whether there is enough to learn from: asked when everything is accounted for, before any of it is prepared and trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from genwright import ledger
from genwright.about import Least
from genwright.console import say
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.registry import about
from genwright.run import Run
from genwright.tasks.base import BaseTask


def check(task: BaseTask, run: Run, *, trains: bool, anyway: bool, fresh: bool = False) -> None:
    """Say it where the kept data is too little for the model that the recipe asks for; raise RequestError instead where a training would
    follow (`trains`) that the user did not ask for all the same (`anyway`).

    Half of what is needed must be there to train on, since a third or more of little data is held out. A training that has begun was
    accepted then, and goes on, unless it begins again (`fresh`).
    """
    least = about(task.name).least
    begun = (run.stage("train") / "recipe.json").exists() and not fresh
    if begun or (least is None and not about(task.name).roles):
        return
    items = list(ledger.leaves(ledger.read(run.stage("collect") / ledger.LEDGER)))
    if wanting := _wanting(task, items):
        if trains and not anyway:
            raise RequestError(f"{run.folder}: {wanting}; add data, or train on it all the same with --anyway.")
        say(f"{run.folder}: {wanting}.")
    if least is None:
        return
    needed = (least.from_weights or 0) if task.starts_from_weights else least.from_nothing
    kept, training = _amounts(task, items, None if least.larger else needed)
    if kept >= needed and 2 * training >= needed:
        larger = least.larger(task.model, kept) if least.larger else ""
        if larger:
            say(f"{run.folder}: {larger}")
        return
    start = "the weights it starts from" if task.starts_from_weights else "nothing"
    told = (
        f"{run.folder}: {kept:,} {least.unit} are kept, {training:,} of them to train on: too little for `{task.name}` to learn from "
        f"{start}, which takes about {needed:,}, so that the model would mostly know them by heart"
    )
    if trains and not anyway:
        raise RequestError(f"{told}; {_cures(task, least, kept)}.")
    say(f"{told}; trained on all the same, as asked." if anyway else f"{told}; {_cures(task, least, kept)}.")


def _wanting(task: BaseTask, items: Iterable[Item]) -> str:
    """What there is too little of, where a task tells its sources apart: a style of one picture. "" where there is enough of each, or where
    no source is told apart because its items bring their other side with them, as further files."""
    roles, kept = about(task.name).roles, list(items)
    counts = Counter(item.role for item in kept)
    if not any(counts[role] for role in roles) and any(item.files for item in kept):
        return ""
    few = [
        f"{counts[role]:,} with `as: {role}`, which takes about {least:,}"
        for role, least in roles.items()
        if counts[role] < least
    ]
    return f"too little for `{task.name}` to learn from is kept: {'; '.join(few)}" if few else ""


def _amounts(task: BaseTask, items: Iterable[Item], enough: int | None) -> tuple[int, int]:
    """How much is kept, and how much of that is to be trained on; counted no further than where both are enough."""
    kept = training = 0
    first = next(iter(task.split_shares))
    for item in items:
        amount = task.amount(item)
        kept += amount
        training += amount if item.split == first else 0
        if enough is not None and training >= enough:
            break
    return kept, training


def _cures(task: BaseTask, least: Least, kept: int) -> str:
    cures = ["add data"]
    if not task.starts_from_weights and least.from_weights is not None and kept >= least.from_weights:
        cures.append(f"start from weights, for which it is enough, with `{least.weights}` in the recipe")
    return "; or ".join([*cures, "train on it all the same with --anyway (in Python `anyway=True`)"])
