"""Packing: every token predicted once, no document beside another's tokens, a pure function of the position."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.tasks.packing import Packed, cut, pack

END = 0


class Texts:
    """Documents in memory; the tokens of all of them are different, so that a token tells where it comes from."""

    def __init__(self, lengths: list[int], ends: bool = True, weight: bool = False):
        starts = np.cumsum([1, *lengths])
        self.documents = [
            {"tokens": np.append(np.arange(a, b - 1), END) if ends and b > a else np.arange(a, b)}
            for a, b in pairwise(starts)
        ]
        for document in self.documents if weight else []:
            document["weight"] = (document["tokens"] % 2).astype(np.uint8)

    def lengths(self, name):
        return np.array([len(d[name]) for d in self.documents])

    def last(self, name):
        return np.array([d[name][-1] if len(d[name]) else 0 for d in self.documents])

    def __len__(self):
        return len(self.documents)

    def __getitem__(self, index):
        return self.documents[index]

    def document_of(self, token: int) -> int:
        return next(i for i, d in enumerate(self.documents) if token in d["tokens"])


def predictions(batch: dict) -> list[tuple[int, int, int]]:
    """(row and segment, token read, token predicted) wherever it counts."""
    read, target = batch["tokens"][:, :-1], batch["tokens"][:, 1:]
    mask = batch.get("mask", torch.ones_like(read))
    segments = batch.get("segments", torch.zeros_like(read))
    return [
        (1000 * row + int(segments[row, t]), int(read[row, t]), int(target[row, t]))
        for row, t in mask.nonzero().tolist()
    ]


lengths = st.lists(st.integers(0, 60), min_size=1, max_size=25).filter(any)


@given(lengths=lengths, context=st.integers(2, 40), ends=st.booleans(), training=st.booleans(), seed=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_each_token_is_predicted_once_from_the_one_before_it(lengths, context, ends, training, seed):
    texts = Texts(lengths, ends)
    packed = Packed(texts, context, END, seed, "model", training)
    found = predictions(packed.batch(0, packed.pass_examples))
    predicted = [target for _, _, target in found if target != END]
    wanted = [int(t) for d in texts.documents for t in d["tokens"] if t != END]
    assert len(set(predicted)) == len(predicted) and set(predicted) <= set(wanted)
    if not packed.plain:
        assert sorted(predicted) == sorted(wanted)
        assert sum(target == END for _, _, target in found) == sum(1 for n in lengths if n) * ends
    assert all(target in (read + 1, END) or read == END for _, read, target in found)


@given(lengths=lengths, context=st.integers(2, 40), ends=st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_segment_holds_tokens_of_two_documents(lengths, context, ends):
    texts = Texts(lengths, ends)
    packed = Packed(texts, context, END, 0, "model", training=True)
    owners: dict[int, set[int]] = {}
    for segment, read, target in predictions(packed.batch(0, packed.pass_examples)):
        for token in (read, target):
            if token != END:
                owners.setdefault(segment, set()).add(texts.document_of(token))
    assert all(len(documents) == 1 for documents in owners.values())


def test_rows_are_almost_full():
    lengths = np.random.default_rng(0).lognormal(4, 1, 5000).astype(int) + 2
    rows = pack(cut(lengths, np.ones(len(lengths), bool), 256), 256)
    assert lengths.sum() / (256 * len(rows)) > 0.99


def test_one_long_text_makes_plain_batches():
    packed = Packed(Texts([5000]), 20, END, 0, "model", training=True)
    assert packed.batch(0, 3).keys() == {"tokens"}
    assert packed.pass_examples > 240
    assert Packed(Texts([5000], weight=True), 20, END, 0, "model", training=True).batch(0, 3).keys() == {
        "tokens",
        "mask",
        "segments",
    }


def test_weights_say_what_counts():
    packed = Packed(Texts([7, 9, 30], weight=True), 12, END, 0, "model", training=True)
    assert all(target % 2 == 1 for _, _, target in predictions(packed.batch(0, packed.pass_examples)))


def test_batches_are_a_pure_function_of_the_position():
    texts = Texts([5, 80, 9, 13, 200, 7, 7])
    one, other = (Packed(texts, 16, END, 1, "model", training=True) for _ in range(2))
    whole = one.batch(0, 70)
    later = other.batch(40, 30)
    assert all(torch.equal(whole[name][40:], later[name]) for name in whole)
    assert torch.equal(other.batch(0, 7)["tokens"], whole["tokens"][:7])
    assert not torch.equal(whole["tokens"], Packed(texts, 16, END, 2, "model", training=True).batch(0, 70)["tokens"])


def test_the_first_held_out_rows_come_from_all_of_the_text():
    packed = Packed(Texts([1000], ends=False), 10, END, 0, "model", training=False)
    starts = packed.batch(0, 5)["tokens"][:, 0].sort().values
    assert ((starts[1:] - starts[:-1]) > 100).all() and starts[-1] > 600


def test_an_augmented_piece_may_grow_and_still_fits():
    def marked(example, rng):
        assert len(example["tokens"]) <= 14
        return {"tokens": np.append([999, 998], example["tokens"])}

    packed = Packed(Texts([40, 14, 3]), 16, END, 0, "model", training=True, augment=marked, growth=2)
    batch = packed.batch(0, packed.pass_examples)
    assert (batch["tokens"] == 999).sum() == (batch["tokens"] == 998).sum() >= 5
    assert {t for _, _, t in predictions(batch)} >= set(range(1, 40))


def test_a_packed_document_costs_what_it_costs_alone():
    torch.manual_seed(0)
    config = DecoderConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=24,
        initializer_range=0.3,
    )
    network = Decoder(config).eval()
    texts = Texts([5, 6, 7, 4])
    batch = Packed(texts, 24, END, 0, "model", training=False).batch(0, 1)
    with torch.inference_mode():
        logits = network(batch["tokens"][:, :-1], segment_BT=batch["segments"])
        nats = torch.nn.functional.cross_entropy(logits[0], batch["tokens"][0, 1:], reduction="none")
        packed = float((nats * batch["mask"][0]).sum())
        alone = 0.0
        for document in texts.documents:
            row = torch.from_numpy(np.append([END], document["tokens"]))
            alone += float(torch.nn.functional.cross_entropy(network(row[None, :-1])[0], row[1:], reduction="sum"))
    assert packed == pytest.approx(alone, rel=1e-5)


def test_plain_rows_stand_in_one_batch_with_others() -> None:
    plain = Packed(Texts([5000]), 20, END, 0, "model", training=True)
    other = Packed(Texts([7, 9, 30], weight=True), 20, END, 0, "model", training=True)
    both = plain.stack(plain.examples(0, 2) + other.examples(0, 1))
    assert both["tokens"].shape == (3, 21)
    assert both["mask"][:2].eq(1).all() and torch.equal(both["mask"][2], other.batch(0, 1)["mask"][0])
    assert both["segments"][:2].eq(0).all() and torch.equal(both["segments"][2], other.batch(0, 1)["segments"][0])


def test_parts_of_one_model_see_their_data_in_orders_of_their_own() -> None:
    texts = Texts([40] * 30)
    one, other = (Packed(texts, 16, END, 1, part, training=True).batch(0, 30)["tokens"] for part in ("codec", "prior"))
    assert not torch.equal(one, other)
