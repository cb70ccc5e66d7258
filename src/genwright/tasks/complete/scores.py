"""The scores of the task `complete`: an n-gram, copying the nearest function, the model and the originals, by one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genwright.console import count, progress, say
from genwright.engine.engine import Engine
from genwright.metrics import code as metrics
from genwright.metrics import extra
from genwright.metrics.ngrams import KneserNey
from genwright.metrics.text import bits_per_byte, share
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.complete.behaviour import Probes, kept_shares, probes
from genwright.tasks.complete.holes import (
    MOST_TOKENS,
    Hole,
    body_holes,
    fill_by_model,
    fill_by_ngram,
    held_out_files,
    line_holes,
)
from genwright.tasks.complete.nearest import Nearest
from genwright.tasks.complete.order import bundles_of
from genwright.tasks.complete.preview import shown
from genwright.tasks.complete.syntax import is_python
from genwright.tasks.complete.verdict import headline
from genwright.tasks.text.held_out import BITS_PER_BYTE, affordable_tokens, least_tokens
from genwright.tasks.text.nats import document_nats
from genwright.tasks.text.units import unit_edges, units_told
from genwright.tokens.tokenizer import Tokenizer

ORDER = 5
MOST_FUNCTIONS = 100
_HELD_OUT_TOKENS = 200_000
_BASELINE_TOKENS = 20_000_000
_SHOWN = 8

METRICS = [
    BITS_PER_BYTE,
    *(
        metric
        for kind, what in (("line", "lines"), ("body", "bodies"))
        for metric in (
            Metric(
                name=f"{kind}_exact",
                title=f"{what}, exact",
                better="higher",
                description=f"Share of masked {what} of held-out files that are filled with exactly what stood there.",
            ),
            Metric(
                name=f"{kind}_similarity",
                title=f"{what}, edit similarity",
                better="higher",
                description=f"Mean likeness of the filling of masked {what} to what stood there: 1 - edit distance / length.",
            ),
        )
    ),
    Metric(
        name="parses",
        title="parses",
        better="higher",
        description="Share of the held-out Python files that parse with the filling in the hole (lines and bodies together).",
    ),
    *(
        Metric(
            name=f"behaviour_{kind}",
            title=f"behaviour kept, {what}",
            better="higher",
            description=f"Share of masked {what} of held-out functions after whose filling every recorded call comes out as before.",
        )
        for kind, what in (("line", "lines"), ("body", "bodies"))
    ),
]


@dataclass
class _Kind:
    name: str
    title: str
    kind: Any
    fills: list[str]
    """Of the holes, then of the probes' holes."""


def score(model: Model, splits: Splits, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
    name, held_out = splits.held_out()
    files = held_out_files(splits, name) if len(held_out) else []
    holes = [*line_holes(files, settings.samples), *body_holes(files, settings.samples // 2)]
    if not holes:
        return _without_holes(splits, len(files))
    found = probes(files, settings.of(MOST_FUNCTIONS), settings.seed)
    baseline, bits = _bits(model, splits["train"], held_out, settings)
    nearest = Nearest(held_out_files(splits, "train"))
    everything = [*holes, *found.holes]
    say(
        f"evaluate: {count(len(everything), 'hole')} to fill, {len(found.holes):,} of them in functions that are run ({found.qualified:,})"
    )
    kinds = [
        _Kind("floor", "holes left empty", "floor", [""] * len(everything)),
        _Kind("baseline", f"{ORDER}-gram with backoff", "baseline", fill_by_ngram(baseline, model.facts, everything)),
        _Kind("copy", "copy of the nearest function", "copy", nearest.fill_all(everything)),
        _Kind(
            "model",
            "this model",
            "model",
            fill_by_model(model, Engine(), everything, settings.seed, "evaluate: the model fills"),
        ),
        _Kind("real", "what stood there", "real", [hole.original for hole in everything]),
    ]
    rows = [_row(kind, holes, found, bits, settings.seed) for kind in kinds]
    by_name = {kind.name: kind.fills for kind in kinds}
    protocol = {
        "split": name,
        "split_hash": splits.hash,
        "held_out_files": len(files),
        "lines": sum(hole.kind == "line" for hole in holes),
        "bodies": sum(hole.kind == "body" for hole in holes),
        "holes_in_functions": {k: sum(hole.kind == k for hole in found.holes) for k in MOST_TOKENS},
        "most_tokens": MOST_TOKENS,
        "temperature": 0,
        "order": model.task.order(),  # type: ignore[attr-defined]
        "context": model.config.network["max_position_embeddings"],
        "tokenizer": f"{model.facts.kind}, {model.facts.size} tokens",
        "baseline": f"{ORDER}-gram over the same tokens, interpolated modified Kneser-Ney, its likeliest token each time, prefix alone",
        "copy": f"the nearest of {len(nearest):,} training functions by header and docstring (rapidfuzz ratio)",
        **found.protocol(),
        **_order_protocol(model, splits["train"]),
        "seed": settings.seed,
        "units": units_told(held_out.ids, splits.items, bits["model"].n or 0),
        "interval": "95 %; bits per byte: bootstrap over the units; the others: bootstrap over holes, of functions over "
        "functions",
    }
    exhibits = _exhibits(folder, holes, found, by_name, settings.seed)
    sheet = ScoreSheet(metrics=METRICS, rows=rows, protocol=protocol, exhibits=exhibits)
    sheet.headline = headline(sheet)
    samples = {kind.name: kind.fills[: len(holes)] for kind in kinds if kind.name != "floor"}
    extra.extend(sheet, "text", samples, [file.text for file in held_out_files(splits, "train")])
    return sheet


def _without_holes(splits: Splits, files: int) -> ScoreSheet:
    why = "There is too little program text to hold any of it out"
    if files:
        why = f"No line of {count(files, 'held-out file')} is long enough to be a hole"
    return ScoreSheet(
        metrics=METRICS,
        rows=[Row(name="model", title="this model", kind="model", scores={})],
        protocol={"split_hash": splits.hash, "held_out_files": 0},
        headline=f"{why}, so nothing can be said about how well this model fills holes.",
    )


def _bits(
    model: Model, training: ExampleStore, held_out: ExampleStore, settings: EvaluateSettings
) -> tuple[KneserNey, dict[str, Score]]:
    """The n-gram, and bits per byte of held-out files by row, read from left to right below their paths."""
    facts: Tokenizer = model.facts
    stream = training.flat("tokens")[: settings.of(_BASELINE_TOKENS)]
    with progress("evaluate: count runs of tokens"):
        baseline = KneserNey(stream, facts.size, min(ORDER, len(stream)))
    most_tokens = settings.of(affordable_tokens(model, _HELD_OUT_TOKENS), least_tokens(model))
    every = max(-(-int(held_out.lengths("tokens").sum()) // most_tokens), 1)
    chosen = range(0, len(held_out), every)
    examples = [held_out[i] for i in chosen]
    tokens = np.concatenate([example["tokens"] for example in examples]).astype(np.int64)
    led_in = np.concatenate([[facts.end_token], tokens])
    lead, *begin = facts.begin_tokens or [facts.end_token]
    above = [np.concatenate([np.array(begin, facts.dtype), example["header"]]) for example in examples]
    documents = [np.concatenate([a, example["tokens"]]) for a, example in zip(above, examples, strict=True)]
    nats = document_nats(model.family, documents, lead, model.device)  # type: ignore[arg-type]
    of_model = np.concatenate([n[len(a) :] for n, a in zip(nats, above, strict=True)])

    edges = unit_edges([held_out.ids[i] for i in chosen], [len(example["tokens"]) for example in examples])

    def bits(nats: np.ndarray) -> Score:
        return bits_per_byte(
            np.add.reduceat(nats, edges), np.add.reduceat(facts.byte_lengths[tokens], edges), seed=settings.seed
        )

    return baseline, {"baseline": bits(-baseline.log_probabilities(led_in)[1:]), "model": bits(of_model)}


def _row(kind: _Kind, holes: Sequence[Hole], found: Probes, bits: dict[str, Score], seed: int) -> Row:
    scores = {"bits_per_byte": bits[kind.name]} if kind.name in bits else {}
    for what in MOST_TOKENS:
        chosen = [i for i, hole in enumerate(holes) if hole.kind == what]
        if chosen:
            pair = [kind.fills[i] for i in chosen], [holes[i].original for i in chosen]
            scores[f"{what}_exact"] = metrics.exact(*pair, seed=seed)
            scores[f"{what}_similarity"] = metrics.edit_similarity(*pair, seed=seed)
    python = [hole.filled(fill) for hole, fill in zip(holes, kind.fills, strict=False) if is_python(hole.path)]
    if python:
        scores["parses"] = metrics.parses(python, seed)
    kept = kept_shares(found.holes, kind.fills[len(holes) :], kind.title)
    for what in MOST_TOKENS:
        by_function: dict[tuple[str, str], list[bool]] = {}
        for hole, whole in zip(found.holes, kept, strict=True):
            if hole.kind == what and hole.recording:
                by_function.setdefault((hole.path, hole.recording.function), []).append(whole == 1)
        if by_function:
            hits = np.array([sum(its) for its in by_function.values()])
            scores[f"behaviour_{what}"] = share(hits, np.array([len(its) for its in by_function.values()]), seed)
    return Row(name=kind.name, title=kind.title, kind=kind.kind, scores=scores)


def _order_protocol(model: Model, training: ExampleStore) -> dict[str, Any]:
    bundles = bundles_of(training, model.config.network["max_position_embeddings"], True, model.facts)
    using, near = bundles.together()
    return {
        "definitions_that_use_other_files": using,
        "of_those_in_one_context_with_what_they_use": near,
    }


def _exhibits(
    folder: Path, holes: Sequence[Hole], found: Probes, fills: dict[str, list[str]], seed: int
) -> list[Exhibit]:
    def write(name: str, chosen: Sequence[tuple[Hole, str]]) -> str:
        text = "\n\n----\n\n".join(shown(hole, fill) for hole, fill in chosen)
        (folder / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
        return f"{name}.txt"

    exhibits = []
    of_probes = [(hole, fills["model"][len(holes) + i]) for i, hole in enumerate(found.holes)]
    of_holes = list(zip(holes, fills["model"], strict=False))
    for name, title, pairs in (
        ("lines", "Lines that the model fills", [p for p in of_holes if p[0].kind == "line"]),
        ("bodies", "Bodies that the model fills", [p for p in of_holes if p[0].kind == "body"]),
        ("functions", "Held-out functions that are run with what the model fills in", of_probes),
    ):
        if pairs:
            step = max(len(pairs) // _SHOWN, 1)
            exhibits.append(
                Exhibit(
                    name=name,
                    title=title,
                    caption=f"Every {step}. hole of the evaluation (seed {seed}), the filling between >>> and <<<; below, what really stood there.",
                    file=write(name, pairs[::step][:_SHOWN]),
                    shows_training_items=False,
                )
            )
    return exhibits
