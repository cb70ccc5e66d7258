"""Turns the fields of a request's schema into options of the command line, so that help is as exact as the schema."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from genwright.families.transformer_options import Precision
from genwright.output import read_text
from genwright.recipe import AT_FILE


def options_of(schema: type[BaseModel]) -> list[click.Option]:
    """One option a field but the prompt; limits are checked by the schema itself."""
    return [_option(name, field) for name, field in schema.model_fields.items() if name != "prompt"]


def precision_option() -> click.Option:
    """How a text model's weights are held while it generates."""
    text = "int8 holds weights in 8 bits: faster, output nearly the same; needs a C++ compiler. [default: float32]"
    return click.Option(["--weights"], type=click.Choice(get_args(Precision)), default="float32", help=text)


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
    if kind is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=text)
    return click.Option([*names, name], type=kind, multiple=multiple, default=None, help=text, show_default=False)


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
    """Build the request; a long text may be given as @FILE. Raises click.BadParameter naming the option.

    Files are read here and nowhere behind: a request that came over a network must not reach into them.
    """
    values = {
        name: list(value) if isinstance(value, tuple) else _from_file(name, value, schema)
        for name, value in given.items()
        if value not in (None, ())
    }
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option = "--" + ".".join(map(str, first["loc"])).replace("_", "-")
        raise click.BadParameter(
            f"{first['msg'].removeprefix('Value error, ')} (given: {first.get('input')!r})", param_hint=option
        ) from error


def _from_file(name: str, value: Any, schema: type[BaseModel]) -> Any:
    field = schema.model_fields.get(name)
    if field is None or field.json_schema_extra != AT_FILE or not (isinstance(value, str) and value.startswith("@")):
        return value
    return read_text(Path(value[1:]), f"--{name.replace('_', '-')}")
