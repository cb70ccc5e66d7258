"""How much is held out: the task's shares of all items, and more of them where these would be too few to score by.

A score of fewer than 20 independent things says little, so the split that scores are measured on gets 20 where a third of all can
give them, and the one that choices are made on half as many. Of many items each goes where its hash says; of few they are dealt
out in the order of their hashes, so that chance can't leave a split with one.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping

from genwright.scores import ENOUGH

_MOST_SCORED, _MOST_CHOSEN = 3, 12
"""One in so many may be held out to have enough to score by, or to choose by."""


def share_of(group: str) -> float:
    """A number in [0, 1) that stands for a group, uniform and always the same."""
    return int.from_bytes(hashlib.sha256(f"split {group}".encode("utf-8", "surrogateescape")).digest()[:7]) / 2**56


def by_share(place: float, shares: Mapping[str, float]) -> str:
    """The split that a number in [0, 1) falls into."""
    total = 0.0
    for split, share in shares.items():
        total += share
        if place < total:
            return split
    return list(shares)[-1]


def scored_split(shares: Mapping[str, float]) -> str:
    """The split that scores are measured on; "" where nothing is held out."""
    splits = [split for split, share in list(shares.items())[1:] if share > 0]
    return "test" if "test" in splits else splits[-1] if splits else ""


def held_out(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """How many of `count` items go to each split but the first, which is learnt from."""
    splits = [split for split, share in list(shares.items())[1:] if share > 0]
    scored = scored_split(shares)
    least = {s: min(ENOUGH, count // _MOST_SCORED) if s == scored else min(ENOUGH // 2, count // _MOST_CHOSEN) for s in splits}  # fmt: skip
    return {split: max(round(shares[split] * count), least[split]) for split in splits}


def are_few(count: int, shares: Mapping[str, float]) -> bool:
    """Whether chance could leave one of the splits with too few of `count` items."""
    return any(share * count < 2 * ENOUGH for share in list(shares.values())[1:] if share > 0)


def shares_of(count: int, shares: Mapping[str, float]) -> dict[str, float]:
    """The shares by which `count` items are split."""
    if not count or not are_few(count, shares):
        return dict(shares)
    out = {split: number / count for split, number in held_out(count, shares).items()}
    first = next(iter(shares))
    return {split: 1 - sum(out.values()) if split == first else out.get(split, 0.0) for split in shares}


def deal(sizes: Mapping[str, int], have: Mapping[str, int], shares: Mapping[str, float]) -> dict[str, str]:
    """The split of each new group, given how many items it has, and how many items each split has already."""
    count, before = sum(sizes.values()), sum(have.values())
    wanted = held_out(count + before, shares)
    missing = {split: number - have.get(split, 0) for split, number in wanted.items()}
    later = before and (count < _MOST_SCORED or max(missing.values(), default=0) <= 0)
    if later or not are_few(count + before, shares):
        return {group: by_share(share_of(group), shares) for group in sizes}
    # Data that comes later is learnt from as well: no more of it than of a whole of its size makes up for what is missing.
    most = held_out(count, shares)
    room = {split: max(min(missing[split], most[split]), round(shares[split] * count)) for split in most}
    waiting = sorted(sizes, key=share_of, reverse=True)
    found: dict[str, str] = {}
    for split in reversed(list(room)):
        for group in waiting:
            if group not in found and sizes[group] <= room[split]:
                found[group] = split
                room[split] -= sizes[group]
    first = next(iter(shares))
    return {group: found.get(group, first) for group in sizes}


def fill_empty(counts: Counter[str], new: dict[str, str], shares: Mapping[str, float]) -> dict[str, str]:
    """A split that is left empty takes the new group that comes first by hash from the fullest one."""
    groups, first = dict(new), next(iter(shares))
    for split in (name for name, share in shares.items() if share > 0):
        if counts[split]:
            continue
        giver = max(shares, key=lambda name: sum(s == name for s in groups.values()))
        offered = [group for group, its in groups.items() if its == giver]
        # What there is one of is learnt from.
        if len(offered) < (2 if counts[first] else 1):
            continue
        chosen = min(offered, key=lambda group: share_of(f"{split} {group}"))
        groups[chosen] = split
        counts[split] += 1
    return groups
