"""`genwright new`: look at a folder, say what is in it and what it is good for, and write a recipe for it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from genwright.about import Survey, Verdict
from genwright.errors import RequestError
from genwright.ledger import REASONS, printable
from genwright.registry import TASKS
from genwright.survey.recipe import write_recipe
from genwright.survey.survey import look
from genwright.survey.verdicts import verdicts


def new(folder: Path, task: str | None = None, *, as_json: bool = False, where: Path | None = None) -> Path:
    """Print what is in a folder, write a recipe where the user stands, and return its path.

    Raises RequestError when nothing in the folder is usable, or nothing for the task asked for.
    """
    if task is not None:
        TASKS[task]
    survey = look(folder)
    judged = verdicts(survey)
    chosen = _choose(survey, judged, task)
    file = write_recipe(survey, chosen, where or Path.cwd())
    if as_json:
        content = {**asdict(survey), "verdicts": [asdict(v) for v in judged], "task": chosen.task, "recipe": str(file)}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_told(survey, judged)))
        print(
            f"\nWrote {file}, a recipe for `{chosen.task}`. Look into it, then:\n\n    genwright run {shlex.quote(str(file))}"
        )
    return file


def _choose(survey: Survey, judged: Sequence[Verdict], task: str | None) -> Verdict:
    if task is not None:
        chosen = next((verdict for verdict in judged if verdict.task == task), None)
        if chosen is None or not chosen.items:
            medium = TASKS[task].load_options().MEDIUM
            raise RequestError(f"{survey.folder}: nothing for `{task}`, which works with {medium}; {_in_it(survey)}.")
        return chosen
    usable = [verdict for verdict in judged if verdict.items]
    if not usable:
        raise RequestError(f"{survey.folder}: nothing usable in it; {_in_it(survey)}.")
    # Among what there is enough of, the medium that most files have; else whatever there is most of.
    return max(usable, key=lambda verdict: (verdict.enough, verdict.items, verdict.made_for))


def _in_it(survey: Survey) -> str:
    found = [f"{count:,} {medium}" for medium, count in survey.media.items()]
    dropped = [
        f"{count:,} {reason} ({REASONS[reason]}), such as {survey.examples[reason]}"
        for reason, count in survey.dropped.items()
    ]
    return f"it holds {'; '.join((found + dropped)[:4])}" if survey.offered else "it is empty"


def _told(survey: Survey, judged: Sequence[Verdict]) -> list[str]:
    lines = [f"{printable(survey.folder)}: {_count(survey.offered, 'file')}, {survey.bytes / 1e6:,.1f} MB usable"]
    if survey.texts:
        about = "" if survey.measured_whole >= sum(survey.media.values()) else "about "
        lines.append(
            f"  {_count(survey.texts, 'text')}, {about}{survey.characters:,} characters, {survey.median_characters:,} in the middle one"
        )
    if survey.code:
        lines.append(f"  {survey.code:,} of them program text, {survey.code_characters:,} characters")
    if survey.pictures:
        lines.append(
            f"  {_count(survey.pictures, 'picture')}, {survey.median_width} x {survey.median_height} pixels in the middle one"
        )
    if survey.captions:
        lines.append(f"  {survey.captions:,} of them with a caption beside them (same name, .txt)")
    if survey.labels:
        shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(survey.labels.items())[:5])
        lines.append(f"  in folders that can be their labels: {shown}{', ...' if len(survey.labels) > 5 else ''}")
    if survey.table:
        lines.append(f"  {survey.table.sentence()}")
    for medium, count in survey.media.items():
        if medium not in ("text", "image"):
            lines.append(f"  {_count(count, 'file')} of another kind ({medium})")
    lines += [f"  {count:,} of them: {remark}" for remark, count in survey.remarks.items()]
    for reason, count in survey.dropped.items():
        lines.append(f"  {count:,} left out, {reason}: {REASONS[reason]} ({survey.examples[reason]})")
    if survey.licences.get("unknown"):
        lines.append(
            "  no licence was found in it: make sure that you may use it, and say so with `licence:` in the recipe"
        )
    lines += ["", "What it is good for:", *(f"  {verdict.task}: {verdict.text}" for verdict in judged)]
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
