"""The split: which items are learnt from, which choices are made on, which scores are measured on. Decided once a group.

Groups go to splits by their hash, so the decision depends on nothing but the group; where there are few, they are dealt out so that
there is enough to score by (shares.py). Of few texts (`task.cut_below`) those that can be divided are, into contiguous blocks that
are groups of their own, and items that only ask for the same thing (a caption, a question) are dealt out one by one, as those of a
group that is too large are. What was once decided is recorded and stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from genwright.errors import RequestError
from genwright.ledger import Item, item_id
from genwright.media.base import is_textual
from genwright.stages.collect import told
from genwright.stages.collect.record import SplitRecord
from genwright.stages.collect.shares import by_share, deal, fill_empty, share_of, shares_of

if TYPE_CHECKING:
    from genwright.tasks.base import BaseTask

FEW_KINDS = 20
"""With fewer groups of items that ask for the same thing, each group is learnt from and held out."""
LARGE_GROUP = 0.1
"""A group with more than this share of all items can't be held out whole."""


def assign(items: Sequence[Item], task: BaseTask, rule: str, record: Path) -> list[Item]:
    """Give every kept item its group and split; items that are divided get child rows behind them. Returns all rows."""
    kept = [item for item in items if item.kept]
    before = SplitRecord.of(record, rule, _shares(kept, task, rule))
    for item, group in zip(kept, task.group_keys(kept, before.splits), strict=True):
        item.group = group
    if rule.startswith("tail"):
        if not is_textual(task.medium):
            raise RequestError(f"`data.split: {rule}` holds out the end of a text; for `{task.name}` use `hash`.")
        divided = _tail(kept, int(rule.removeprefix("tail ").rstrip("%")), task, before)
    else:
        divided = _split(kept, task, before)
    rows = [row for item in items for row in (item, *divided.get(item.id, ()))]
    leaves = [row for row in rows if row.kept and row.split]
    if not before.splits:
        told.held_out(leaves, before.shares)
    before.add(leaves, {item.id: str(item.sha256) for item in kept})
    before.write(record)
    return rows


def _shares(kept: Sequence[Item], task: BaseTask, rule: str) -> list[dict[str, float]]:
    """The shares that a new run goes by, and behind them those that an earlier one may have gone by: it keeps them."""
    plain = dict(task.split_shares)
    if rule.startswith("tail") or not task.judge_share:
        return [plain]
    first = _first(task)
    judged = {**plain, first: round(plain[first] - task.judge_share, 6), "judge": task.judge_share}
    return [judged, plain] if task.wants_judge(kept) else [plain, judged]


def _split(kept: Sequence[Item], task: BaseTask, before: SplitRecord) -> dict[str, list[Item]]:
    """Give leaves their splits by the hash of their groups. Returns the children of those that are divided."""
    divided = _blocks(kept, task, before)
    leaves = [leaf for item in kept for leaf in divided.get(item.id, [item])]
    whole = [item for item in kept if item.id not in divided]
    dealt = _parted(whole, len(leaves), task, before)
    _by_hash(leaves, task, before, dealt)
    return {item.id: _joined(item, divided[item.id], task, before) for item in kept if item.id in divided}


def _blocks(kept: Sequence[Item], task: BaseTask, before: SplitRecord) -> dict[str, list[Item]]:
    """Children of the items that are divided: those that were, and new ones while there are few groups. What belongs together is
    held out together and not divided, but where that is too much to hold out."""
    members = Counter(item.group for item in kept)
    few = len(members) < task.cut_below
    divided, together = {}, 0
    for item in kept:
        spans = before.spans(item) or _grown(item, task, before)
        count = members[item.group]
        if not spans and few and item.group not in before.splits and (count == 1 or count > LARGE_GROUP * len(kept)):
            spans = task.divide(item)
            together += bool(spans) and count > 1
        if spans:
            divided[item.id] = _children(item, spans, task, before)
    if together:
        told.cut_apart(together)
    return divided


def _joined(item: Item, pieces: Sequence[Item], task: BaseTask, before: SplitRecord) -> list[Item]:
    """The blocks of an item; new ones next to each other that are learnt from become one, so that no text is cut where nothing is
    held out."""
    spans: list[tuple[int, int]] = []
    splits: list[str] = []
    open_ = False
    for piece in pieces:
        start, stop = piece.start or 0, piece.stop or 0
        joins = piece.split == _first(task) and piece.group not in before.splits
        if joins and open_:
            spans[-1] = (spans[-1][0], stop)
        else:
            spans.append((start, stop))
            splits.append(piece.split)
        open_ = joins
    if len(spans) == len(pieces):
        return list(pieces)
    joined = _children(item, spans, task, before)
    for child, split in zip(joined, splits, strict=True):
        child.split = split
    return joined


def _first(task: BaseTask) -> str:
    """The split that is learnt from."""
    return next(iter(task.split_shares))


def _grown(item: Item, task: BaseTask, before: SplitRecord) -> list[tuple[int, int]]:
    """The blocks of a text that was divided and has changed since: as they were up to the first change, and new ones behind.

    So what was added to a text moves nothing that stood there before from one split to another. [] where nothing stands as it did.
    """
    former = before.parents.get(item.id, [])
    inside = [span for span in former if span[1] <= (item.characters or 0)]
    marks = task.fingerprints(item, inside) if inside else []
    same = 0
    while same < len(marks) and marks[same] == before.marks[item.id][same]:
        same += 1
    if not same:
        return []
    kept, end, length = inside[:same], inside[same - 1][1], item.characters or 0
    least = min(stop - start for start, stop in kept)
    edges = [end]
    for _, stop in task.divide(item):
        if stop - edges[-1] >= least // 2 and length - stop >= least // 2:
            edges.append(stop)
    return kept + ([*pairwise([*edges, length])] if length > end else [])


def _children(item: Item, spans: Sequence[tuple[int, int]], task: BaseTask, before: SplitRecord) -> list[Item]:
    """A row a block. Its hash is that of its own characters, but for the last one, at whose end the text may go on some day."""
    children = [_child(item, number, *span) for number, span in enumerate(spans)]
    before.marks[item.id] = task.fingerprints(item, spans)
    for child, mark in zip(children[:-1], before.marks[item.id], strict=False):
        child.sha256 = mark
    return children


def _child(item: Item, number: int, start: int, stop: int) -> Item:
    path = f"{item.path}#{number}"
    child = replace(item, id=item_id(item.source, path, item.row), path=path, parent=item.id, start=start, stop=stop)
    # Beginning, end and the parent's content: a text that grows keeps the splits of its earlier blocks.
    child.group = f"{child.id} {start}-{stop}"
    child.characters, child.bytes, child.fields = stop - start, None, dict(item.fields)
    return child


def _parted(items: Sequence[Item], count: int, task: BaseTask, before: SplitRecord) -> dict[str, str]:
    """Make groups of their own of the members of groups that can't be held out whole, and deal them out to the splits so that each
    group is learnt from and, where it is large enough, held out too. Returns the splits of the new ones. `count` is that of all leaves.

    A group that the recipe's table names stays whole, and so does one that an earlier run left whole. Where members do more than ask
    for the same thing (near duplicates), only a group of more than half of all is parted, for else little could be held out.
    """
    groups: dict[str, list[Item]] = {}
    for item in items:
        groups.setdefault(str(item.group), []).append(item)
    few = task.parts_groups and len(groups) < FEW_KINDS
    most = (LARGE_GROUP if task.parts_groups else 0.5) * count
    shares = shares_of(count, before.shares)
    dealt: dict[str, str] = {}
    parted = 0
    for group, members in groups.items():
        own = {f"{group} {item.sha256 or item.id}": item for item in members}
        was = any(key in before.splits for key in own)
        large = len(members) > 1 and (few or len(members) > most)
        if not was and (not large or group in before.splits or members[0].fields.get("group")):
            continue
        parted += 1
        for rank, key in enumerate(sorted(own, key=share_of)):
            own[key].group = key
            if not was:
                dealt[key] = by_share((rank + share_of(group)) / len(own), shares)
    if parted:
        told.parted(parted, len(groups), FEW_KINDS if few else most / count)
    return dealt


def _by_hash(
    leaves: Sequence[Item], task: BaseTask, before: SplitRecord, dealt: Mapping[str, str] | None = None
) -> None:
    """Give every leaf the split that its group has, had, or now gets."""
    shares, new = before.shares, dict(dealt or {})
    known = {**new, **before.splits}
    sizes = Counter(str(item.group) for item in leaves)
    have = Counter(known[group] for group in sizes.elements() if group in known)
    unknown = {group: size for group, size in sizes.items() if group not in known}
    new |= deal(unknown, have, shares)
    new |= {group: _first(task) for group, size in unknown.items() if 1 < size > LARGE_GROUP * len(leaves)}
    known = {**new, **before.splits}
    for item in leaves:
        item.split = known[str(item.group)]
    filled = fill_empty(Counter(item.split for item in leaves), new, shares)
    for item in leaves:
        item.split = filled.get(str(item.group), item.split)
    _learn_each_kind(leaves, new, task)


def _learn_each_kind(leaves: Sequence[Item], new: Mapping[str, str], task: BaseTask) -> None:
    """What can be asked for by name is learnt from: of a kind that is held out altogether, the new group that comes first by hash."""
    learnt = {task.kind(item) for item in leaves if item.split == _first(task)}
    moved: dict[str, str] = {}
    for item in sorted(leaves, key=lambda item: share_of(str(item.group))):
        if item.group in new and (kind := task.kind(item)) not in learnt:
            moved.setdefault(kind, str(item.group))
    for item in leaves:
        if item.group in moved.values():
            item.split = _first(task)
    if moved:
        told.all_learnt(list(moved))


def _tail(kept: Sequence[Item], percent: int, task: BaseTask, before: SplitRecord) -> dict[str, list[Item]]:
    """The last `percent` of all characters, in the ledger's order, are for validation; texts that came later are learnt from."""
    divided = {}
    if before.splits:
        for item in kept:
            spans = before.spans(item) or _grown(item, task, before)
            if spans:
                divided[item.id] = _children(item, spans, task, before)
                for piece in divided[item.id]:
                    piece.split = before.splits.get(str(piece.group), "train")
            else:
                item.split = before.splits.get(str(item.group), "train")
        return divided
    lengths = [item.characters or 0 for item in kept]
    boundary = sum(lengths) * (100 - percent) // 100
    place = 0
    for item, length in zip(kept, lengths, strict=True):
        cut = boundary - place
        place += length
        if 0 < cut < length:
            divided[item.id] = _children(item, [(0, cut), (cut, length)], task, before)
            divided[item.id][0].split, divided[item.id][1].split = "train", "validation"
        else:
            item.split = "train" if cut > 0 else "validation"
    return divided
