"""A task from outside the package: new names in the manner of a list. An example is a line, ended by its own token."""

from __future__ import annotations

from collections.abc import Iterator

import names_options
import numpy as np

from genwright.ledger import Drop, Item
from genwright.shards import Example
from genwright.tasks.write.task import Write, item_text
from genwright.tokens.tokenizer import Tokenizer


class Names(Write):
    name = "names"
    Request = names_options.Request

    def encode(self, item: Item, facts: Tokenizer) -> Iterator[Example | Drop]:
        text = item_text(item)
        if isinstance(text, Drop):
            yield text
            return
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if not lines:
            yield Drop("empty", "no name in it")
        for line in lines:
            yield {"tokens": np.append(facts.encode(line), facts.end_token).astype(facts.dtype)}
