"""What held-out texts cost a model: the score that two states of a model are compared by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from genwright.metrics.text import bits_per_byte
from genwright.model import Model
from genwright.scores import ENOUGH, Metric, Score
from genwright.shards import ExampleStore
from genwright.tasks.text.nats import document_nats

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
_BLOCK_TOKENS = 1000
INTERVAL = "bootstrap over blocks of 1,000 tokens, or of a twentieth where there are fewer than 20,000"
PIECE_TOKENS = 256
"""A paragraph or two. Of a long text so many tokens count as one thing held out: what stands nearer together is of one piece."""


def block_edges(tokens: int) -> np.ndarray:
    """Where the blocks begin that an interval is bootstrapped over: enough of them for their spread to mean something."""
    return np.arange(0, tokens, min(_BLOCK_TOKENS, max(tokens // ENOUGH, 1)))


def held_out_pieces(protocol: Mapping[str, Any]) -> int:
    """How many things a score sheet's protocol says were held out: texts, or pieces where texts are long."""
    return max(protocol.get("held_out_texts", 0), protocol.get("held_out_tokens", 0) // PIECE_TOKENS)


def affordable_tokens(model: Model, most: int) -> int:
    """How many held-out tokens bits are counted on: at most `most`, fewer for a large model."""
    parameters = sum(parameter.numel() for parameter in model.family.modules["model"].parameters())
    return int(min(most, _MOST_FLOPS / (2 * parameters)))


def held_out_bits(model: Model, store: ExampleStore, seed: int) -> Score | None:
    """Bits per byte of the examples of a store (evenly chosen ones where there are very many), counting the tokens that the loss
    counts; the interval is by `block_edges`. None where nothing counts."""
    lengths = store.lengths("tokens")
    every = max(-(-int(lengths.sum()) // affordable_tokens(model, _MOST_TOKENS)), 1)
    examples = [store[i] for i in range(0, len(store), every) if lengths[i]]
    if not examples:
        return None
    tokens = [np.asarray(example["tokens"]) for example in examples]
    stream = np.concatenate(tokens)
    counts = np.concatenate([example.get("weight", np.ones(len(t), np.uint8)) for example, t in zip(examples, tokens, strict=True)])  # fmt: skip
    byte_counts = model.facts.byte_lengths[stream] * (counts > 0)
    if not byte_counts.sum():
        return None
    nats = np.concatenate(document_nats(model.family, tokens, model.facts.end_token, model.device))  # type: ignore[arg-type]
    edges = block_edges(len(stream))
    return bits_per_byte(np.add.reduceat(nats * (counts > 0), edges), np.add.reduceat(byte_counts, edges), seed=seed)
