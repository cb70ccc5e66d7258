"""What intervals of held-out text are drawn over: texts, not tokens; pieces of them are said to be pieces."""

from __future__ import annotations

import numpy as np

from genwright.ledger import Item
from genwright.metrics.text import bits_per_byte
from genwright.tasks.text.units import PIECE_TOKENS, unit_edges, units_told


def test_of_enough_texts_each_is_one_unit_however_long():
    ids = [f"text {n}" for n in range(20)]
    assert unit_edges(ids, [5000] * 20).tolist() == list(range(0, 100_000, 5000))
    # Several examples of one text are one unit, and what has no token is none.
    assert unit_edges([*ids, "text 19", "text 20"], [10] * 21 + [0]).tolist() == list(range(0, 200, 10))
    assert units_told(ids, {name: Item(name, "s", name) for name in ids}, 20) == "20 texts"


def test_of_few_texts_pieces_are_drawn_and_none_crosses_a_text():
    edges = unit_edges(["a", "b"], [2 * PIECE_TOKENS + 1, 500])
    assert edges.tolist() == [0, PIECE_TOKENS, 2 * PIECE_TOKENS, 2 * PIECE_TOKENS + 1]
    assert "4 pieces of at most 1,000 tokens of 2 texts" in (said := units_told(["a", "b"], {}, 4))
    assert "says nothing of other texts" in said
    assert unit_edges([], []).tolist() == unit_edges(["a"], [0]).tolist() == []


def test_blocks_of_texts_are_said_to_be_blocks():
    items = {f"b{n}": Item(f"b{n}", "s", f"b{n}", parent=f"text {n % 3}") for n in range(30)}
    assert len(unit_edges(list(items), [300] * 30)) == 30
    assert units_told(list(items), items, 30) == "30 blocks of 3 texts, other parts of which were learnt from"


def test_one_odd_text_among_many_widens_the_interval():
    """By tokens it would be narrow: each text has very many, and they are alike."""
    nats, sizes = np.full((25, 5000), 1.0), np.ones(125_000)
    nats[0] = 6.0
    ids = [f"text {n}" for n in range(25)]
    edges = unit_edges(ids, [5000] * 25)
    by_text = bits_per_byte(np.add.reduceat(nats.ravel(), edges), np.add.reduceat(sizes, edges))
    by_token = bits_per_byte(nats.ravel()[::50], sizes[::50])
    assert by_text.n == 25 and by_token.value == by_text.value
    assert by_text.high - by_text.low > 5 * (by_token.high - by_token.low)  # type: ignore[operator]
