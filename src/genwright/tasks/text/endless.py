"""Finds JSON schemas that hold themselves without end, so that every text which follows them would be endless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote


def endless_part(schema: dict[str, Any]) -> str | None:
    """The part (`#/$defs/tree`) of a schema because of which no text that ends follows it; None where there may be one.

    What may end is found from below: first the parts that hold no others, then those that can be made of them, until nothing new is.
    """
    waiting = {name: part for name in _names(schema) if isinstance(part := _part(schema, name), dict)}
    while more := [name for name, part in waiting.items() if _ends(part, waiting)]:
        for name in more:
            del waiting[name]
    return None if _ends(schema, waiting) else next(iter(waiting))


def _names(value: Any) -> Iterator[str]:
    """What its `$ref` name, of the schema itself."""
    found = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for inside in found:
        yield from _names(inside)
    if isinstance(value, dict) and isinstance(name := value.get("$ref"), str) and name.startswith("#"):
        yield name


def _part(schema: Any, name: str) -> Any:
    for key in unquote(name).split("/")[1:]:
        key = key.replace("~1", "/").replace("~0", "~")
        if isinstance(schema, list) and key.isdecimal() and int(key) < len(schema):
            schema = schema[int(key)]
        else:
            schema = schema.get(key) if isinstance(schema, dict) else None
    return schema


def _ends(schema: Any, waiting: Mapping[str, Any]) -> bool:
    """Whether a text that ends may follow a schema, where what is `waiting` is not known to; what is not understood may."""
    if not isinstance(schema, dict) or "const" in schema or "enum" in schema:
        return True
    whole = parts if isinstance(parts := schema.get("allOf"), list) else []
    choices = [part for name in ("anyOf", "oneOf") if isinstance(part := schema.get(name), list) and part]
    return (
        schema.get("$ref") not in waiting
        and all(_ends(part, waiting) for part in whole + _needed(schema))
        and all(any(_ends(part, waiting) for part in parts) for parts in choices)
    )


def _needed(schema: Mapping[str, Any]) -> list[Any]:
    """The parts that a value of a schema can't be without."""
    kinds = schema.get("type")
    kind = kinds[0] if isinstance(kinds, list) and len(kinds) == 1 else kinds
    if kind == "object":
        properties, required = schema.get("properties"), schema.get("required")
        if isinstance(properties, dict) and isinstance(required, list):
            return [properties.get(name) for name in required if isinstance(name, str)]
    if kind == "array" and isinstance(least := schema.get("minItems"), int) and least > 0:
        first = parts if isinstance(parts := schema.get("prefixItems"), list) else []
        return first[:least] + ([schema.get("items")] if least > len(first) else [])
    return []
