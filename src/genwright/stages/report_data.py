"""What the report shows of the data, read from the ledger's columns: the account, sources, reasons, licences, splits, sizes."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from genwright.console import size as size_text
from genwright.ledger import REASONS, SPLITS
from genwright.recipe import Recipe
from genwright.run import Run

EXAMPLES = 5
"""How many dropped items are shown for each reason."""

_COLUMNS = ("id", "source", "path", "parent", "bytes", "licence", "notice", "split", "status", "reason", "detail", "start", "stop", "characters", "width", "height")  # fmt: skip
_LOCAL = ("folder", "archive", "table")


@dataclass
class SourceRow:
    name: str
    offered: int = 0
    kept: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


@dataclass
class ReasonRow:
    reason: str
    sentence: str
    count: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)
    """(path, detail) of some of the items; empty in a public report."""


@dataclass
class LicenceRow:
    name: str | None
    """None: unknown."""
    kept: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    notices: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class NoticeText:
    """A text that licences were read from."""

    source: str
    path: str
    licence: str | None
    text: str


@dataclass
class DataView:
    """Everything the data section shows. `offered` = `kept` + the sum of the reasons, as in the ledger."""

    offered: int
    kept: int
    sources: list[SourceRow]
    reasons: list[ReasonRow]
    licences: list[LicenceRow]
    splits: dict[str, int]
    sizes: list[tuple[str, int]]
    sizes_title: str


def read_data(run: Run, public: bool = False) -> DataView | None:
    """None where nothing has been collected. A public view names no file of the data and no local source."""
    file = run.stage("collect") / "ledger.parquet"
    if not file.exists():
        return None
    rows = _columns(file, _prepare_drops(run))
    sources: dict[str, SourceRow] = {}
    reasons: dict[str, ReasonRow] = {}
    licences: dict[str | None, LicenceRow] = {}
    splits: Counter[str] = Counter()
    names = _source_names(rows["source"], public)
    for i, status in enumerate(rows["status"]):
        if status == "kept" and rows["split"][i]:
            splits[rows["split"][i]] += 1
        if rows["parent"][i] is not None:
            continue
        name = names[rows["source"][i]]
        source = sources.setdefault(name, SourceRow(name))
        source.offered += 1
        if status != "kept":
            source.dropped[rows["reason"][i]] += 1
            _add_reason(reasons, rows, i, public)
            continue
        source.kept += 1
        source.bytes += rows["bytes"][i] or 0
        licence = licences.setdefault(rows["licence"][i], LicenceRow(rows["licence"][i]))
        licence.kept += 1
        licence.sources[name] += 1
        if rows["notice"][i] and not (public and _is_local(rows["source"][i])):
            licence.notices[rows["notice"][i]] += 1
    sizes, sizes_title = _sizes(rows)
    return DataView(
        offered=sum(s.offered for s in sources.values()),
        kept=sum(s.kept for s in sources.values()),
        sources=list(sources.values()),
        reasons=sorted(reasons.values(), key=lambda r: -r.count),
        licences=sorted(licences.values(), key=lambda r: -r.kept),
        splits={name: splits[name] for name in SPLITS if splits[name]},
        sizes=sizes,
        sizes_title=sizes_title,
    )


def read_notices(run: Run, packages_only: bool = False, most: int = 200_000) -> list[NoticeText]:
    """The notices that collect kept. Those of a local source name its files, so what is made to be handed on has none of them."""
    record = run.record("collect")
    found = []
    for notice in record.summary.get("notices", []) if record else []:
        file = run.stage("collect") / notice["file"]
        if file.exists() and not (packages_only and _is_local(notice["source"])):
            text = file.read_text("utf-8", "replace")[:most]
            found.append(NoticeText(notice["source"], notice["path"], notice["licence"], text))
    return found


def public_recipe(recipe: Recipe) -> str:
    """The resolved recipe as YAML, without the paths of local sources, which are nobody else's business."""
    import yaml

    content = recipe.model_dump(mode="json")
    for source in content["data"]["sources"]:
        for key in _LOCAL:
            if key in source:
                source[key] = "(on the owner's machine)"
        if any(key in source for key in _LOCAL):
            for key in ("include", "exclude", "join"):
                source.pop(key, None)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _columns(file: Any, dropped: dict[str, tuple[str, str]]) -> dict[str, list[Any]]:
    import pyarrow.parquet as pq

    table = pq.read_table(file, columns=list(_COLUMNS))
    rows = {name: table.column(name).to_pylist() for name in _COLUMNS}
    if dropped:
        for i, item_id in enumerate(rows["id"]):
            if item_id in dropped:
                rows["status"][i], rows["split"][i] = "dropped", ""
                rows["reason"][i], rows["detail"][i] = dropped[item_id]
    return rows


def _prepare_drops(run: Run) -> dict[str, tuple[str, str]]:
    """The items that collect kept and prepare could not encode."""
    import pyarrow.parquet as pq

    file = run.stage("prepare") / "ledger.parquet"
    if not file.exists():
        return {}
    rows = pq.read_table(file, columns=["id", "reason", "detail"]).to_pylist()
    return {row["id"]: (row["reason"], row["detail"] or "") for row in rows}


def _is_local(source: str) -> bool:
    return source.split(":", 1)[0] in _LOCAL


def _source_names(sources: Iterable[str], public: bool) -> dict[str, str]:
    names: dict[str, str] = {}
    for source in dict.fromkeys(sources):
        kind = source.split(":", 1)[0]
        local = sum(_is_local(other) for other in names)
        names[source] = f"{kind} {local + 1} (on the owner's machine)" if public and _is_local(source) else source
    return names


def _add_reason(reasons: dict[str, ReasonRow], rows: dict[str, list[Any]], i: int, public: bool) -> None:
    reason = str(rows["reason"][i])
    row = reasons.setdefault(reason, ReasonRow(reason, REASONS.get(reason, "")))
    row.count += 1
    if not public and len(row.examples) < EXAMPLES:
        row.examples.append((rows["path"][i], rows["detail"][i] or ""))


def _sizes(rows: dict[str, list[Any]]) -> tuple[list[tuple[str, int]], str]:
    """A histogram of the items that became examples: the longer side of pictures where it varies, characters of texts, else bytes."""
    kept = [i for i, split in enumerate(rows["split"]) if split and rows["status"][i] == "kept"]
    pieces = [(rows["start"][i], rows["stop"][i]) for i in kept if rows["stop"][i] is not None]
    if pieces:
        return log_bins([stop - (start or 0) for start, stop in pieces], False), "characters a piece"
    characters = [rows["characters"][i] for i in kept if rows["characters"][i] is not None]
    if characters:
        return log_bins(characters, False), "characters a text"
    sides = [max(rows["width"][i], rows["height"][i]) for i in kept if rows["width"][i] and rows["height"][i]]
    if len(set(sides)) > 3:
        return log_bins(sides, False), "pixels of the longer side"
    return log_bins([rows["bytes"][i] for i in kept if rows["bytes"][i] is not None], True), "bytes an item"


def log_bins(values: Sequence[int], in_bytes: bool, bins: int = 18) -> list[tuple[str, int]]:
    """Counts in bins of equal width on a logarithmic scale, each labelled by where it begins."""
    values = [max(v, 1) for v in values]
    if not values:
        return []
    low, high = math.log2(min(values)), math.log2(max(values))
    if high - low < 0.01:
        return [(size_text(values[0]) if in_bytes else f"{values[0]:,}", len(values))]
    width = max((high - low) / bins, 0.05)
    counts: dict[int, int] = defaultdict(int)
    for value in values:
        counts[min(int((math.log2(value) - low) / width), bins - 1)] += 1
    starts = [round(2 ** (low + i * width)) for i in range(min(bins, max(counts) + 1))]
    return [(size_text(s) if in_bytes else f"{s:,}", counts[i]) for i, s in enumerate(starts)]
