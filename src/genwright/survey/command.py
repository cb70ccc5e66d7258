"""`genwright new`: look at a folder, say what is in it and what it is good for, and write a recipe for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from genwright.about import Survey, Verdict
from genwright.console import say
from genwright.files import quoted
from genwright.hardware import cards
from genwright.registry import TASKS
from genwright.survey.choice import Choice, choose, verdicts
from genwright.survey.examples import Examples, examples
from genwright.survey.recipe import write_recipe
from genwright.survey.sources import Sources, by_ending
from genwright.survey.survey import look
from genwright.survey.told import lines_of, show, show_examples

Ask = Callable[[Sequence[str]], str]
"""Which of some tasks is meant, the likelier one first."""


def new(
    folder: Path,
    task: str | None = None,
    *,
    as_json: bool = False,
    where: Path | None = None,
    ask: Ask | None = None,
    shown: bool = True,
) -> Path:
    """Print what is in a folder, write a recipe where the user stands, and return its path.

    `ask` is called where two tasks are near; without it the likelier one is taken, and the other one named. `shown`: with examples
    as the model sees them, for which the task's code is loaded. Raises RequestError when nothing in the folder is usable, or nothing
    for the task asked for.
    """
    if task is not None:
        TASKS[task]
    survey = look(folder)
    judged = verdicts(survey)
    choice = choose(survey, judged, task)
    if not as_json:
        show(lines_of(survey, judged, choice))
    if unused := cards.unused():
        say(f"new: {unused}")
    if choice.near and ask is not None:
        choice = Choice(ask([choice.task, choice.near]))
    file = write_recipe(survey, choice.task, judged[choice.task], where or Path.cwd())
    place = (where or Path.cwd()) / file
    found = _examples(place) if shown else None
    if as_json:
        print(json.dumps(_content(survey, judged, choice, file, found), indent=2, ensure_ascii=False))
        return file
    if found:
        show_examples(found)
    show(_end(folder, file, judged[choice.task], choice))
    return file


def _examples(file: Path) -> Examples | None:
    try:
        return examples(file)
    except Exception as error:  # a task may fail on data of any kind, and the recipe is written all the same
        say(f"No example can be shown ({type(error).__name__}: {str(error)[:300]}).")
        return None


def _end(folder: Path, file: Path, verdict: Verdict, choice: Choice) -> list[str]:
    lines = [""]
    if "from" in verdict.settings:
        lines += [
            "The recipe starts from weights; they bring their own vocabulary, and their chat template if they have one, in place of those shown.",
            "",
        ]
    if choice.near:
        command = f"genwright new {quoted(folder)} --task {choice.near}"
        lines += [f"Took `{choice.task}`; `{choice.near}` is near to it. For that: {command}", ""]
    wrote = f"Wrote {file}, a recipe for `{choice.task}`."
    if not verdict.enough:  # `run` would refuse it
        lines.append(f"{wrote} It is too little to learn from: add data first. To train on it all the same:")
        return [*lines, "", f"    genwright run {quoted(file)} --anyway"]
    return [*lines, f"{wrote} Look into it, then:", "", f"    genwright run {quoted(file)}"]


def _content(
    survey: Survey, judged: Mapping[str, Verdict], choice: Choice, file: Path, found: Examples | None
) -> dict[str, object]:
    told = [{"task": name, **asdict(verdict)} for name, verdict in judged.items()]
    counted = by_ending(survey, Sources(survey, choice.task, judged[choice.task]))
    endings = {
        ending: {reason or "taken": count for reason, count in outcomes.items()} for ending, outcomes in counted.items()
    }
    seen = [{"item": one.name, "passages": [p._asdict() for p in one.passages]} for one in found.seen] if found else []
    content = {
        name: value
        for name, value in asdict(replace(survey, files=[], named={})).items()
        if name not in ("files", "named")
    }
    more = {"endings": endings, "verdicts": told, "task": choice.task, "near": choice.near, "examples": seen}
    return {**content, **more, "recipe": str(file)}
