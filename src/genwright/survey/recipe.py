"""Writes the commented recipe of `genwright new`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from genwright import recipe
from genwright.about import Survey, Verdict
from genwright.errors import RequestError
from genwright.media.base import medium
from genwright.registry import TASKS, about, families_of


def write_recipe(survey: Survey, task: str, verdict: Verdict, where: Path) -> Path:
    """Write NAME.yaml into a folder, NAME being that of the data; a file that is there already is left alone. Returns its path.

    Raises RequestError when it can't be written.
    """
    data = Path(survey.folder).absolute()
    stem = re.sub(
        r"[^\w.-]+", "-", (data.name if survey.kind == "folder" else data.name.partition(".")[0]), flags=re.ASCII
    )
    stem = stem.strip("-.") or "my-data"
    file = where / f"{stem}.yaml"
    number = 2
    while file.exists():
        file = where / f"{stem}-{number}.yaml"
        number += 1
    text = recipe_text(survey, task, verdict, file)
    recipe.parse(text, str(file), folder=where)
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise RequestError(
            f"{file}: the recipe can't be written ({error.strerror}); go to a folder of your own."
        ) from error
    return file.relative_to(where) if where == Path.cwd() else file


def recipe_text(survey: Survey, task: str, verdict: Verdict, file: Path) -> str:
    """The recipe for a survey, as YAML with comments."""
    source = _source(survey, task, file)
    return f"""\
# {task}: {verdict.text}
#
#   genwright plan {file.name}     what it would cost, before anything is trained
#   genwright run {file.name}      all of it; the results are in runs/{file.stem}/, with a report to open in a browser

task: {task}

data:
  sources:
{source}
train:
  budget: 10m          # more time makes better results: `genwright run {file.name} --more 30m` goes on
  seed: 0              # the same seed gives the same model
{_model(task, verdict)}"""


def _model(task: str, verdict: Verdict) -> str:
    families = families_of(task)
    shown = f"families that can do this: {', '.join(families)}"
    if not verdict.settings:
        return f"\n# model: {{family: {families[0]}}}     # {shown}; the size follows the data and this machine\n"
    fields = TASKS[task].load_options().Model.model_fields
    lines = [f"  family: {families[0]}          # {shown}"]
    lines += [
        f"  {key}: {_yaml(value)}             # {fields[key].description}" for key, value in verdict.settings.items()
    ]
    return "\n".join(["", "model:", *lines, ""])


def _source(survey: Survey, task: str, file: Path) -> str:
    data = Path(survey.folder).absolute()
    here = file.parent.absolute()
    shown = str(data.relative_to(here)) if data.is_relative_to(here) else str(data)
    lines = [f"- {survey.kind}: {_yaml(shown)}"]
    exclude = [file.name, "/runs/"] if survey.kind == "folder" and here == data else []
    if here.is_relative_to(data) and here != data:
        inside = here.relative_to(data).as_posix()
        exclude = [f"/{inside}/{file.name}", f"/{inside}/runs/"]
    if exclude:
        lines.append(f"  exclude: {_yaml(exclude)}     # this recipe and its results are no data")
    lines += [f"  {line}" for line in _words(survey, task)]
    if survey.licences.get("unknown"):
        lines.append("  # licence: CC-BY-4.0     # no notice was found: say here what you may do with it")
    return "".join(f"    {line}\n" for line in lines)


def _words(survey: Survey, task: str) -> list[str]:
    """What goes with each item: a table's columns, captions beside, folders as labels."""
    table = survey.table
    one = medium(about(task).medium)
    if table is not None and task in table.whole:
        return [f"join: {_yaml({'table': table.table})}     # {task} takes a row as it stands"]
    if table is not None and (table.path is None) == one.textual:
        if not one.textual or table.characters > survey.characters - (table.characters or 0):
            return [f"join: {_yaml(table.join())}"]
        return []
    if one.textual:
        return []
    lines = []
    if 2 * survey.captions >= survey.media.get(one.name, 0):
        lines.append(f"captions: beside     # {one.noun}.txt is the caption of {one.noun}{one.suffixes[0]}")
    if survey.labels:
        lines.append(f"labels: folders      # the folder's name is the {one.noun}'s label")
    return lines


def _yaml(value: Any) -> str:
    # A name that is not UTF-8 is escaped, and read back as it was.
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.strip().removesuffix("...").strip()
