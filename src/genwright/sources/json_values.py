"""JSON as it is found: a value, a list, or a value a line under any name. What is no number is null, and a key twice is a mistake."""

from __future__ import annotations

import json
from typing import Any

from genwright.ledger import Drop

LINES = (".jsonl", ".ndjson")


def loads(text: str) -> Any:
    """A JSON text, without NaN and Infinity, which are None as in the table they came from. Raises ValueError, RecursionError."""
    return json.loads(text, parse_constant=lambda name: None, object_pairs_hook=_mapping)


class Lines(list[Any]):
    """Values of a file of JSON Lines."""


def parse(text: str, suffix: str) -> Any:
    """What a file holds whose name ends so: `Lines` where a value stands on each line, whatever the name says, a line that can't be
    read as a Drop in its place; else the one value. Raises ValueError, RecursionError where it is neither."""
    named = suffix in LINES
    if named and text.lstrip()[:1] != "[":
        return _lines(text)
    try:
        whole = loads(text)
    except (ValueError, RecursionError):
        if named or are_lines(text):
            return _lines(text)
        raise
    return _lines(text) if named and (not isinstance(whole, list) or is_conversation(whole)) else whole


def are_lines(text: str, suffix: str = "") -> bool:
    """Whether a value stands on each line: the name says so, or each of the first two lines is an object or list of its own."""
    if suffix in LINES and text.lstrip()[:1] != "[":
        return True
    first = [line for line in text.lstrip("\ufeff \n")[:1_000_000].split("\n") if line.strip()][:2]
    return len(first) == 2 and all(isinstance(_line(line, 0), dict | list) for line in first)


def array(text: str) -> list[tuple[int, Any]] | None:
    """The values of a JSON list, and the characters at which they begin; None where the text is no list. Raises ValueError,
    RecursionError where it is not well formed."""
    place = _behind_space(text, 0)
    if text[place : place + 1] != "[":
        return None
    found: list[tuple[int, Any]] = []
    place = _behind_space(text, place + 1)
    while text[place : place + 1] != "]" or found:
        value, end = _DECODER.raw_decode(text, place)
        found.append((place, value))
        place = _behind_space(text, end)
        if text[place : place + 1] != ",":
            break
        place = _behind_space(text, place + 1)
    if text[place : place + 1] != "]" or text[place + 1 :].strip():
        raise ValueError(f"the list does not end where it should (character {place:,})")
    return found


def _behind_space(text: str, place: int) -> int:
    while text[place : place + 1] in (" ", "\n", "\t", "\r", "\ufeff"):
        place += 1
    return place


def is_conversation(whole: list[Any]) -> bool:
    """Whether a list is one row, which is a conversation, rather than rows."""
    speakers = ("role", "from", "speaker", "sender")
    return all(
        isinstance(part, str) or (isinstance(part, dict) and any(key in part for key in speakers)) for part in whole
    )


def _lines(text: str) -> Lines:
    return Lines(_line(line, number) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _line(line: str, number: int) -> Any:
    try:
        return loads(line.lstrip("\ufeff"))
    except (ValueError, RecursionError) as error:
        return Drop("malformed", f"line {number}: {str(error)[:160]}")


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise ValueError(f"the key {twice[:40]!r} stands twice in one object")
    return found


_DECODER = json.JSONDecoder(parse_constant=lambda name: None, object_pairs_hook=_mapping)
