"""Writes the pages that are made from the code: recipe.md, cli.md, adding.md. A test fails when one is stale."""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import jinja2
import typer.main
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from genwright import recipe
from genwright.cli.app import app
from genwright.cli.chat import command_for as chat_for
from genwright.cli.generate import command_for
from genwright.cli.options import HELP_NAMES
from genwright.registry import FAMILIES, SOURCES, TASKS, about, model_section
from genwright.settings import Budget, PartSection, part_sections
from genwright.sources.base import Join, SourceSpec

DOCS = Path(__file__).parent


def recipe_page() -> str:
    """Every key of a recipe, from the schema."""
    lines = [
        "# The recipe",
        "",
        "One YAML file. `task` comes first, `data.sources` says where the data is, everything else has a default.",
        "Unknown keys are refused with the nearest valid one. This page is made from the code by `make docs`.",
        "",
        "```yaml",
        "task: draw",
        "data:",
        "  sources:",
        "    - folder: my-pictures",
        "train: {budget: 30m}",
        "```",
        "",
    ]
    lines += _section("data", recipe.DataSettings)
    lines += ["## data.sources", "", "Each entry has one of the keys below, and may have these:", ""]
    lines += _table("### every source", SourceSpec) + _table("### join", Join)
    for kind in SOURCES:
        spec = SOURCES[kind].load().Spec
        own = [name for name in spec.model_fields if name not in SourceSpec.model_fields]
        lines += _table(f"### {kind}", spec, sorted(own, key=lambda name: name != kind))
    lines += _section("train", recipe.TrainSettings) + _section("evaluate", recipe.EvaluateSettings)
    for task in TASKS:
        options = TASKS[task].load_options()
        lines += [
            f"## task: {task}",
            "",
            f"Medium: {about(task).medium}. Families: {', '.join(about(task).families)} (the first is the default).",
            "",
        ]
        lines += _table("### prepare", options.Prepare) + _table("### model", options.Model)
        for part, section in part_sections(options.Model).items():
            lines += _table(f"### model.{part}", section)
        for family in about(task).families:
            for part, section in _own_parts(task, family).items():
                lines += _table(f"### model.{part}, with `family: {family}`", section)
        lines += _table("### What a request may say", options.Request)
    for family in FAMILIES:
        options = FAMILIES[family].load_options()
        lines += [f"## model.family: {_called(family)}", ""]
        lines += _table("### model", options.Settings) + _table("### What a request may say", options.Controls)
        lines += _table("### How it is opened", options.Opening) if options.Opening.model_fields else []
    return "\n".join(lines).rstrip() + "\n"


def _own_parts(task: str, family: str) -> dict[str, type[PartSection]]:
    """The sections of parts that a task has for this family alone."""
    common = part_sections(TASKS[task].load_options().Model)
    return {name: kind for name, kind in part_sections(model_section(task, family)).items() if name not in common}


def _called(family: str) -> str:
    """A family as recipes call it: its name, or where a task's users know it by another, that and the task."""
    others = [f"{name} ({task})" for task in TASKS for name, of in about(task).called.items() if of == family]
    return ", ".join(others) or family


def cli_page() -> str:
    """The help of every command."""
    group: Any = typer.main.get_command(app)
    context = typer.Context(group, info_name="genwright", terminal_width=100, max_content_width=100, **HELP_NAMES)
    lines = [
        "# The commands",
        "",
        "This page is made from the code by `make docs`.",
        "",
        "```text",
        group.get_help(context),
        "```",
        "",
    ]
    for name in group.list_commands(context):
        if name not in ("generate", "chat"):
            lines += _help(f"## genwright {name}", f"genwright {name}", group.commands[name])
    lines += ["## genwright generate", "", "Its options follow from what the run was trained to do.", ""]
    for task in TASKS:
        for family in about(task).families:
            lines += _help(f"### {task} by {family}", "genwright generate", command_for(task, family))
    lines += _help("## genwright chat", "genwright chat", chat_for(about("chat").families[0]))
    return "\n".join(line.rstrip() for line in lines)


def _help(title: str, name: str, command: Any) -> list[str]:
    context = command.context_class(command, info_name=name, terminal_width=100, max_content_width=100, **HELP_NAMES)
    return [title, "", "```text", command.get_help(context), "```", ""]


def _section(name: str, schema: type[BaseModel]) -> list[str]:
    return _table(f"## {name}", schema)


def _table(title: str, schema: type[BaseModel], names: list[str] | None = None) -> list[str]:
    lines = [title, "", "| key | type | default | meaning |", "|---|---|---|---|"]
    for name in names or schema.model_fields:
        field = schema.model_fields[name]
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{field.alias or name}` | {_type(field.annotation)} | {_default(field)} | {meaning} |")
    return [*lines, ""]


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{a}`" for a in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_type(a) for a in get_args(annotation) if a is not type(None))
    if get_origin(annotation) is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    if isinstance(annotation, type) and issubclass(annotation, PartSection):
        return "section"
    return {Budget: "text", str: "text", int: "integer", float: "number", bool: "true or false"}.get(
        annotation, getattr(annotation, "__name__", str(annotation))
    )


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(default, PartSection):
        return ""
    if field.is_required() or default is PydanticUndefined:
        return "required"
    return "" if default is None or default in ([], {}) else f"`{default}`"


def adding_page() -> str:
    """How to extend the house, with the examples that the tests run."""
    examples = DOCS.parent / "tests" / "outside"
    template = (DOCS / "templates" / "adding.md.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.from_string(template).render(file=lambda name: (examples / name).read_text(encoding="utf-8"))


PAGES = {"recipe.md": recipe_page, "cli.md": cli_page, "adding.md": adding_page}


def main() -> None:
    for name, page in PAGES.items():
        (DOCS / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
