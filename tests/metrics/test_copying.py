"""Copies that were planted are found, whole, and nothing else is."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.metrics import copying
from genwright.metrics.copying import Copy, copied_windows, longest_copy
from helpers import ASSETS

TRAINING = (ASSETS / "text" / "sonnets.txt").read_text(encoding="utf-8")


def longest_by_brute_force(texts: list[str], training: str) -> int:
    return max(
        (
            stop - start
            for t in texts
            for start in range(len(t))
            for stop in range(start + 1, len(t) + 1)
            if t[start:stop] in training
        ),
        default=0,
    )


@given(
    texts=st.lists(st.text("ab漢", max_size=12), max_size=4),
    training=st.text("ab漢", max_size=30),
)
@settings(max_examples=300, deadline=None)
def test_longest_copy_against_brute_force(texts, training):
    copy = longest_copy(texts, training)
    assert copy.length == longest_by_brute_force(texts, training)
    if copy.length:
        run = texts[copy.text][copy.start : copy.start + copy.length]
        assert training[copy.source : copy.source + copy.length] == run


@given(texts=st.lists(st.text("ab🦊", max_size=15), max_size=4), training=st.text("ab🦊", max_size=40))
@settings(max_examples=300, deadline=None)
def test_copied_windows_against_brute_force(texts, training):
    hits, totals = copied_windows(texts, training, window=3)
    for text, hit, total in zip(texts, hits, totals, strict=True):
        windows = [text[i : i + 3] for i in range(len(text) - 2)]
        assert (hit, total) == (sum(w in training for w in windows), len(windows))


def test_a_planted_copy_is_found_in_real_text():
    noise = "".join(random.Random(0).choices("qxzjkv ", k=4000))
    planted = TRAINING[40_000:40_137]
    copy = longest_copy(["nothing here", noise[:1000] + planted + noise[1000:]], TRAINING)
    assert copy == Copy(137, 1, 1000, 40_000)
    hits, totals = copied_windows(["nothing here", noise[:1000] + planted + noise[1000:]], TRAINING)
    assert hits.tolist() == [0, 137 - 49]
    assert totals.tolist() == [0, 4137 - 49]


def test_copies_across_the_pieces_of_a_long_training_text(monkeypatch):
    monkeypatch.setattr(copying, "_PIECE", 1000)
    planted = TRAINING[1950:2050]
    assert longest_copy([planted], TRAINING).length == 100
    assert copied_windows([planted], TRAINING)[0].tolist() == [51]


def test_hashes_that_agree_by_accident_are_not_believed(monkeypatch):
    monkeypatch.setattr(copying, "_mix", lambda values: np.zeros(len(values), np.uint64))
    assert copied_windows(["abc"], "xyz", window=3)[0].tolist() == [0]


def test_no_copy_and_no_text():
    assert longest_copy(["漢字"], "abc").length == 0
    assert longest_copy([], "abc").length == 0
    assert longest_copy([""], "").length == 0
    assert copied_windows([], "abc")[0].tolist() == []


def test_real_text_copies_itself():
    hits, totals = copied_windows([TRAINING[:5000]], TRAINING)
    assert hits[0] == totals[0] == pytest.approx(4951)
