"""A recipe's text as its user wrote it (`Written`), and what is wrong with what it says (`Wrong`), so that a message names file and line.

Torch-free.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from genwright.errors import RequestError


class Written:
    """The content of a YAML text (`content`), in which values can be replaced, and where each of them was given.

    Raises RequestError naming the line where the text is no YAML or has a key twice.
    """

    def __init__(self, text: str, name: str):
        self.name = name
        self.overrides: list[tuple[str, list[str]]] = []
        try:
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_twice(name, self.node)
            self.content: Any = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            line = f" line {mark.line + 1}" if mark else ""
            raise RequestError(f"{name}{line}: not valid YAML ({getattr(error, 'problem', None) or error}).") from error

    def put(self, override: str, path: str) -> None:
        """Put the value of KEY=VALUE, as it was given, at a path of keys (`train.budget`). Raises RequestError."""
        keys, value = path.split("."), override.partition("=")[2]
        place: Any = self.content
        for key in keys[:-1]:
            place = (
                place[int(key)]
                if isinstance(place, list) and key.isdigit() and int(key) < len(place)
                else place.setdefault(key, {})
                if isinstance(place, dict)
                else None
            )
            if not isinstance(place, dict | list):
                raise RequestError(f"--set {override}: `{key}` is no section of the recipe.")
        try:
            _refuse_twice(f"--set {override}", yaml.compose(value, Loader=yaml.SafeLoader))
            parsed = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise RequestError(f"--set {override}: the value is not valid YAML.") from error
        if isinstance(place, list):
            if not keys[-1].isdigit() or int(keys[-1]) >= len(place):
                raise RequestError(f"--set {override}: `{keys[-1]}` is no index of that list.")
            place[int(keys[-1])] = parsed
        else:
            place[keys[-1]] = parsed
        self.overrides.append((override, keys))

    def where(self, *path: str | int) -> str:
        """The place of a key's value, for the beginning of a message: `--set KEY=VALUE`, or the file and the line."""
        keys = [str(key) for key in path]
        for override, put in reversed(self.overrides):
            if keys and (put[: len(keys)] == keys or keys[: len(put)] == put):
                return f"--set {override}"
        return self.name + self._line(path)

    def _line(self, path: tuple[str | int, ...]) -> str:
        """ " line N" of a key in the YAML tree, or "" where it stands nowhere, as a default."""
        line, node = None, self.node
        for key in path:
            if isinstance(node, yaml.MappingNode):
                match = next(((k, v) for k, v in node.value if k.value == str(key)), None)
                if match is None:
                    break
                line, node = match[0].start_mark.line + 1, match[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
                node = node.value[key]
                line = node.start_mark.line + 1
            else:
                break
        return f" line {line}" if line else ""


def _refuse_twice(name: str, node: Any) -> None:
    """Raises RequestError where a mapping, however deep, has a key twice: YAML's readers keep the last one and say nothing."""
    waiting, seen = [node], set()
    while waiting:
        node = waiting.pop()
        if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        lines: dict[Any, int] = {}
        for key, value in node.value:
            line, known = key.start_mark.line + 1, (key.tag, str(key.value))
            if known in lines:
                raise RequestError(
                    f"{name} line {line}: the key `{key.value}` stands on line {lines[known]} already; put both into one."
                )
            lines[known] = line
            waiting += [key, value]


class Wrong(NamedTuple):
    """What is wrong with what was given for a schema."""

    path: tuple[str | int, ...]
    """The keys that lead to it."""
    text: str
    unknown: bool
    """Whether there is no such key."""

    def below(self, *keys: str | int) -> Wrong:
        return self._replace(path=(*keys, *self.path))


def first_wrong(error: ValidationError, given: Any) -> Wrong:
    """The first thing that is wrong; an unknown key before others, because a misspelled one is missing too, and the unknown one is what
    the user can see. What a key may be of several kinds is said of all of them."""
    found = error.errors()
    first = min(found, key=lambda one: one["type"] != "extra_forbidden")
    path = _real(first, given)
    said = dict.fromkeys(_plain(one) for one in found if len(one["loc"]) > len(path) and _real(one, given) == path)
    value = first.get("input")
    shown = f" (given: {value!r})" if isinstance(value, str | int | float | bool) else ""
    return Wrong(path, (" or ".join(said) or _plain(first)) + shown, first["type"] == "extra_forbidden")


def _real(error: Any, given: Any) -> tuple[str | int, ...]:
    """The keys of an error's place, without the names of kinds that pydantic puts among them where there may be several."""
    path = []
    for key in error["loc"]:
        if (isinstance(given, dict) and key in given) or (
            isinstance(given, list) and isinstance(key, int) and key < len(given)
        ):
            given = given[key]
        elif key != error["loc"][-1] or error["type"] != "missing":
            continue
        path.append(key)
    return tuple(path)


def _plain(error: Any) -> str:
    if error["type"] in ("model_type", "dict_type", "mapping_type"):
        return "must be a section with keys of its own"
    return error["msg"].removeprefix("Value error, ").rstrip(".")
