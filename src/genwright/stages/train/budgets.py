"""What a training may spend, over all its sittings: the recipe's budget, then what was added to it.

train/recipe.json holds the `model` and `train` sections that the training is of, the state of the data, and the budgets that
were added since, in order. Each part's plan says how many of them it has taken in, so a kill in between costs nothing.

When a finished training finds new examples, another budget is added, in which they are mixed with the old ones
(training/mixture.py). Where examples only went, the weights stay as they are.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from genwright.console import count, say
from genwright.errors import RequestError
from genwright.recipe import Recipe
from genwright.run import write_atomic
from genwright.settings import Budget, BudgetText

FREE_TO_CHANGE = {"budget", "checkpoint_every", "keep_checkpoints", "track", "new_data_share", "deterministic"}
"""Keys of `train` that no step depends on, but for its last bits."""


class Account(BaseModel):
    """train/recipe.json."""

    model: dict[str, Any]
    train: dict[str, Any]
    facts: str
    data: str
    budget: BudgetText
    """What the training began with."""
    added: list[Budget] = []
    former: str = ""
    """The data that was known when the training last finished, where there is newer; "" until then."""
    finished: bool = False


def open_account(
    recipe: Recipe, folder: Path, *, facts: str, data: str, more: str | None, count_new: Callable[[str], int | None]
) -> Account:
    """The account as this command finds or changes it; written before it is returned.

    `facts` and `data` are hashes of what prepare made; `count_new` tells how many training examples are new since an earlier
    `data`, or None where that is not known. Raises RequestError when the recipe asks for another model than the one that
    is being trained, or for less than it has had.
    """
    sections = _sections(recipe)
    file = folder / "recipe.json"
    wanted = parse_more(more) if more else None
    if not file.exists():
        added = [wanted] if wanted else []
        account = Account(**sections, facts=facts, data=data, budget=recipe.train.budget, added=added)
        _write(account, file)
        return account
    account = Account.model_validate_json(file.read_text(encoding="utf-8"))
    _refuse_changed_keys(account, sections, folder)
    refuse_other_facts(folder, facts)
    if account.data != data and account.finished:
        _take_in(account, recipe.train.budget, count_new(account.data))
    added = _difference(Budget.parse(account.train["budget"]), recipe.train.budget)
    account.added += [budget for budget in (added, wanted) if budget is not None]
    changed = account.model_copy(update={"train": sections["train"], "data": data, "finished": False})
    _write(changed, file)
    return changed


def forget_if_refitted(folder: Path, facts: str) -> None:
    """Remove a training that was made with other facts than those that --refit measured: it can only start over."""
    file = folder / "recipe.json"
    if file.exists() and Account.model_validate_json(file.read_text(encoding="utf-8")).facts != facts:
        say("train: the tokenizer or statistics were measured anew and are others, so the training starts over.")
        shutil.rmtree(folder)


def _take_in(account: Account, budget: Budget, new: int | None) -> None:
    """Give a finished training that finds other data what it needs to learn from it."""
    if new == 0:
        say(
            "train: no training example is new, so the weights stay as they are; what was removed from the data they have "
            "learnt from, and --fresh begins again without it."
        )
        return
    what = "the data changed" if new is None else f"{count(new, 'training example')} came"
    say(f"train: {what}, so training goes on for another {budget} from the last weights.")
    account.former = account.data if new is not None else ""
    account.added.append(budget)


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


def refuse_other_settings(recipe: Recipe, folder: Path) -> None:
    """Raises RequestError where a training that has begun in `folder` is of other settings than the recipe's. Writes nothing."""
    file = folder / "recipe.json"
    if file.exists():
        account = Account.model_validate_json(file.read_text(encoding="utf-8"))
        _refuse_changed_keys(account, _sections(recipe), folder)
        _difference(Budget.parse(account.train["budget"]), recipe.train.budget)


def _sections(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json", include={"model"}) | {"train": recipe.train.asked()}


def _refuse_changed_keys(account: Account, sections: dict[str, Any], folder: Path) -> None:
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


def refuse_other_facts(folder: Path, facts: str) -> None:
    """Raises RequestError where a training that has begun in `folder` was made with other facts than these (their hash). Writes nothing."""
    file = folder / "recipe.json"
    if file.exists() and Account.model_validate_json(file.read_text(encoding="utf-8")).facts != facts:
        raise RequestError(
            f"{folder.parent}: the facts of prepare (tokenizer, statistics) changed since this training began; begin it again with "
            "--refit or --fresh."
        )


def _difference(before: Budget, after: Budget) -> Budget | None:
    if before == after:
        return None
    if before.unit != after.unit or after.amount < before.amount:
        raise RequestError(
            f"train.budget: this training began with {before}, and {after} is no longer than that in the same "
            "measure; use --more to go on, or --fresh to begin again."
        )
    return Budget(after.amount - before.amount, before.unit)


def parse_more(more: str) -> Budget:
    """The budget of --more. Raises RequestError where it is none."""
    try:
        return Budget.parse(more)
    except ValueError as error:
        raise RequestError(f"--more {more}: {error}.") from error


def _write(account: Account, file: Path) -> None:
    write_atomic(file, json.dumps(account.model_dump(mode="json"), indent=1) + "\n")
