"""What a training may spend, over all its sittings: the recipe's budget, then what was added to it.

train/recipe.json holds the `model` and `train` sections that the training is of, the state of the data, and the budgets that
were added since, in order. Each part's plan says how many of them it has taken in, so a kill in between costs nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from genwright.console import say
from genwright.errors import RequestError
from genwright.recipe import Budget, Recipe
from genwright.run import write_atomic
from genwright.training.forecast import budget_text

FREE_TO_CHANGE = {"budget", "checkpoint_every", "keep_checkpoints", "track"}
"""Keys of `train` that no step depends on."""


class Account(BaseModel):
    """train/recipe.json."""

    model: dict[str, Any]
    train: dict[str, Any]
    facts: str
    data: str
    budget: str
    """What the training began with."""
    added: list[Budget] = []
    finished: bool = False


def open_account(recipe: Recipe, folder: Path, *, facts: str, data: str, more: str | None) -> Account:
    """The account as this command finds or changes it; written before it is returned.

    `facts` and `data` are hashes of what prepare made. Raises RequestError when the recipe asks for another model than the one that
    is being trained, or for less than it has had.
    """
    sections = recipe.model_dump(mode="json", include={"model", "train"})
    file = folder / "recipe.json"
    wanted = _parse(more) if more else None
    if not file.exists():
        first = recipe.train.budget
        account = Account(**sections, facts=facts, data=data, budget=first, added=[wanted] if wanted else [])
        _write(account, file)
        return account
    account = Account.model_validate_json(file.read_text(encoding="utf-8"))
    _refuse_changes(account, sections, facts, folder)
    if account.data != data and account.finished:
        say(
            f"train: the data changed since, so training goes on for another {recipe.train.budget} from the last weights."
        )
        account.added.append(Budget.parse(recipe.train.budget))
    added = _difference(Budget.parse(account.train["budget"]), Budget.parse(recipe.train.budget))
    account.added += [budget for budget in (added, wanted) if budget is not None]
    changed = account.model_copy(update={"train": sections["train"], "data": data, "finished": False})
    _write(changed, file)
    return changed


def close_account(account: Account, folder: Path) -> None:
    """Every part has had its budget."""
    _write(account.model_copy(update={"finished": True}), folder / "recipe.json")


def changed_keys(before: dict[str, Any], after: dict[str, Any], path: str) -> list[str]:
    """Dotted names of what differs between two sections."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key), after.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            found += changed_keys(old, new, f"{path}.{key}")
        elif old != new:
            found.append(f"{path}.{key}")
    return found


def _refuse_changes(account: Account, sections: dict[str, Any], facts: str, folder: Path) -> None:
    changed = changed_keys(account.model, sections["model"], "model") + [
        key
        for key in changed_keys(account.train, sections["train"], "train")
        if key.split(".")[1] not in FREE_TO_CHANGE
    ]
    if changed:
        keys = ", ".join(f"`{key}`" for key in changed)
        raise RequestError(
            f"{folder.parent}: {keys} changed since this training began; take the change back, choose another --run-dir, or begin again with "
            "--fresh."
        )
    if account.facts != facts:
        raise RequestError(
            f"{folder.parent}: the facts of prepare (tokenizer, statistics) changed since this training began; begin it again with --fresh."
        )


def _difference(before: Budget, after: Budget) -> Budget | None:
    if before == after:
        return None
    if before.unit != after.unit or after.amount < before.amount:
        raise RequestError(
            f"train.budget: this training began with {budget_text(before)}, and {budget_text(after)} is no longer than that in the same "
            "measure; use --more to go on, or --fresh to begin again."
        )
    return Budget(amount=after.amount - before.amount, unit=before.unit)


def _parse(more: str) -> Budget:
    try:
        return Budget.parse(more)
    except ValueError as error:
        raise RequestError(f"--more {more}: {error}.") from error


def _write(account: Account, file: Path) -> None:
    write_atomic(file, json.dumps(account.model_dump(mode="json"), indent=1) + "\n")
