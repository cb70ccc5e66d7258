"""What the report shows of the data, read from the ledger's columns: the account, sources, reasons, licences, splits, sizes."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from genwright.console import size as size_text
from genwright.families.transformer.options import is_path
from genwright.ledger import LEDGER, REASONS, SPLITS
from genwright.media.base import medium
from genwright.recipe import Recipe
from genwright.registry import MEDIA
from genwright.run import Run

EXAMPLES = 5
"""How many dropped items are shown for each reason."""

_COLUMNS = ("id", "source", "path", "parent", "bytes", "medium", "licence", "notice", "split", "status", "reason", "detail", "start", "stop", "characters", "width", "height")  # fmt: skip
_LOCAL = ("folder", "archive", "table")


@dataclass
class SourceRow:
    name: str
    offered: int = 0
    kept: int = 0
    bytes: int = 0


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
    """None where nothing has been collected. A public view names no file of the data and no local source.

    Counted by column, because a ledger may have millions of rows.
    """
    file = run.stage("collect") / LEDGER
    if not file.exists():
        return None
    pc = _compute()

    rows = _rows(file, run.stage("prepare") / LEDGER)
    offered = rows.filter(pc.is_null(rows["parent"]))
    names = _source_names(pc.unique(rows["source"]).to_pylist(), public)
    kept = offered.filter(pc.equal(offered["status"], "kept"))
    examples = rows.filter(pc.and_(pc.equal(rows["status"], "kept"), pc.not_equal(rows["split"], "")))
    splits = {row["values"]: row["counts"] for row in pc.value_counts(examples["split"]).to_pylist()}
    sizes, sizes_title = _sizes(examples, file)
    return DataView(
        offered=offered.num_rows,
        kept=kept.num_rows,
        sources=_sources(offered, names),
        reasons=_reasons(offered.filter(pc.not_equal(offered["status"], "kept")), public),
        licences=_licences(kept, names, public),
        splits={name: splits[name] for name in SPLITS if name in splits},
        sizes=sizes,
        sizes_title=sizes_title,
    )


def read_notices(run: Run, packages_only: bool = False, most: int = 200_000) -> list[NoticeText]:
    """The notices that collect kept. Those of a local source name its files, so what is made to be handed on has none of them."""
    record = run.record("collect")
    found = []
    for notice in record.summary.get("notices", []) if record else []:
        file = run.stage("collect") / notice["file"]
        if file.exists() and not (packages_only and (_is_local(notice["source"]) or _is_local(notice["path"]))):
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
            for key in ("include", "exclude", "join", "files"):
                source.pop(key, None)
        join = source.get("join", {})
        for held in (join, *(one for one in join.get("files", {}).values() if isinstance(one, dict))):
            if any(key in held.get("from", {}) for key in _LOCAL):
                held["from"] = "(on the owner's machine)"
    for section in (content["model"], *(part for part in content["model"].values() if isinstance(part, dict))):
        start = section.get("from")
        if isinstance(start, str) and is_path(start):
            section["from"] = f"{Path(start).name} (on the owner's machine)"
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _compute() -> Any:
    """pyarrow.compute, whose functions are made at run time and so are not known to a type checker."""
    return import_module("pyarrow.compute")


def _rows(file: Path, drops: Path) -> Any:
    """The ledger's columns as an Arrow table, with what prepare could not encode marked as dropped."""
    import pyarrow as pa

    pc = _compute()
    import pyarrow.parquet as pq

    rows = pq.read_table(file, columns=list(_COLUMNS))
    if not drops.exists() or not (dropped := pq.read_table(drops, columns=["id", "reason", "detail"])).num_rows:
        return rows
    place = pc.index_in(rows["id"], dropped["id"])
    hit = pc.is_valid(place)
    changed = {"status": pa.scalar("dropped"), "split": pa.scalar("")}
    changed |= {name: dropped[name].combine_chunks().take(place.combine_chunks()) for name in ("reason", "detail")}
    for name, value in changed.items():
        rows = rows.set_column(rows.column_names.index(name), name, pc.if_else(hit, value, rows[name]))
    return rows


def _sources(offered: Any, names: dict[str, str]) -> list[SourceRow]:
    sources: dict[str, SourceRow] = {}
    counted = offered.group_by(["source", "status", "reason"], use_threads=False)
    for row in counted.aggregate([([], "count_all"), ("bytes", "sum")]).to_pylist():
        source = sources.setdefault(row["source"], SourceRow(names[row["source"]]))
        source.offered += row["count_all"]
        if row["status"] == "kept":
            source.kept += row["count_all"]
            source.bytes += row["bytes_sum"] or 0
    return list(sources.values())


def _reasons(dropped: Any, public: bool) -> list[ReasonRow]:
    pc = _compute()

    found = []
    for row in pc.value_counts(dropped["reason"]).to_pylist():
        reason, examples = str(row["values"]), []
        if not public:
            some = dropped.filter(pc.equal(dropped["reason"], reason)).slice(0, EXAMPLES)
            examples = [(one["path"], one["detail"] or "") for one in some.select(["path", "detail"]).to_pylist()]
        found.append(ReasonRow(reason, REASONS.get(reason, ""), row["counts"], examples))
    return sorted(found, key=lambda one: -one.count)


def _licences(kept: Any, names: dict[str, str], public: bool) -> list[LicenceRow]:
    licences: dict[str | None, LicenceRow] = {}
    counted = kept.group_by(["licence", "source", "notice"], use_threads=False).aggregate([([], "count_all")])
    for row in counted.to_pylist():
        licence = licences.setdefault(row["licence"], LicenceRow(row["licence"]))
        licence.kept += row["count_all"]
        licence.sources[names[row["source"]]] += row["count_all"]
        if row["notice"] and not (public and _is_local(row["source"])):
            licence.notices[row["notice"]] += row["count_all"]
    return sorted(licences.values(), key=lambda one: -one.kept)


def _is_local(source: str) -> bool:
    return source.split(":", 1)[0] in _LOCAL


def _source_names(sources: Iterable[str], public: bool) -> dict[str, str]:
    names: dict[str, str] = {}
    for source in dict.fromkeys(sources):
        kind = source.split(":", 1)[0]
        local = sum(_is_local(other) for other in names)
        names[source] = f"{kind} {local + 1} (on the owner's machine)" if public and _is_local(source) else source
    return names


def _sizes(examples: Any, file: Path) -> tuple[list[tuple[str, int]], str]:
    """A histogram of the items that became examples: characters of the pieces of texts, else what their medium calls their size,
    where it varies, else bytes."""
    pc = _compute()

    def counts(values: Any) -> Counter[int]:
        return Counter({row["values"]: row["counts"] for row in pc.value_counts(pc.drop_null(values)).to_pylist()})

    if pieces := counts(pc.subtract(examples["stop"], examples["start"])):
        return log_bins(pieces, False), "characters a piece"
    names = {row["values"]: row["counts"] for row in pc.value_counts(examples["medium"]).to_pylist()}
    main = max(names, key=lambda name: names[name], default=None)
    if main in MEDIA:
        one = medium(str(main))
        measured = counts(
            pc.max_element_wise(*(_measured(examples, name, file) for name in one.size), skip_nulls=False)
        )
        if len(measured) > 3:
            return log_bins(measured, False), one.size_title
    return log_bins(counts(examples["bytes"]), True), "bytes an item"


def _measured(examples: Any, name: str, file: Path) -> Any:
    """A measure of each example, as whole numbers: a column of the ledger, or what stands in its fields, which are read for it alone."""
    if name in examples.column_names:
        return examples[name]
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = pq.read_table(file, columns=["id", "fields"])
    fields = rows["fields"].take(_compute().index_in(examples["id"], rows["id"]).combine_chunks())
    values = (json.loads(text or "{}").get(name) for text in fields.to_pylist())
    return pa.array([None if value is None else round(float(value)) for value in values], pa.int64())


def log_bins(values: Mapping[int, int], in_bytes: bool, bins: int = 18) -> list[tuple[str, int]]:
    """Counts of values (value -> how often) in bins of equal width on a logarithmic scale, each labelled by where it begins."""

    def words(value: int) -> str:
        return size_text(value) if in_bytes else f"{value:,}"

    if not values:
        return []
    low, high = (math.log2(max(end, 1)) for end in (min(values), max(values)))
    if high - low < 0.01:
        return [(words(min(values)), sum(values.values()))]
    width = max((high - low) / bins, 0.05)
    counts: dict[int, int] = defaultdict(int)
    for value, count in values.items():
        counts[min(int((math.log2(max(value, 1)) - low) / width), bins - 1)] += count
    return [(words(round(2 ** (low + i * width))), counts[i]) for i in range(max(counts) + 1)]
