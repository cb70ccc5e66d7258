"""Conversations and the context: cut by whole turns where they are too long to be learned at once, or to be answered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from genwright.tasks.chat.formats import Message
from genwright.tokens.chat_template import ChatTemplate
from genwright.tokens.tokenizer import Tokenizer

_PROBE = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}] * 2


class Window(NamedTuple):
    """A part of a conversation as the context holds it. It can be learned from where `weight` has a token that counts."""

    tokens: np.ndarray
    weight: np.ndarray
    length: int
    """Tokens that it would have if nothing were cut."""

    @property
    def is_cut(self) -> bool:
        return self.length > len(self.tokens)


def exchanges(messages: Sequence[Message]) -> tuple[int, list[tuple[int, int]]]:
    """How many messages stand before the conversation (the system's), and the spans that it may be cut into: each begins with
    a turn of the user, but for a first one that another begins."""
    head = next((i for i, m in enumerate(messages) if m["role"] != "system"), len(messages))
    turns = [i for i in range(head + 1, len(messages)) if messages[i]["role"] == "user"]
    edges = [head, *(i for i in turns if messages[i - 1]["role"] != "user"), len(messages)]
    return head, [span for span in pairwise(edges) if span[0] < span[1]]


def windows(messages: Sequence[Message], template: ChatTemplate, facts: Tokenizer, context: int) -> Iterator[Window]:
    """A conversation as examples of at most `context` tokens, cut by whole exchanges, each led by the system's words. Of an exchange
    that is longer than the context the beginning is learned, if it reaches a reply.

    Raises RefusedError where the template can't write the conversation.
    """
    if not template.whole:
        yield from _one_by_one(messages, template, facts, context)
        return
    head, spans = exchanges(messages)
    each = _overhead(template, facts)
    sizes = [len(facts.encode(message["content"])) + each for message in messages]
    system, start = sum(sizes[:head]), 0
    while start < len(spans):
        stop, size = start, system
        while stop < len(spans) and (stop == start or size + sum(sizes[slice(*spans[stop])]) <= context):
            size += sum(sizes[slice(*spans[stop])])
            stop += 1
        while True:
            chosen = [*messages[:head], *messages[spans[start][0] : spans[stop - 1][1]]]
            tokens, weight = template.encode_marked(chosen, facts)
            if len(tokens) <= context or stop == start + 1:
                break
            stop -= 1
        yield Window(tokens[:context], weight[:context], len(tokens))
        start = stop


def _one_by_one(
    messages: Sequence[Message], template: ChatTemplate, facts: Tokenizer, context: int
) -> Iterator[Window]:
    """Each reply as an example that ends with it, behind as much of the conversation as the context holds."""
    head, spans = exchanges(messages)
    first = 0
    for index, message in enumerate(messages):
        if message["role"] != "assistant" or index == head:
            continue
        while True:
            chosen = [*messages[:head], *messages[spans[first][0] : index + 1]]
            tokens, weight = template.encode_last(chosen, facts)
            if len(tokens) <= context or first + 1 == len(spans) or spans[first + 1][0] > index:
                break
            first += 1
        yield Window(tokens[:context], weight[:context], len(tokens))


def fit(
    messages: Sequence[Message], template: ChatTemplate, facts: Tokenizer, room: int
) -> tuple[np.ndarray, list[Message], int]:
    """The tokens that an answer goes on from, at most `room` of them where that can be; the messages that are in them, and how many
    were dropped: the oldest, by whole exchanges. The last exchange always stays.

    Raises RefusedError where the template can't write the conversation.
    """
    head, spans = exchanges(messages)
    for first in range(max(len(spans), 1)):
        kept = [*messages[:head], *messages[spans[first][0] if spans else head :]]
        tokens = template.encode(kept, facts)
        if len(tokens) <= room or first >= len(spans) - 1:
            return tokens, kept, len(messages) - len(kept)
    raise AssertionError("the last exchange always stays")


def replies(tokens: np.ndarray, weight: np.ndarray) -> list[tuple[int, int]]:
    """Where each reply stands in an example: spans of tokens that count, end of turn included."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(weight, np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _overhead(template: ChatTemplate, facts: Tokenizer) -> int:
    """Tokens that the template adds to a message, rounded up."""
    words = sum(len(facts.encode(message["content"])) for message in _PROBE)
    return -(-(len(template.encode(_PROBE, facts, add_generation_prompt=False)) - words) // len(_PROBE))
