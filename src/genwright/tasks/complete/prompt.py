"""A request as the model was taught to read it: other files, the path, then the text with a hole, cut to what the context holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from genwright.request import File
from genwright.tasks.complete.fim import arranged, header
from genwright.tasks.complete.lead import without_lead
from genwright.tasks.complete.options import Hole
from genwright.tokens.tokenizer import Tokenizer

_SUFFIX_SHARE = 1 / 3
"""Of what room there is for text around the hole, where both sides are longer than it."""
_BESIDE_SHARE = 1 / 3
"""Most of the context that other files may take."""
_MIDDLE_SHARE = 3 / 8
"""Most of the context that is kept free for the middle."""
_MARKS = 3
_CHARACTERS_A_TOKEN = 16
"""Text this far from the hole for each token of room is never looked at."""


@dataclass(frozen=True)
class Prompt:
    tokens: list[int]
    room: int
    """How many tokens of an answer the context still holds."""
    lead: str = ""
    """White space that an answer begins with and that stands before the hole already (`complete_lead`)."""


def lay_out(
    facts: Tokenizer,
    hole: Hole | None,
    prompt: str,
    *,
    context: int,
    max_tokens: int,
    order: str,
    path: str = "",
    beside: Sequence[File] = (),
) -> Prompt:
    """The tokens of a request; the files `beside` are shown first."""
    room = context - max(min(max_tokens, int(context * _MIDDLE_SHARE)), 1)
    above = [
        np.array(facts.begin_tokens or [facts.end_token], facts.dtype),
        *_beside(facts, beside, int(room * _BESIDE_SHARE)),
    ]
    path = path or (hole.path if hole else "")
    above.append(header(facts, path)[: room // 4])
    left = max(room - sum(map(len, above)) - _MARKS, 2)
    if hole is None:
        most = _CHARACTERS_A_TOKEN * context
        return _prompt(above, _cut_before(facts.encode(prompt[-most:]), left, facts), context)
    prefix, lead = without_lead(hole.prefix)
    before, after = _sides(facts, Hole(prefix, hole.suffix, hole.path), left)
    return _prompt(above, arranged(facts, before, after, order), context, lead)


def _prompt(above: Sequence[np.ndarray], text: np.ndarray, context: int, lead: str = "") -> Prompt:
    tokens = [int(token) for token in np.concatenate([*above, text])]
    return Prompt(tokens, max(context - len(tokens), 1), lead)


def _sides(facts: Tokenizer, hole: Hole, room: int) -> tuple[np.ndarray, np.ndarray]:
    """The end of the prefix and the beginning of the suffix: what one side does not need the other may have."""
    most = _CHARACTERS_A_TOKEN * room
    before = facts.encode(hole.prefix.replace("\r\n", "\n")[-most:])
    after = facts.encode(hole.suffix.replace("\r\n", "\n")[:most])
    behind = min(len(after), max(int(room * _SUFFIX_SHARE), room - len(before)))
    return _cut_before(before, room - behind, facts), after[:behind]


def _cut_before(tokens: np.ndarray, room: int, facts: Tokenizer) -> np.ndarray:
    """The end of a text, from the beginning of a line on where one is near."""
    if len(tokens) <= room:
        return tokens
    kept = tokens[-room:]
    ends = [place for place, token in enumerate(kept[: room // 4]) if facts.token_bytes[int(token)].endswith(b"\n")]
    return kept[ends[0] + 1 :] if ends else kept


def _beside(facts: Tokenizer, files: Sequence[File], room: int) -> list[np.ndarray]:
    """Other files, each below its path, with equal shares of the room."""
    parts = []
    for file in files:
        head = header(facts, file.path)
        share = max(room // len(files) - len(head), 0)
        text = file.text.replace("\r\n", "\n")
        parts += [head, facts.encode(text[: _CHARACTERS_A_TOKEN * share])[:share]]
    return parts
