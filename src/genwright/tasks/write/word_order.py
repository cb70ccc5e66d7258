"""Whether the order of words means anything: what held-out text costs more with the words of each line shuffled.

Where neither the model nor an n-gram finds any order, the data has none that could be learned: what both know is how often words occur.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genwright.metrics.ngrams import KneserNey
from genwright.metrics.text import bits_per_byte, shuffled_words, words_in_lines
from genwright.model import Model
from genwright.scores import Metric, Score
from genwright.seeds import stream
from genwright.tasks.text.held_out import affordable_tokens
from genwright.tasks.text.nats import document_nats
from genwright.tasks.write.held_out import HeldOut
from genwright.tokens.tokenizer import Tokenizer

METRIC = Metric(
    name="word_order",
    title="cost of shuffled words",
    better="none",
    unit="bits",
    description="How many bits a byte held-out text costs more when the words of each of its lines are shuffled: about 0 means that the "
    "order of words tells nothing, because it was not learned or because the data has none.",
)
_PIECE_TOKENS = 256
MOST_TOKENS = 25_000
_LEAST_IN_LINES = 0.5
"""Share of the words that must stand in lines of several; a list of names has no order of words to ask about."""


def word_order(model: Model, held_out: HeldOut, baseline: KneserNey, most: int, seed: int) -> dict[str, Score]:
    """By row, "baseline" and "model", on at most so many tokens; the interval is a bootstrap over pieces of 256 tokens. {} where lines are too short to have an
    order."""
    facts: Tokenizer = model.facts
    texts = _pieces(held_out, facts, affordable_tokens(model, most))
    if words_in_lines("\n".join(texts)) < _LEAST_IN_LINES:
        return {}
    rng = stream(seed, "scores", "word order")
    shuffled = [shuffled_words(text, rng) for text in texts]
    sizes = np.array([len(text.encode("utf-8", "replace")) for text in texts])

    def more(costs: Sequence[np.ndarray]) -> Score:
        totals = np.array([nats.sum() for nats in costs])
        return bits_per_byte(totals[len(texts) :] - totals[: len(texts)], sizes, seed=seed)

    documents = [facts.encode(text) for text in (*texts, *shuffled)]
    of_model = document_nats(model.family, documents, facts.end_token, model.device, "held-out text, words shuffled")  # type: ignore[arg-type]
    of_baseline = [-baseline.log_probabilities(np.concatenate([[facts.end_token], d]))[1:] for d in documents]
    return {"baseline": more(of_baseline), "model": more(of_model)}


def _pieces(held_out: HeldOut, facts: Tokenizer, most: int) -> list[str]:
    """Pieces of held-out documents without their headers, evenly taken."""
    texts = [tokens[document.get("field", np.zeros(len(tokens))) == 0] for tokens, document in zip(held_out.tokens, held_out.documents, strict=True)]  # fmt: skip
    pieces = [text[start : start + _PIECE_TOKENS] for text in texts for start in range(0, len(text), _PIECE_TOKENS)]
    every = max(-(-len(pieces) * _PIECE_TOKENS // most), 1)
    return [text for piece in pieces[::every] if (text := facts.decode(piece[piece != facts.end_token])).strip()]
