"""What held-out texts cost a model: the score that two states of a model are compared by."""

from __future__ import annotations

import numpy as np

from genwright.metrics.text import bits_per_byte
from genwright.model import Model
from genwright.scores import Metric, Score
from genwright.shards import ExampleStore
from genwright.tasks.text.nats import document_nats
from genwright.tasks.text.units import unit_edges

BITS_PER_BYTE = Metric(
    name="bits_per_byte",
    title="bits per byte",
    better="lower",
    unit="bits",
    description="How many bits a held-out text costs, a byte, coded by the model's own probabilities: the fewer, the less it is surprised.",
)
_MOST_TOKENS = 100_000
_MOST_FLOPS = 1e13
"""A minute or two on a small machine."""


_LEAST_TOKENS = 60_000
_LEAST_FLOPS = 1e12
"""Some seconds on a small machine."""


def affordable_tokens(model: Model, most: int) -> int:
    """How many held-out tokens bits are counted on: at most `most`, fewer for a large model."""
    return int(min(most, _MOST_FLOPS / (2 * _parameters(model))))


def least_tokens(model: Model) -> int:
    """How many they are however short the evaluation is to be: a small model is asked about enough texts to say something of it."""
    return int(min(_LEAST_TOKENS, _LEAST_FLOPS / (2 * _parameters(model))))


def _parameters(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.family.modules["model"].parameters())


def held_out_bits(model: Model, store: ExampleStore, seed: int) -> Score | None:
    """Bits per byte of the examples of a store (evenly chosen ones where there are very many), counting the tokens that the loss
    counts; the interval is a bootstrap over texts, or blocks of them where they are few (units.py). None where nothing counts."""
    lengths = store.lengths("tokens")
    every = max(-(-int(lengths.sum()) // affordable_tokens(model, _MOST_TOKENS)), 1)
    chosen = [i for i in range(0, len(store), every) if lengths[i]]
    examples = [store[i] for i in chosen]
    if not examples:
        return None
    tokens = [np.asarray(example["tokens"]) for example in examples]
    stream = np.concatenate(tokens)
    counts = np.concatenate([example.get("weight", np.ones(len(t), np.uint8)) for example, t in zip(examples, tokens, strict=True)])  # fmt: skip
    byte_counts = model.facts.byte_lengths[stream] * (counts > 0)
    if not byte_counts.sum():
        return None
    nats = np.concatenate(document_nats(model.family, tokens, model.facts.end_token, model.device))  # type: ignore[arg-type]
    edges = unit_edges([store.ids[i] for i in chosen], [len(t) for t in tokens])
    return bits_per_byte(np.add.reduceat(nats * (counts > 0), edges), np.add.reduceat(byte_counts, edges), seed=seed)
