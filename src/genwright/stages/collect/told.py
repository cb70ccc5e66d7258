"""What collect says of the split where it is another than people expect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from genwright.console import count, say
from genwright.files import printable
from genwright.ledger import Item
from genwright.scores import ENOUGH
from genwright.stages.collect.shares import are_few, scored_split


def held_out(leaves: Sequence[Item], shares: Mapping[str, float]) -> None:
    """How much is held out where there is little, and whether that is enough to score by."""
    held = [leaf for leaf in leaves if leaf.split != next(iter(shares))]
    if not leaves or not are_few(len(leaves), shares):
        return
    if not held:
        one = len({leaf.group for leaf in leaves}) == 1
        why = ", because they are one group" if one and len(leaves) > 1 else ""
        say(f"split: nothing is held out{why}, so no score can be measured.")
        return
    sizes = [sum(leaf.characters or 1 for leaf in some) for some in (held, leaves)]
    cut = len({leaf.parent for leaf in held if leaf.parent is not None})
    what = count(len(held), "block" if cut else "item") + (f" of {count(cut, 'text')}" if cut else "")
    scored = sum(leaf.split == scored_split(shares) for leaf in held)
    said = f"split: {what} {'is' if len(held) == 1 else 'are'} held out, {sizes[0] / sizes[1]:.0%} of all"
    judging = sum(leaf.split == "judge" for leaf in held)
    if others := len(held) - scored - judging:
        said += f": {scored:,} to score by and {others:,} to choose the best weights by"
        said += f", and {judging:,} that a judge of the scores learns from" if judging else ""
    few = f"scores of fewer than {ENOUGH} say little"
    say(
        f"{said}; {few}, so of more data the share is smaller."
        if scored >= ENOUGH
        else f"{said}; {few}, and more data helps."
    )


def parted(kinds: int, of: int, bound: float) -> None:
    why = f"there are fewer than {bound} kinds" if bound > 1 else f"each has more than {bound:.0%} of them"
    say(
        f"split: items that ask for the same (a caption, a question) stand on both sides of the split for {kinds:,} of "
        f"{of:,} kinds, because {why}; so scores are about things that the model has seen others of."
    )


def cut_apart(texts: int) -> None:
    say(
        f"split: {texts:,} texts that belong together are more than a tenth of all, too many to hold out as one, so they are cut into "
        "blocks like others; scores are about texts that the model has read like ones of."
    )


def all_learnt(kinds: Sequence[str]) -> None:
    shown = ", ".join(map(printable, sorted(kinds)[:5])) + (", ..." if len(kinds) > 5 else "")
    say(f"split: too few to hold any of them out, so they are all learned from and none is scored: {shown}.")
