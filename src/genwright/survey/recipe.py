"""Writes the commented recipe of `genwright new`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from genwright import recipe
from genwright.about import Survey, Verdict
from genwright.errors import RequestError
from genwright.recipe import recipe_class
from genwright.registry import about, families_of
from genwright.survey.sources import Source, Sources


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
    found = Sources(survey, task, verdict)
    sources = "".join(_source(one, survey) for one in found.recipe(file))
    named = found.sides if about(task).roles else {}
    anyway = "" if verdict.enough else " --anyway"
    return f"""\
# {task}: {verdict.text}
#
#   genwright plan {file.name}     what it would cost, before anything is trained
#   genwright run {file.name}{anyway}      all of it; the results are in runs/{file.stem}/, with a report to open in a browser

task: {task}

data:
  sources:
{sources}
train:
  budget: 10m          # more time makes better results: `genwright run {file.name} --more 30m` goes on
  seed: 0              # the same seed gives the same model
{_model(task, {**named, **verdict.settings}, verdict.why)}"""


def _model(task: str, settings: dict[str, Any], why: str) -> str:
    families = families_of(task)
    shown = f"families that can do this: {', '.join(families)}"
    if not settings:
        return f"\n# model: {{family: {families[0]}}}     # {shown}; the size follows the data and this machine\n"
    schema = recipe_class(task, families[0]).model_fields["model"].annotation
    fields = {one.alias or name: one.description for name, one in schema.model_fields.items()}  # type: ignore[union-attr]
    lines = [f"  family: {families[0]}          # {shown}"]
    for key, value in settings.items():
        lines.append(f"  {key}: {_yaml(value)}" + ("" if why else f"             # {fields[key]}"))
    return "\n".join(["", *(f"# {line}" for line in why.splitlines()), "model:", *lines, ""])


def _source(source: Source, survey: Survey) -> str:
    lines = [f"{key.name}: {_yaml(key.value)}{f'     # {key.comment}' if key.comment else ''}" for key in source]
    if survey.licences.get("unknown"):
        lines.append("# licence: CC-BY-4.0     # no notice was found: say here what you may do with it")
    return "".join(f"    {'  ' if number else '- '}{line}\n" for number, line in enumerate(lines))


def _yaml(value: Any) -> str:
    # A name that is not UTF-8 is escaped, and read back as it was.
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000)
    return text.strip().removesuffix("...").strip()
