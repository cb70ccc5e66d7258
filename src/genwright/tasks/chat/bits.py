"""What held-out replies cost: the model, an n-gram, and the model behind other conversations than their own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genwright.console import progress
from genwright.families.transformer.family import Transformer
from genwright.metrics import text as metrics
from genwright.metrics.ngrams import KneserNey
from genwright.model import Model
from genwright.scores import Metric, Score
from genwright.shards import ExampleStore
from genwright.tasks.chat.samples import Turn, evenly_turns
from genwright.tasks.text.held_out import affordable_tokens
from genwright.tasks.text.nats import document_nats

ORDER = 5
HELD_OUT_TOKENS = 200_000
"""Bits are counted on at most so many tokens."""
BASELINE_TOKENS = 20_000_000
_SWAPPED_TURNS = 200
SWAPPED_TOKENS = 50_000

LISTENING = Metric(
    name="listening",
    title="cost of a swapped conversation",
    better="none",
    unit="bits",
    description="How many bits a byte a held-out reply costs more behind another conversation than behind its own: about 0 means that what "
    "was said before makes no difference to what the model answers.",
)

Marked = Sequence[tuple[np.ndarray, np.ndarray]]
"""Examples as (tokens, weight): what counts has a weight, and the first token of each is only read."""


def held_out_examples(model: Model, store: ExampleStore, most_tokens: int) -> list[int]:
    """The examples that bits are counted on: all of them, or every n-th where there are too many."""
    every = max(-(-int(store.lengths("tokens").sum()) // affordable_tokens(model, most_tokens)), 1)
    return list(range(0, len(store), every))


def bits_per_byte(model: Model, family: Transformer, store: ExampleStore, counted: Sequence[int], seed: int) -> Score:
    """Bits per byte of the replies of some held-out examples, with a bootstrap over conversations."""
    return reply_bits(model, family, _marked(store, counted), seed)


def counted_bits(
    model: Model, learnt_from: np.ndarray, store: ExampleStore, counted: Sequence[int], seed: int
) -> Score | None:
    """The same of an n-gram over training tokens; None where those are too few."""
    if len(learnt_from) < ORDER:
        return None
    with progress("evaluate: count runs of tokens"):
        counts = KneserNey(learnt_from, model.facts.size, ORDER)
    examples = _marked(store, counted)
    nats = [-counts.log_probabilities(tokens)[1:][np.asarray(weight[1:], bool)].sum() for tokens, weight in examples]
    return metrics.bits_per_byte(np.array(nats), _sizes(model, examples), seed=seed)


def reply_bits(model: Model, family: Transformer, examples: Marked, seed: int) -> Score:
    """Bits per byte of what counts in some examples."""
    return metrics.bits_per_byte(_nats(model, family, examples), _sizes(model, examples), seed=seed)


def listening(model: Model, family: Transformer, store: ExampleStore, room: int, most: int, seed: int) -> Score | None:
    """See LISTENING; `room` is the most tokens that a conversation may have before a reply, `most` those that are read in all. The interval is a bootstrap over replies.
    None where there are not two."""
    turns = evenly_turns(store, _SWAPPED_TURNS, room)
    length = sum(len(turn.prompt) + len(turn.reply) for turn in turns)
    turns = turns[:: max(-(-length // affordable_tokens(model, most)), 1)]
    if len(turns) < 2:
        return None
    half = len(turns) // 2
    own = [_after(turn, turn) for turn in turns]
    swapped = [_after(turns[(number + half) % len(turns)], turn) for number, turn in enumerate(turns)]
    more = _nats(model, family, swapped) - _nats(model, family, own)
    return metrics.bits_per_byte(more, _sizes(model, own), seed=seed)


def _after(said: Turn, answered: Turn) -> tuple[np.ndarray, np.ndarray]:
    weight = np.repeat(np.array([0, 1], np.uint8), [len(said.prompt), len(answered.reply)])
    return np.concatenate([said.prompt, answered.reply]), weight


def _marked(store: ExampleStore, chosen: Sequence[int]) -> Marked:
    return [(e["tokens"], e["weight"]) for e in (store[index] for index in chosen)]


def _sizes(model: Model, examples: Marked) -> np.ndarray:
    """Bytes of what counts in each example."""
    return np.array([model.facts.byte_lengths[t[1:][np.asarray(w[1:], bool)]].sum() for t, w in examples], float)


def _nats(model: Model, family: Transformer, examples: Marked) -> np.ndarray:
    """What counts in each example costs so many nats."""
    nats = np.zeros(len(examples))
    by_lead: dict[int, list[int]] = {}
    for index, (tokens, _) in enumerate(examples):
        by_lead.setdefault(int(tokens[0]), []).append(index)
    for lead, indexes in by_lead.items():
        found = document_nats(family, [examples[i][0][1:] for i in indexes], lead, model.device, "held-out replies")
        for index, values in zip(indexes, found, strict=True):
            nats[index] = values[np.asarray(examples[index][1][1:], bool)].sum()
    return nats
