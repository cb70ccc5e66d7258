"""The white space just before a hole is written anew, held to what it was.

In text as models learn it a space belongs to the word behind it, so a prefix that ends in one is unlike anything they have seen. The
prefix is therefore shown without it, and the answer has to begin with it.

V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from genwright.tokens.tokenizer import Tokenizer

Constraint = Callable[[Sequence[int]], Tensor]

_MOST_KEPT = 256
_known: WeakKeyDictionary[Tokenizer, dict[tuple[bytes, int, bool], Tensor]] = WeakKeyDictionary()
"""Looking through a vocabulary takes some milliseconds, and indentation is the same again and again."""


def without_lead(prefix: str) -> tuple[str, str]:
    """A prefix in two: up to the white space that ends it, and that white space, as far as it is on the last line."""
    kept = prefix.rstrip(" \t")
    return kept, prefix[len(kept) :]


def beginning(facts: Tokenizer, lead: str, vocabulary: int, then: Constraint | None = None) -> Constraint | None:
    """The constraint of an answer that begins with `lead` and goes on as `then` allows; `then` where there is no lead. What `then`
    is to judge begins with a token of its own, none that the lead reaches into."""
    if not lead:
        return then
    wanted = lead.encode()

    def constrain(generated: Sequence[int]) -> Tensor:
        written = 0
        for count, token in enumerate(generated):
            if written >= len(wanted):
                return torch.zeros(vocabulary) if then is None else then(generated[count:])
            written += int(facts.byte_lengths[token])
        if written >= len(wanted):
            return torch.zeros(vocabulary) if then is None else then([])
        return _fitting(facts, wanted[written:], vocabulary, beyond=then is None)

    return constrain


def _fitting(facts: Tokenizer, rest: bytes, vocabulary: int, beyond: bool) -> Tensor:
    """Which tokens are the beginning of `rest`, or go `beyond` it: bool[V]."""
    known = _known.setdefault(facts, {})
    if (rest, vocabulary, beyond) not in known:
        if len(known) >= _MOST_KEPT:
            known.clear()
        fitting = torch.zeros(vocabulary, dtype=torch.bool)
        special = set(facts.special.values())
        for token, text in enumerate(facts.token_bytes[:vocabulary]):
            if text and token not in special and (rest.startswith(text) or (beyond and text.startswith(rest))):
                fitting[token] = True
        known[rest, vocabulary, beyond] = fitting
    return known[rest, vocabulary, beyond]
