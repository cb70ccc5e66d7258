"""What a text can be asked for by: fields of its item (author, title, folder) in a header before the text.

A document is learned as

    <|author|>李白<|title|>月夜<|text|>床前明月光 ...

where the marks are tokens of their own, which no text and no field ever becomes; so a header survives any content. A field that an
item lacks is left out, and in training any field is left out now and then, so that every subset can be asked for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

import numpy as np

from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.shards import Example
from genwright.tokens.tokenizer import Tokenizer

TEXT = "<|text|>"
"""Ends a header."""

FOLDER = "folder"
"""The field that every file has: the name of the folder it lies in."""

LONGEST_FIELD = 200
"""Characters of a field that a header holds, so that one long field leaves room for the text."""

_LEAVE_OUT = 0.15


def marks(names: Sequence[str]) -> tuple[str, ...]:
    """The special tokens of a header with some fields."""
    return (*(f"<|{name}|>" for name in names), TEXT) if names else ()


def fields_of(item: Item, names: Sequence[str]) -> dict[str, str]:
    """What an item says of itself, in the order of `names`."""
    return {name: value for name in names if (value := _known(item).get(name, "").strip())}


def check_names(items: Sequence[Item], names: Sequence[str]) -> None:
    """Raises RequestError where no item has one of the fields."""
    found = set().union(*(_known(item) for item in items)) - {"text"}
    for name in names:
        if name not in found:
            near = get_close_matches(name, found, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"fields are {', '.join(sorted(found)) or 'none'}."
            raise RequestError(f"`prepare.condition` names `{name}`, a field that no item has; {hint}")


def header(facts: Tokenizer, fields: Mapping[str, str], names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """A header's tokens, and which field each belongs to: 1 for the first of `names`, 2 for the second; 255 for what always
    stands there, the last mark and the tokens that some foreign tokenizers begin a text with."""
    begin = np.array(facts.begin_tokens, facts.dtype)
    tokens, numbers = [begin], [np.full(len(begin), 255, np.uint8)]
    for number, name in enumerate(names, start=1):
        if name not in fields:
            continue
        value = facts.encode(fields[name][:LONGEST_FIELD])
        tokens.append(np.concatenate([[facts.special[f"<|{name}|>"]], value]).astype(facts.dtype))
        numbers.append(np.full(len(value) + 1, number, np.uint8))
    tokens.append(np.array([facts.special[TEXT]], facts.dtype))
    numbers.append(np.array([255], np.uint8))
    return np.concatenate(tokens), np.concatenate(numbers)


def with_header(facts: Tokenizer, text: np.ndarray, fields: Mapping[str, str], names: Sequence[str]) -> Example:
    """A text's tokens behind its header, which does not count in the loss. "field": see `header`; 0 for the text."""
    head, numbers = header(facts, fields, names)
    return {
        "tokens": np.concatenate([head, text]).astype(facts.dtype),
        "weight": np.repeat(np.array([0, 1], np.uint8), [len(head), len(text)]),
        "field": np.concatenate([numbers, np.zeros(len(text), np.uint8)]),
    }


def opening(facts: Tokenizer, head: np.ndarray) -> list[int]:
    """What stands before a text: its header, led in as in training."""
    return [*([] if facts.begin_tokens else [facts.end_token]), *map(int, head)]


def leave_out(example: Example, rng: np.random.Generator) -> Example:
    """The example without some of its header's fields, each left out with the same small probability."""
    field = example["field"]
    present = np.unique(field[(field > 0) & (field < 255)])
    gone = present[rng.random(len(present)) < _LEAVE_OUT]
    if not len(gone):
        return example
    stays = ~np.isin(field, gone)
    return {name: values[stays] for name, values in example.items()}


def requested(given: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    """The fields of a request, written as NAME=VALUE. Raises RequestError naming those that the model knows."""
    fields = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        name = name.strip()
        known = (
            f"this model knows {', '.join(names)}"
            if names
            else "this model was trained without any (`prepare.condition`)"
        )
        if not equals or not value.strip():
            raise RequestError(f"--condition {pair}: write it as NAME=VALUE; {known}.")
        if name not in names:
            raise RequestError(f"--condition {pair}: there is no condition `{name}`; {known}.")
        fields[name] = value.strip()
    return fields


def shown_fields(fields: dict[str, str]) -> str:
    """Conditions as people are shown them."""
    return " ".join(f"{name}={value}" for name, value in fields.items()) or "(no condition)"


def _known(item: Item) -> dict[str, str]:
    folder = posixpath.basename(posixpath.dirname(item.path))
    # A row lies in a table, not in a folder that says something about it.
    return {**({FOLDER: folder} if folder and item.row is None else {}), **item.fields}
