"""Pairs of answers, one preferred: as examples, as batches, and as a score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch

from genwright.families.base import Batch, Family
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.preference import Preference
from genwright.ledger import Drop
from genwright.metrics.text import share
from genwright.model import Model
from genwright.scores import Metric, Score, ScoreSheet
from genwright.shards import Example, ExampleStore
from genwright.tasks.base import BaseTask, Part, ShuffledBatches
from genwright.tasks.chat.formats import Dialogue
from genwright.tasks.chat.turns import fit
from genwright.tokens.chat_template import ChatTemplate
from genwright.tokens.tokenizer import Tokenizer

MOST_PAIRS = 500
_ROUND = 64
"""Rows are padded to a multiple of this, so that there are few shapes."""
_PAIRS_AT_ONCE = {"cuda": 16}
"""Pairs that are scored at once by kind of device; elsewhere one, since a processor would only have the padding to read."""

METRIC = Metric(
    name="preferred",
    title="preferred answer likelier",
    better="higher",
    description="Share of held-out pairs in which the preferred answer is likelier than the other one, token for token in sum.",
)


def encode_pair(dialogue: Dialogue, template: ChatTemplate, facts: Tokenizer, context: int) -> Iterator[Example | Drop]:
    """A pair as one example: "tokens" and "weight" of the preferred answer behind its prompt, "rejected" and "rejected_weight" of the
    other one. The prompt loses its oldest exchanges where it is too long; a pair whose answers do not fit is left out.

    Raises RefusedError where the template can't write it.
    """
    longest = max(len(facts.encode(said[0]["content"])) for said in (dialogue.chosen, dialogue.rejected))
    _, prompt, _ = fit(dialogue.messages, template, facts, max(context - longest - _ROUND // 4, 1))
    sides = []
    for said in (dialogue.chosen, dialogue.rejected):
        sides.append(template.encode_last([*prompt, *said], facts))
    if all(len(tokens) <= context for tokens, _ in sides):
        (chosen, chosen_weight), (rejected, rejected_weight) = sides
        yield {
            "tokens": chosen,
            "weight": chosen_weight,
            "rejected": rejected,
            "rejected_weight": rejected_weight,
        }
    else:
        longest = max(len(tokens) for tokens, _ in sides)
        yield Drop("too_large", f"a pair of {longest:,} tokens, where {context:,} are read; raise `model.context`")


def collate(examples: list[Example], end_token: int) -> Batch:
    """ "tokens" int64[2B, T+1] and "mask" float32[2B, T]: preferred and rejected answers in turn."""
    rows = [side for e in examples for side in ((e["tokens"], e["weight"]), (e["rejected"], e["rejected_weight"]))]
    length = -(-max(len(tokens) for tokens, _ in rows) // _ROUND) * _ROUND
    tokens = np.full((len(rows), length + 1), end_token, dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.float32)
    for row, (values, weight) in enumerate(rows):
        tokens[row, : len(values)] = values
        mask[row, : len(values) - 1] = weight[1:]
    return {"tokens": torch.from_numpy(tokens), "mask": torch.from_numpy(mask)}


class Pairs(ShuffledBatches):
    """`Batches` of pairs, in an order of its own each pass."""

    def __init__(self, task: BaseTask, store: ExampleStore, seed: int, part: str, end_token: int):
        super().__init__(task, store, seed, part, augment=False)
        self.end_token = end_token

    def stack(self, examples: list[Example]) -> Batch:
        return collate(examples, self.end_token)


def preferring(part: Part, beta: float) -> Part:
    """A part that learns preferences: the same weights, with what they are at the start as the reference."""

    def initial(family: Family) -> None:
        if part.initial is not None:
            part.initial(family)
        if isinstance(family, Preference):
            family.freeze_reference()

    def build(trained: Mapping[str, Family]) -> Family:
        family = part.build(trained)
        assert isinstance(family, Transformer)
        return Preference.of(family, beta)

    return replace(part, build=build, initial=initial)


def extend(
    sheet: ScoreSheet, model: Model, before: Transformer | None, store: ExampleStore, most: int, seed: int
) -> None:
    """Add to the score sheet how often the preferred answer is the likelier one of at most so many pairs, before and after."""
    sheet.metrics.insert(0, METRIC)
    for row in sheet.rows:
        family = {"before": before, "model": model.family}.get(row.name)
        if isinstance(family, Transformer):
            row.scores[METRIC.name] = preferred(model, family, store, seed, most)


@torch.inference_mode()
def preferred(model: Model, family: Transformer, store: ExampleStore, seed: int, most: int = MOST_PAIRS) -> Score:
    """How often the preferred answer is the likelier one, with a bootstrap over pairs."""
    hits = []
    every = max(-(-len(store) // most), 1)
    at_once = _PAIRS_AT_ONCE.get(model.device.type, 1)
    asked = range(0, len(store), every)
    for first in range(0, len(asked), at_once):
        batch = collate([store[index] for index in asked[first : first + at_once]], model.facts.end_token)
        nats = family.nats(batch["tokens"].to(model.device)).cpu() * batch["mask"]
        hits += [float(chosen < rejected) for chosen, rejected in nats.sum(dim=1).view(-1, 2).tolist()]
    return share(np.array(hits), np.ones(len(hits)), seed=seed)
