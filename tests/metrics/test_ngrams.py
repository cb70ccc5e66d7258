"""The 5-gram baseline: probabilities add up, and agree with numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.metrics.ngrams import KneserNey


def brute_force(
    tokens: list[int], vocabulary: int, order: int, discounts: list[np.ndarray], context: list[int], token: int
):
    """Interpolated Kneser-Ney straight from its definition, with dictionaries; discounts taken from the model."""
    grams = [{} for _ in range(order + 1)]
    for n in range(1, order + 1):
        for i in range(len(tokens) - n + 1):
            gram = tuple(tokens[i : i + n])
            grams[n][gram] = grams[n].get(gram, 0) + 1

    def count(gram: tuple[int, ...]) -> int:
        n = len(gram)
        return grams[n].get(gram, 0) if n == order else sum(longer[1:] == gram for longer in grams[n + 1])

    def probability(n: int) -> float:
        if n == 0:
            return 1 / vocabulary
        before = tuple(context[len(context) - n + 1 :]) if n > 1 else ()
        if len(before) < n - 1:
            return probability(n - 1)
        followers = {w: count((*before, w)) for w in range(vocabulary)}
        total = sum(followers.values())
        if total == 0:
            return probability(n - 1)
        off = {w: discounts[n - 1][min(c, 3)] for w, c in followers.items()}
        return (followers[token] - off[token]) / total + sum(off.values()) / total * probability(n - 1)

    return probability(min(order, len(context) + 1))


def test_against_the_definition():
    rng = np.random.default_rng(0)
    tokens = rng.integers(4, size=60) * rng.integers(2, size=60)
    model = KneserNey(tokens, 5, order=3)
    from genwright.metrics.ngrams import _discounts

    discounts = [_discounts(grams.counts) for grams in model._orders]
    test = rng.integers(5, size=40)
    found = np.exp(model.log_probabilities(test))
    for i in range(len(test)):
        expected = brute_force(tokens.tolist(), 5, 3, discounts, test[max(i - 2, 0) : i].tolist(), int(test[i]))
        assert found[i] == pytest.approx(expected)


def test_a_bigram_by_hand():
    # a b a b a c: bigrams ab 2, ba 2, ac 1. Continuation counts: a (after b) 1, b (after a) 1, c (after a) 1.
    model = KneserNey(np.array([0, 1, 0, 1, 0, 2]), 3, order=2)
    # Bigrams: n1 = 1, n2 = 2, so Y = 1/5, D1 = 1 - 2 * 1/5 * 2 = 0.2, D2 = 2 - 3 * 1/5 * 0 = 2, kept at 0.95 * 2 = 1.9.
    # Unigrams: all counts are 1, so Y = 1 and D1 = 1, kept at 0.95; each has 0.05 / 3 of its own and 0.95 of the uniform.
    unigram = 0.05 / 3 + 0.95 / 3
    after_a = {1: (2 - 1.9) / 3, 2: (1 - 0.2) / 3, 0: 0.0}
    for token, mass in after_a.items():
        expected = mass + (1.9 + 0.2) / 3 * unigram
        assert np.exp(model.log_probabilities(np.array([0, token])))[1] == pytest.approx(expected)


@given(
    tokens=st.lists(st.integers(0, 6), min_size=5, max_size=80),
    context=st.lists(st.integers(0, 6), max_size=6),
)
@settings(max_examples=150, deadline=None)
def test_probabilities_add_up_to_one_after_any_context(tokens, context):
    model = KneserNey(np.array(tokens), 7, order=5)
    distribution = model.distribution(np.array(context, dtype=np.int64))
    assert distribution.sum() == pytest.approx(1)
    assert (distribution > 0).all()
    if context:
        scored = [model.log_probabilities(np.array([*context, token]))[-1] for token in range(7)]
        assert np.exp(scored) == pytest.approx(distribution)


def test_a_text_it_knows_costs_little_and_noise_costs_much():
    text = np.tile(np.arange(10), 100)
    model = KneserNey(text, 10)
    noise = np.random.default_rng(0).integers(10, size=200)
    assert -model.log_probabilities(text[:200]).mean() < 0.1
    assert -model.log_probabilities(noise).mean() > 2


def test_generated_tokens_follow_the_distribution():
    tokens = np.random.default_rng(1).integers(6, size=500) // 2
    model = KneserNey(tokens, 4, order=3)
    prompt = np.array([1, 2])
    drawn = model.generate([prompt] * 20_000, 1, seed=0)[:, 0]
    assert np.bincount(drawn, minlength=4) / 20_000 == pytest.approx(model.distribution(prompt), abs=0.015)


def test_the_same_seed_draws_the_same():
    model = KneserNey(np.random.default_rng(1).integers(6, size=500), 6)
    first, again, other = (model.generate([np.array([1])], 50, seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_too_little_text_is_refused():
    with pytest.raises(ValueError, match="too few"):
        KneserNey(np.array([1, 2]), 5)
