"""Templates of a recipe, such as `img/{image}`: columns of a row put into a text. No code is run, no attribute is reached."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_PICTURES = "; pictures that stand in a table itself are not read, write them to files"
_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class MissingError(Exception):
    """The row has no such column, or nothing in it that can be written; `why` says so."""

    def __init__(self, name: str, why: str = ""):
        super().__init__(name)
        self.why = why or f"nothing in `{name}`"


def fill(template: str, row: Mapping[str, Any]) -> str:
    """Fill a template from a row. Raises MissingError with the name that is not there, ValueError where the template is wrong.

    `{name}` is a column; `{author.name}` goes into a mapping and `{tags.0}` into a list; a list of values becomes lines.
    `{{` and `}}` are braces.
    """

    def one(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None:
            raise ValueError(f"a brace without its partner in {template!r}; write {{{{ for a brace itself")
        return _shown(_look_up(match[1].strip(), row), match[1])

    return _PLACE.sub(one, template)


def names(template: str) -> list[str]:
    """The columns that a template asks for."""
    return [match[1].strip() for match in _PLACE.finditer(template) if match[1] is not None]


def _look_up(name: str, row: Mapping[str, Any]) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for key in name.split("."):
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise MissingError(name)
    return value


def _shown(value: Any, name: str) -> str:
    if value is None or value == "" or value == [] or (isinstance(value, float) and not math.isfinite(value)):
        raise MissingError(name)
    if isinstance(value, list):
        return "\n".join(_shown(part, name) for part in value if part is not None)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes | Mapping):
        what = "bytes" if isinstance(value, bytes) else "several values"
        raise MissingError(name, f"`{name}` holds {what}, where a text or a file's name is needed{_PICTURES}")
    return str(value)
