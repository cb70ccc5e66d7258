"""Turns the fields of a request's schema into options of the command line, so that help is as exact as the schema."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genwright.cli.deliver import read_text
from genwright.request import AT_FILE, FILE_TOO, NAMED_BY_FILE, File


def options_of(schema: type[BaseModel]) -> list[click.Option]:
    """One option a field but the prompt, two where a file may hold its text; limits are checked by the schema itself."""
    options = []
    for name, field in schema.model_fields.items():
        if name != "prompt":
            options.append(_option(name, field))
        if field.json_schema_extra == FILE_TOO:
            text = f"A file with the text of --{name}."
            options.append(click.Option([f"--{name}-file"], metavar="FILE", default=None, help=text))
    return options


def taken_out(options: dict[str, Any], schema: type[BaseModel] | None) -> dict[str, Any]:
    """Those of the given options that are fields of a schema; `options` keeps the others."""
    found = {name: options.pop(name, None) for name in (schema.model_fields if schema else ())}
    return {name: value for name, value in found.items() if value is not None}


def _option(name: str, field: FieldInfo) -> click.Option:
    flag = "--" + name.replace("_", "-")
    names = ["-n", flag] if name == "n" else [flag]
    kind, multiple = _click_type(field.annotation)
    default = None if field.is_required() else field.default
    text = (field.description or "") + (
        "" if default is None or default in ("", []) or default is False else f" [default: {default}]"
    )
    if field.json_schema_extra == AT_FILE:
        text = f"{text} Or @FILE, which holds it."
    if field.json_schema_extra == NAMED_BY_FILE:
        text = f"{text} [default: the name of the file that is given]"
    if kind is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=text)
    metavar = "FILE" if _is_files(field) else None
    return click.Option([*names, name], type=kind, multiple=multiple, default=None, help=text, metavar=metavar)


def _is_files(field: FieldInfo) -> bool:
    return get_origin(field.annotation) is list and get_args(field.annotation) == (File,)


def _click_type(annotation: Any) -> tuple[Any, bool]:
    alternatives = [a for a in get_args(annotation) if a is not NoneType]
    if get_origin(annotation) is Literal:
        return click.Choice([str(a) for a in get_args(annotation)]), False
    if get_origin(annotation) is list:
        return _click_type(alternatives[0])[0], True
    if alternatives and NoneType in get_args(annotation):
        return _click_type(alternatives[0])
    return (annotation if annotation in (int, float, bool) else str), False


def check(schema: type[BaseModel], given: dict[str, Any]) -> BaseModel:
    """Build the request, its files read. Raises click.BadParameter naming the option, RequestError where a file can't be read."""
    try:
        return schema.model_validate(_with_files({n: v for n, v in given.items() if v not in (None, ())}, schema))
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + ".".join(map(str, first["loc"])).replace("_", "-")
        raise click.BadParameter(
            f"{first['msg'].removeprefix('Value error, ')} (given: {first.get('input')!r})", param_hint=option
        ) from error


def _with_files(given: dict[str, Any], schema: type[BaseModel]) -> dict[str, Any]:
    """The values of the request's fields, what files hold in place of their names."""
    values, named = dict(given), []
    for name, field in schema.model_fields.items():
        option, value = f"--{name.replace('_', '-')}", values.get(name)
        if field.json_schema_extra == AT_FILE and isinstance(value, str) and value.startswith("@"):
            values[name] = read_text(Path(value[1:]), option)
        elif field.json_schema_extra == FILE_TOO and (file := values.pop(f"{name}_file", None)) is not None:
            if value is not None:
                raise click.BadParameter(f"give either {option} or {option}-file", param_hint=f"{option}-file")
            values[name] = read_text(Path(file), f"{option}-file")
            named.append(Path(file).name)
        elif isinstance(value, tuple):
            values[name] = [_file(Path(file), option) for file in value] if _is_files(field) else list(value)
    for name, field in schema.model_fields.items():
        if named and field.json_schema_extra == NAMED_BY_FILE:
            values.setdefault(name, named[0])
    return values


def _file(path: Path, option: str) -> File:
    return File(path=path.name, text=read_text(path, option))
