"""New and old examples mixed: the shares, each example once a pass, a function of the position alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from genwright.families.base import Batch
from genwright.training.mixture import Mixed, Mixture, fair_share, share_for


class Numbers:
    """Counts from `first` up; its rows may have a mask, which others leave out."""

    def __init__(self, first: int, count: int, mask: bool = False):
        self.first, self.pass_examples, self.mask = first, count, mask

    def batch(self, position: int, size: int) -> Batch:
        return self.stack(self.examples(position, size))

    def examples(self, position: int, size: int) -> list[Any]:
        return [(self.first + (position + i) % self.pass_examples, self.mask) for i in range(size)]

    def stack(self, examples: list[Any]) -> Batch:
        batch: Batch = {"tokens": torch.tensor([[number] * 3 for number, _ in examples])}
        masks = torch.tensor([[0.5 if mask else 1.0] * 2 for _, mask in examples])
        return batch | {"mask": masks} if any(mask for _, mask in examples) else batch


def mixture(share: float, start: int = 100) -> Mixture:
    return Mixture(data="b", former="a", start=start, share=share, fair=0.1, new=10)


def drawn(mixed: Mixed, sizes: list[int], start: int) -> list[int]:
    found: list[int] = []
    for size in sizes:
        found += sorted(mixed.batch(start, size)["tokens"][:, 0].tolist())
        start += size
    return found


def test_the_share_of_new_examples_is_what_the_mixture_says() -> None:
    mixed = Mixed(Numbers(0, 1000), Numbers(5000, 10), mixture(0.3))
    numbers = drawn(mixed, [10] * 50, 100)
    new = [number for number in numbers if number >= 5000]
    assert len(new) == 150
    assert [new.count(5000 + i) for i in range(10)] == [15] * 10
    # Old ones go on where the training had come to, each once.
    assert sorted(number for number in numbers if number < 5000) == list(range(100, 450))
    assert mixed.pass_examples == 1010


def test_it_is_a_function_of_the_position_alone() -> None:
    mixed = Mixed(Numbers(0, 1000), Numbers(5000, 10), mixture(0.37))
    assert sorted(drawn(mixed, [1] * 64, 123)) == sorted(drawn(mixed, [32, 7, 25], 123))
    assert torch.equal(mixed.batch(300, 16)["tokens"], Mixed(Numbers(0, 1000), Numbers(5000, 10), mixture(0.37)).batch(300, 16)["tokens"])  # fmt: skip


def test_before_its_start_everything_is_old() -> None:
    mixed = Mixed(Numbers(0, 1000), Numbers(5000, 10), mixture(0.5))
    assert drawn(mixed, [60], 30)[:70] == list(range(30, 90))


def test_both_are_stacked_together() -> None:
    """What is padded to the longest, or left out where it is the same everywhere, would not fit side by side."""
    batch = Mixed(Numbers(0, 1000), Numbers(5000, 10, mask=True), mixture(0.25)).batch(100, 8)
    assert batch["mask"].shape == (8, 2)
    assert batch["mask"][:, 0].tolist() == [1.0] * 6 + [0.5] * 2


@pytest.mark.parametrize(("old", "new", "before", "to_draw"), [(900, 100, 5000, 5000), (990, 10, 3000, 9000)])
def test_new_examples_end_up_seen_as_often_as_old_ones(old: int, new: int, before: int, to_draw: int) -> None:
    share = share_for(fair_share(old, new), before, to_draw)
    assert share * to_draw / new == pytest.approx((before + (1 - share) * to_draw) / old)


def test_no_more_than_half_is_new_unless_most_of_the_data_is() -> None:
    assert share_for(0.2, 10**6, 1000) == 0.5
    assert share_for(0.7, 10**6, 1000) == 0.7
    assert "2 times as often as its share of the data (25.0%)" in mixture(0.5).model_copy(update={"fair": 0.25}).text()
