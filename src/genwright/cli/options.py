"""Turns the fields of a request's schema into options of the command line, so that help is as exact as the schema."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from genwright.cli.deliver import read_bytes, read_text
from genwright.errors import RequestError
from genwright.request import AT_FILE, FILE_TOO, NAMED_BY_FILE, POSITIONAL, Blob, File, checked, is_marked, positional

HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
"""As the commands that stand in `cli/app.py` have it."""


def options_of(schema: type[BaseModel]) -> list[click.Option]:
    """One option a field but the positional one, two where a file may hold its text; limits are checked by the schema itself."""
    options = []
    for name, field in schema.model_fields.items():
        if not is_marked(field, POSITIONAL):
            options.append(_option(name, field))
        if is_marked(field, FILE_TOO):
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
    if is_marked(field, AT_FILE):
        text = f"{text} Or @FILE, which holds it."
    if is_marked(field, NAMED_BY_FILE):
        text = f"{text} [default: the name of the file that is given]"
    if kind is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=text)
    metavar = "FILE" if file_type(field) else None
    return click.Option([*names, name], type=kind, multiple=multiple, default=None, help=text, metavar=metavar)


def file_type(field: FieldInfo) -> type[File] | type[Blob] | None:
    """File or Blob where a field holds one of them, be it optional or a list; else None."""

    def find(annotation: Any) -> Any:
        return annotation if annotation in (File, Blob) else next(filter(None, map(find, get_args(annotation))), None)

    return find(field.annotation)


def _click_type(annotation: Any) -> tuple[Any, bool]:
    alternatives = [a for a in get_args(annotation) if a is not NoneType]
    if get_origin(annotation) is Literal:
        return click.Choice([str(a) for a in get_args(annotation)]), False
    if get_origin(annotation) is list:
        return _click_type(alternatives[0])[0], True
    if alternatives and NoneType in get_args(annotation):
        return _click_type(alternatives[0])
    return (annotation if annotation in (int, float, bool) else str), False


def check(schema: type[BaseModel], given: dict[str, Any]) -> Any:
    """Build the request, its files read. Raises RequestError naming the option that is wrong or the file that can't be read."""
    bare = positional(schema)

    def spelled(name: str) -> str:
        option = name.partition(".")[0]  # what is wrong may lie inside of what the option holds
        return option.upper() if option == bare else "--" + option.replace("_", "-")

    values = {name: value for name, value in given.items() if value not in (None, ())}
    return checked(schema, _with_files(values, schema, spelled), spelled)


def _with_files(given: dict[str, Any], schema: type[BaseModel], spelled: Callable[[str], str]) -> dict[str, Any]:
    """The values of the request's fields, what files hold in place of their names."""
    values, named = dict(given), []
    for name, field in schema.model_fields.items():
        option, value = spelled(name), values.get(name)
        if is_marked(field, AT_FILE) and isinstance(value, str) and value.startswith("@"):
            values[name] = read_text(Path(value[1:]), option)
        elif is_marked(field, FILE_TOO) and (file := values.pop(f"{name}_file", None)) is not None:
            if value is not None:
                raise RequestError(f"give either {option} or {option}-file, not both.")
            values[name] = read_text(Path(file), f"{option}-file")
            named.append(Path(file).name)
        elif (held := file_type(field)) and value is not None:
            files = [_file(held, path, option) for path in (value if isinstance(value, tuple) else (value,))]
            values[name] = files if isinstance(value, tuple) else files[0]
        elif isinstance(value, tuple):
            values[name] = list(value)
    for name, field in schema.model_fields.items():
        if named and is_marked(field, NAMED_BY_FILE):
            values.setdefault(name, named[0])
    return values


def _file(held: type[File] | type[Blob], path: str, option: str) -> dict[str, Any]:
    """What a request says of a file; `-` stands for standard input where any bytes will do."""
    if held is File:
        return {"path": Path(path).name, "text": read_text(Path(path), option)}
    return {"name": "" if path == "-" else Path(path).name, "data": read_bytes(path, option)}
