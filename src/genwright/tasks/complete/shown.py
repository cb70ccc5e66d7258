"""An example of `complete` in words: a piece of a file with a hole, as the model reads it."""

from __future__ import annotations

from typing import Any

import numpy as np

from genwright.seeds import stream
from genwright.shards import Example
from genwright.tasks.base import Shown
from genwright.tasks.complete.fim import ALLOWANCE, MIDDLE, SUFFIX, mark, with_holes
from genwright.tasks.complete.order import cut
from genwright.tokens.tokenizer import Tokenizer

_TRIES = 20


def hole_shown(example: Example, facts: Tokenizer, settings: Any, room: int) -> list[Shown]:
    """The longest piece of a file that fits into `room` tokens, with a hole, prefix first; what fills it is marked. Without a hole
    where the settings want none."""
    header, tokens = example["header"], example["tokens"]
    spans = cut(len(tokens), example["edges"], max(room - len(header) - ALLOWANCE, 16), room // 8)
    start, stop = max(spans, key=lambda span: span[1] - span[0])
    weight = np.repeat(np.array([0, 1], np.uint8), [len(header), stop - start])
    piece = {"tokens": np.concatenate([header, tokens[start:stop]]), "weight": weight}
    if settings.fim_rate:
        always = settings.model_copy(update={"fim_rate": 1.0, "spm_rate": 0.0})
        for number in range(_TRIES):
            row = with_holes(piece, facts, always, stream(number, "shown"))["tokens"]
            places = [np.flatnonzero(row == mark(facts, name)) for name in (SUFFIX, MIDDLE)]
            if all(map(len, places)):
                after, filled = int(places[0][0]), int(places[1][0]) + 1
                passages = (row[:after], row[after : filled - 1], row[filled - 1 : filled])
                return [
                    *(Shown(facts.spelled(passage)) for passage in passages),
                    Shown(facts.spelled(row[filled:]), True),
                ]
    return [Shown(facts.spelled(piece["tokens"]))]
