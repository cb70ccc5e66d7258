"""The scores of the task `write`: a 5-gram, the model and real text beside each other, by one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genwright.console import progress
from genwright.families.transformer.family import Transformer
from genwright.metrics import copying, extra
from genwright.metrics import text as metrics
from genwright.metrics.ngrams import KneserNey
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.text import variety
from genwright.tasks.text.held_out import affordable_tokens, least_tokens
from genwright.tasks.text.nats import document_nats
from genwright.tasks.text.units import unit_edges, units_told
from genwright.tasks.write import poems as write_poems
from genwright.tasks.write import word_order
from genwright.tasks.write.held_out import HELD_OUT_TOKENS, HeldOut, Samples, sample
from genwright.tasks.write.verdict import headline
from genwright.tokens.tokenizer import Tokenizer

ORDER = 5
WINDOW = 50
_BASELINE_TOKENS = 20_000_000
_SEPARATOR = "\U0010ffff"
"""Stands between the training texts, so that no run reaches from one into the next."""

METRICS = [
    Metric(
        name="bits_per_byte",
        title="bits per byte",
        better="lower",
        unit="bits",
        description="How many bits the held-out text costs, a byte, when it is coded by the model's own probabilities: the fewer, the less it is surprised; "
        "it does not depend on the tokenizer.",
    ),
    *(
        Metric(
            name=f"distinct_{n}",
            title=f"distinct-{n}",
            better="none",
            description=f"Different runs of {n} words as a share of all of them, at equal sample size: best near real text; "
            "much lower is repetition, much higher is noise.",
        )
        for n in (1, 2, 3)
    ),
    Metric(
        name="longest_copy",
        title="longest copied run",
        better="none",
        unit="characters",
        description="The longest run of characters in all samples that stands in the training text letter by letter; "
        "compare with that of real held-out text.",
    ),
    Metric(
        name="copied_windows",
        title=f"copied windows of {WINDOW}",
        better="none",
        description=f"Share of the samples' {WINDOW}-character windows that stand in the training text; far above that of "
        "real held-out text is learning by heart.",
    ),
]

UNCONDITIONED = Metric(
    name="bits_per_byte_alone",
    title="bits per byte, unasked",
    better="none",
    unit="bits",
    description="The same texts without their conditions: how much more they cost shows how much the model makes of the conditions.",
)


def score(model: Model, splits: Splits, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
    facts: Tokenizer = model.facts
    name, store = splits.held_out()
    family = model.family
    assert isinstance(family, Transformer)
    held_out = HeldOut.take(
        store, facts.dtype, settings.of(affordable_tokens(model, HELD_OUT_TOKENS), least_tokens(model))
    )
    training = splits["train"].flat("tokens")
    if held_out.counts.sum() < 2:
        return _nothing_held_out(splits)
    learnt_from = training[: settings.of(_BASELINE_TOKENS)]
    with progress("evaluate: count runs of tokens"):
        baseline = KneserNey(learnt_from, facts.size, min(ORDER, len(training)))
    bits = _bits(model, held_out, baseline, settings.seed)
    bits[word_order.METRIC.name] = word_order.word_order(
        model, held_out, baseline, settings.of(affordable_tokens(model, word_order.MOST_TOKENS)), settings.seed
    )
    samples = sample(model, held_out, splits, baseline, settings)
    learnt = _training_texts(splits["train"], facts)
    source = _SEPARATOR.join(learnt)
    with progress("evaluate: look for copies"):
        rows, copies = _rows(samples, bits, source)
    context = family.network.config.max_position_embeddings
    protocol: dict[str, Any] = {
        "split": name,
        "split_hash": splits.hash,
        "held_out_in_all": len(store),
        "held_out_tokens": int(held_out.counts.sum()),
        "held_out_bytes": int(facts.byte_lengths[held_out.stream[held_out.counts > 0]].sum()),
        "tokenizer": f"{facts.kind}, {facts.size} tokens",
        "context": context,
        "window_stride": max(context // 2, 1),
        **samples.about,
        "baseline": f"{ORDER}-gram over the same tokens, interpolated modified Kneser-Ney, drawn from at temperature 1",
        "baseline_tokens": len(learnt_from),
        "training_characters_searched": len(source),
        "seed": settings.seed,
        "units": units_told(held_out.ids, splits.items, bits["bits_per_byte"]["model"].n or 0),
        "interval": "95 %; bits per byte: bootstrap over the units, shuffled words over pieces of 256 tokens; copied windows: bootstrap over samples; "
        "distinct-n: delete-a-group jackknife over samples",
    }
    exhibits = _exhibits(folder, samples, copies["model"], source)
    extra_bits = [metric for metric in (UNCONDITIONED, word_order.METRIC) if bits.get(metric.name)]
    metrics_shown = [*METRICS[:1], *extra_bits, *METRICS[1:]]
    sheet = ScoreSheet(metrics=metrics_shown, rows=rows, protocol=protocol, exhibits=exhibits)
    sheet.headline = headline(sheet)
    variety.extend(sheet, samples.asked, samples.real, samples.writers, settings.samples, settings.seed)
    write_poems.extend(sheet, samples, splits, learnt, settings.seed)
    extra.extend(sheet, "text", samples.rows, learnt)
    return sheet


def _bits(model: Model, held_out: HeldOut, baseline: KneserNey, seed: int) -> dict[str, dict[str, Score]]:
    """Bits per byte by metric and row. Headers are read, but what they cost does not count."""
    facts: Tokenizer = model.facts

    def bits(nats: np.ndarray, texts: HeldOut) -> Score:
        edges = unit_edges(texts.ids, [len(tokens) for tokens in texts.tokens])
        byte_counts = facts.byte_lengths[texts.stream] * texts.counts
        return metrics.bits_per_byte(
            np.add.reduceat(nats * texts.counts, edges), np.add.reduceat(byte_counts, edges), seed=seed
        )

    def of_model(texts: HeldOut, title: str) -> Score:
        assert isinstance(model.family, Transformer)
        return bits(
            np.concatenate(document_nats(model.family, texts.tokens, facts.end_token, model.device, title)), texts
        )

    # The first token is predicted from the end of a text by both.
    led_in = np.concatenate([[facts.end_token], held_out.stream]).astype(np.int64)
    found = {
        "bits_per_byte": {
            "baseline": bits(-baseline.log_probabilities(led_in)[1:], held_out),
            "model": of_model(held_out, "held-out text"),
        }
    }
    if "field" in held_out.documents[0]:
        found[UNCONDITIONED.name] = {"model": of_model(held_out.alone(), "held-out text without conditions")}
    return found


def _training_texts(store: ExampleStore, facts: Tokenizer) -> list[str]:
    """What was learnt from, without headers."""
    tokens, weight = store.flat("tokens"), store.flat("weight")
    if len(weight):
        tokens = tokens[weight > 0]
    return [facts.decode(text) for text in np.split(tokens, np.flatnonzero(tokens == facts.end_token) + 1)]


def _nothing_held_out(splits: Splits) -> ScoreSheet:
    return ScoreSheet(
        metrics=list(METRICS),
        rows=[Row(name="model", title="this model", kind="model", scores={})],
        protocol={"split_hash": splits.hash, "held_out_tokens": 0},
        headline="There is too little text to hold any of it out, so nothing can be said about how well this model writes; "
        "about 5,000 characters are the least.",
    )


def _rows(
    samples: Samples, bits: dict[str, dict[str, Score]], source: str
) -> tuple[list[Row], dict[str, copying.Copy]]:
    kinds = ("baseline", "model", "real")
    texts = samples.rows
    titles = {"baseline": f"{ORDER}-gram with backoff", "model": "this model", "real": "real held-out text"}
    equal = dict(zip(kinds, metrics.equal_words(list(texts.values())), strict=True))
    rows, copies = [], {}
    for kind in kinds:
        copies[kind] = copying.longest_copy(texts[kind], source)
        characters = sum(map(len, texts[kind]))
        scores = {name: by_row[kind] for name, by_row in bits.items() if kind in by_row}
        scores |= {f"distinct_{n}": metrics.distinct_n(equal[kind], n) for n in (1, 2, 3)}
        scores["longest_copy"] = Score(value=copies[kind].length, n=characters)
        scores["copied_windows"] = metrics.share(*copying.copied_windows(texts[kind], source, WINDOW))
        rows.append(Row(name=kind, title=titles[kind], kind=kind, scores=scores))  # type: ignore[arg-type]
    return rows, copies


def _exhibits(folder: Path, samples: Samples, copy: copying.Copy, source: str) -> list[Exhibit]:
    conditions = "prompt_tokens" not in samples.about
    mark = ">>>\n" if conditions else ">>>"

    def write(name: str, parts: Sequence[str]) -> str:
        (folder / f"{name}.txt").write_text("\n\n----\n\n".join(parts) + "\n", encoding="utf-8")
        return f"{name}.txt"

    shown = range(min(12 if conditions else 4, len(samples.prompts)))
    exhibits = [
        Exhibit(
            name="samples",
            title="What the model writes",
            caption="The first samples of the evaluation, unpicked: "
            + ("the conditions of held-out texts" if conditions else "a held-out prompt")
            + " (in the file up to the mark >>>, on a page in grey), then the model.",
            file=write("samples", [f"{samples.prompts[i]}{mark}{samples.model[i]}" for i in shown]),
            shows_training_items=False,
        ),
        Exhibit(
            name="baseline",
            title="What the 5-gram writes",
            caption="The same prompts continued by the baseline.",
            file=write("baseline", [f"{samples.prompts[i]}{mark}{samples.baseline[i]}" for i in shown]),
            shows_training_items=False,
        ),
    ]
    if copy.length:
        run = source[copy.source : copy.source + copy.length]
        around = source[max(copy.source - 120, 0) : copy.source + copy.length + 120].replace(_SEPARATOR, "\n")
        exhibits.append(
            Exhibit(
                name="longest_copy",
                title="The longest copied run",
                caption=f"{copy.length} characters of sample {copy.text + 1}, and where they stand in the training text.",
                file=write("longest_copy", [f"the run: {run!r}", f"in the training text:\n{around}"]),
                shows_training_items=True,
            )
        )
    return exhibits
