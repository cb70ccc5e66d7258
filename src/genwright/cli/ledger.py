"""The ledger as people read it: the account by source and reason, every dropped item, or the story of one file."""

from __future__ import annotations

import json
import posixpath
from collections import Counter
from dataclasses import asdict
from difflib import get_close_matches
from typing import Any

from rich.console import Console
from rich.table import Table

from genwright import ledger
from genwright.console import say
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import REASONS, Further, Item, account
from genwright.run import Run

_STORIES = 5
"""Rows of one path that are told in full."""


def show(run: Run, *, dropped: bool = False, item: str | None = None, as_json: bool = False) -> None:
    """Print the account of a run's ledger, or one item's story. Raises RequestError when there is none."""
    items = ledger.read_run(run)
    if item is not None:
        found = find(items, item)
        stories = [story(one, items) for one in found]
        if as_json:
            print(json.dumps(stories if len(stories) > 1 else stories[0], indent=2, ensure_ascii=False))
        else:
            _print_stories(stories)
        return
    if as_json:
        content: dict[str, Any] = vars(account(items))
        if dropped:
            content = {**content, "items": [_dropped(i) for i in items if i.parent is None and not i.kept]}
        print(json.dumps(content, indent=2, ensure_ascii=False))
    elif dropped:
        _print_dropped(items)
    else:
        _print_account(items)


def find(items: list[Item], wanted: str) -> list[Item]:
    """The rows of one path: as the ledger names it, else as it lies on disk, else by its last part. Raises RequestError."""
    whole = [item for item in items if item.parent is None]
    on_disk = posixpath.abspath(wanted)
    tests = (
        lambda item: wanted in (item.path, item.id, printable(item.path)),
        lambda item: item.file == on_disk,
        lambda item: item.path.endswith(f"/{wanted}"),
    )
    for test in tests:
        if found := [item for item in whole if test(item)]:
            return found
    near = get_close_matches(wanted, {item.path for item in whole}, n=1, cutoff=0.4)
    hint = (
        f"did you mean `{printable(near[0])}`?" if near else "`genwright ledger RUN --dropped` lists what was left out."
    )
    raise RequestError(f"{printable(wanted)}: no item of the ledger has this path; {hint}")


def story(item: Item, items: list[Item]) -> dict[str, Any]:
    """Everything that is known of one item, with its blocks and its duplicates."""
    same = [i for i in items if i.parent is None and i.sha256 and i.sha256 == item.sha256 and i.id != item.id]
    blocks = [child for child in items if child.parent == item.id]
    told: dict[str, Any] = {
        "path": printable(item.path),
        "source": item.source,
        "row": item.row,
        "status": item.status,
        "reason": item.reason,
        "because": REASONS.get(item.reason or ""),
        "detail": item.detail or None,
        "medium": item.medium,
        "bytes": item.bytes,
        "characters": item.characters,
        "size": f"{item.width} x {item.height}" if item.width else None,
        "licence": item.licence or ("unknown" if item.kept else None),
        "notice": item.notice,
        "sha256": item.sha256,
        "group": item.group,
        "split": item.split or (dict(Counter(block.split for block in blocks)) if blocks else None),
        "same_bytes_as": [printable(i.path) + (f" row {i.row}" if i.row is not None else "") for i in same] or None,
        "fields": item.fields or None,
        "role": item.role,
        "files": {role: _further(one) for role, one in item.files.items()} or None,
        "file": printable(item.file) if item.file else None,
        "id": item.id,
    }
    if blocks:
        told["blocks"] = [
            {"start": b.start, "stop": b.stop, "split": b.split or None, "status": b.status, "reason": b.reason}
            for b in blocks
        ]
    return {key: value for key, value in told.items() if value is not None}


def _further(one: Further) -> dict[str, Any]:
    return {key: printable(value) if isinstance(value, str) else value for key, value in asdict(one).items()}


def _dropped(item: Item) -> dict[str, Any]:
    place = {"source": item.source, "path": printable(item.path)} | ({} if item.row is None else {"row": item.row})
    return place | {"reason": item.reason, "detail": item.detail}


def _print_account(items: list[Item]) -> None:
    console = Console(markup=False, emoji=False, highlight=False)
    whole = account(items)
    table = Table("source", *(("offered", "kept", "dropped")), "licence", box=None, pad_edge=False)
    for source in dict.fromkeys(item.source for item in items):
        own = [item for item in items if item.source == source and item.parent is None]
        one = account(own)
        licences = Counter(item.licence or "UNKNOWN" for item in own if item.kept)
        names = ", ".join(name for name, _ in licences.most_common(3)) + (", ..." if len(licences) > 3 else "")
        table.add_row(printable(source), *_numbers(one.offered, one.kept, sum(one.dropped.values())), names)
    table.add_section()
    table.add_row("in all", *_numbers(whole.offered, whole.kept, sum(whole.dropped.values())), "")
    for column in table.columns[1:4]:
        column.justify = "right"
    console.print(table)
    splits = Counter(item.split for item in ledger.leaves(items))
    if splits:
        console.print("\nsplits: " + ", ".join(f"{name} {splits[name]:,}" for name in ledger.SPLITS if splits[name]))
    if whole.dropped:
        reasons = Table("dropped", "items", "because it is", "for example", box=None, pad_edge=False)
        for reason, count in sorted(whole.dropped.items(), key=lambda pair: -pair[1]):
            example = next(item for item in items if item.reason == reason and item.parent is None)
            reasons.add_row(reason, f"{count:,}", REASONS.get(reason, ""), _text(example))
        reasons.columns[1].justify = "right"
        console.print()
        console.print(reasons)


def _print_dropped(items: list[Item]) -> None:
    # Plain lines, so that they can be searched and cut whatever the width of the terminal.
    if all(item.kept for item in items if item.parent is None):
        say("nothing was dropped: every item that was offered is kept.")
    for item in items:
        if item.parent is None and not item.kept:
            row = "" if item.row is None else f" row {item.row}"
            detail = f": {item.detail}" if item.detail else ""
            print(
                f"{item.reason}\t{item.source}\t{printable(item.path)}{row}\t{printable(REASONS.get(str(item.reason), '') + detail)}"
            )


def _print_stories(stories: list[dict[str, Any]]) -> None:
    """Of a table with many rows the first ones, and what became of the others."""
    for told in stories[:_STORIES]:
        _print_story(told)
    if more := stories[_STORIES:]:
        became = Counter(str(told.get("reason") or told["status"]) for told in more)
        counted = ", ".join(f"{count:,} {what}" for what, count in became.most_common())
        print(f"and {len(more):,} more rows ({counted}); name one by its id, or add --json for all.")


def _print_story(told: dict[str, Any]) -> None:
    for key, value in told.items():
        if key == "blocks":
            print(f"{'blocks':14} {len(value)}")
        elif isinstance(value, dict):
            print(f"{key:14} " + ", ".join(f"{name}: {printable(str(what))}" for name, what in value.items()))
        elif isinstance(value, list):
            print(f"{key:14} " + ", ".join(value))
        else:
            print(
                f"{key.replace('_', ' '):14} {value:,}"
                if isinstance(value, int)
                else f"{key:14} {printable(str(value))}"
            )
    print()


def _numbers(*numbers: int) -> list[str]:
    return [f"{number:,}" for number in numbers]


def _text(item: Item) -> Any:
    from rich.text import Text

    return Text(printable(item.path) + (f" row {item.row}" if item.row is not None else ""))
