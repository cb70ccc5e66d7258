"""`genwright new`: look at a folder, say what is in it and what it is good for, and write a recipe for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from genwright.about import Found, Survey, Verdict
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import REASONS
from genwright.media.base import is_textual, medium
from genwright.registry import MEDIA, TASKS, about
from genwright.survey.recipe import write_recipe
from genwright.survey.survey import look


def new(folder: Path, task: str | None = None, *, as_json: bool = False, where: Path | None = None) -> Path:
    """Print what is in a folder, write a recipe where the user stands, and return its path.

    Raises RequestError when nothing in the folder is usable, or nothing for the task asked for.
    """
    if task is not None:
        TASKS[task]
    survey = look(folder)
    judged = verdicts(survey)
    chosen = _choose(survey, judged, task)
    file = write_recipe(survey, chosen, judged[chosen], where or Path.cwd())
    if as_json:
        told = [{"task": name, **asdict(verdict)} for name, verdict in judged.items()]
        content = {**asdict(survey), "verdicts": told, "task": chosen, "recipe": str(file)}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_told(survey, judged)))
        print(
            f"\nWrote {file}, a recipe for `{chosen}`. Look into it, then:\n\n    genwright run {shlex.quote(str(file))}"
        )
    return file


def verdicts(survey: Survey) -> dict[str, Verdict]:
    """What each task there is could make of the folder."""
    return {task: _judged(survey, task) for task in TASKS}


def _judged(survey: Survey, task: str) -> Verdict:
    judge = about(task).verdict
    if judge is None:
        return _counted(survey, task)
    try:
        return judge(survey)
    except Exception as error:  # a task from another package must not keep the others from being looked at
        return Verdict(0, False, f"could not judge this folder ({type(error).__name__}: {error})")


def _counted(survey: Survey, task: str) -> Verdict:
    """The verdict on a task that does not say how much it needs: there is never known to be enough."""
    medium = about(task).medium
    count = survey.media.get(medium, 0)
    if survey.table and survey.table.path is None:
        count += survey.table.whole.get(task, survey.table.rows if medium == "text" and survey.table.text else 0)
    if not count:
        return Verdict(0, False, f"nothing of its kind ({medium})")
    return Verdict(count, False, f"{count:,} of its kind ({medium}); how many it needs is not known here")


def _choose(survey: Survey, judged: Mapping[str, Verdict], task: str | None) -> str:
    if task is not None:
        if not judged[task].items:
            raise RequestError(
                f"{survey.folder}: nothing for `{task}`, which works with {about(task).medium}; {_in_it(survey)}."
            )
        return task
    usable = {name: verdict for name, verdict in judged.items() if verdict.items}
    if not usable:
        raise RequestError(f"{survey.folder}: nothing usable in it; {_in_it(survey)}.")
    known = [name for name in usable if about(name).verdict]
    if not known:
        raise RequestError(
            f"{survey.folder}: what could be made of it is for you to say, by --task and one of {', '.join(usable)}."
        )
    # Among what there is enough of, the medium that most files have; else whatever there is most of.
    return max(known, key=lambda name: (usable[name].enough, usable[name].items, usable[name].made_for))


def _in_it(survey: Survey) -> str:
    found = [f"{count:,} {medium}" for medium, count in survey.media.items()]
    dropped = [
        f"{count:,} {reason} ({REASONS[reason]}), such as {survey.examples[reason]}"
        for reason, count in survey.dropped.items()
    ]
    return f"it holds {'; '.join((found + dropped)[:4])}" if survey.offered else "it is empty"


def _told(survey: Survey, judged: Mapping[str, Verdict]) -> list[str]:
    lines = [f"{printable(survey.folder)}: {_count(survey.offered, 'file')}, {survey.bytes / 1e6:,.1f} MB usable"]
    for name in sorted((name for name in survey.media if name in MEDIA), key=lambda name: not is_textual(name)):
        lines.append(f"  {_of_medium(survey, name)}")
        if name == "text" and survey.code:
            lines.append(f"  {survey.code:,} of them program text, {survey.code_characters:,} characters")
    if survey.captions:
        lines.append(f"  {survey.captions:,} of them with a caption beside them (same name, .txt)")
    if survey.labels:
        shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(survey.labels.items())[:5])
        lines.append(f"  in folders that can be their labels: {shown}{', ...' if len(survey.labels) > 5 else ''}")
    if survey.table:
        lines.append(f"  {_sentence(survey.table)}")
    for name, count in survey.media.items():
        if name not in MEDIA:
            lines.append(f"  {_count(count, 'file')} of another kind ({name})")
    lines += [f"  {count:,} of them: {remark}" for remark, count in survey.remarks.items()]
    for reason, count in survey.dropped.items():
        lines.append(f"  {count:,} left out, {reason}: {REASONS[reason]} ({survey.examples[reason]})")
    if survey.licences.get("unknown"):
        lines.append(
            "  no licence was found in it: make sure that you may use it, and say so with `licence:` in the recipe"
        )
    lines += ["", "What it is good for:", *(f"  {task}: {verdict.text}" for task, verdict in judged.items())]
    return lines


def _sentence(table: Found) -> str:
    what = [
        f"{name} by {template}"
        for name, template in (("file", table.path), ("text", table.text), ("label", table.label))
        if template
    ]
    what += [f"{count:,} that `{task}` takes as they stand" for task, count in table.whole.items()]
    return f"a table, {printable(table.table)}, with {table.rows:,} rows: {', '.join(what)}"


def _of_medium(survey: Survey, name: str) -> str:
    """How many files of a medium there are, and what was measured of them."""
    one = medium(name)
    counted = _count(survey.media[name], one.noun, one.plural)
    if name not in survey.medians:
        return counted
    about = "" if survey.measured_whole >= sum(survey.media.values()) else "about "
    return f"{counted}, {about}{one.words(survey.totals[name], survey.medians[name])}"


def _count(number: int, noun: str, plural: str = "") -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
