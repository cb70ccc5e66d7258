"""The scores of the task `write`: a 5-gram, the model and real text beside each other, by one protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.engine.engine import Engine
from genwright.families.transformer import Transformer
from genwright.media.tokenizer import Tokenizer
from genwright.metrics import copying, extra
from genwright.metrics import text as metrics
from genwright.metrics.ngrams import KneserNey
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.text_nats import document_nats
from genwright.tasks.text_samples import Passages, continue_all, prompts_and_continuations

if TYPE_CHECKING:
    from genwright.model import Model

ORDER = 5
WINDOW = 50
PROMPT_TOKENS = 32
SAMPLE_TOKENS = 200

_HELD_OUT_TOKENS = 400_000
_BASELINE_TOKENS = 20_000_000
_BLOCK_TOKENS = 1000
_SEPARATOR = "\U0010ffff"
"""Stands between the training texts, so that no run reaches from one into the next."""

METRICS = [
    Metric(
        name="bits_per_byte",
        title="bits per byte",
        better="lower",
        unit="bits",
        description="How many bits the held-out text costs, a byte, when it is coded by the model's own probabilities; "
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


@dataclass
class _Samples:
    baseline: list[str]
    model: list[str]
    real: list[str]


def score(model: Model, splits: Splits, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
    facts: Tokenizer = model.facts
    name, held_out = splits.held_out()
    family = model.family
    assert isinstance(family, Transformer)
    documents = evenly(held_out, _HELD_OUT_TOKENS)
    stream = np.concatenate([np.empty(0, facts.dtype), *documents])
    training = splits["train"].flat("tokens")
    if len(stream) < 2:
        return _nothing_held_out(splits)
    baseline = KneserNey(training[:_BASELINE_TOKENS], facts.size, min(ORDER, len(training)))
    # The first token is predicted from the end of a text by both.
    led_in = np.concatenate([[facts.end_token], stream]).astype(np.int64)
    nats = {
        "baseline": -baseline.log_probabilities(led_in)[1:],
        "model": np.concatenate(document_nats(family, documents, facts.end_token, model.device)),
    }
    passages = prompts_and_continuations(stream, settings.samples, PROMPT_TOKENS, SAMPLE_TOKENS)
    controls = family.Controls.model_validate({"max_tokens": passages.length})
    samples = _Samples(
        [facts.decode(row) for row in baseline.generate(passages.prompts, passages.length, settings.seed)],
        [facts.decode(row) for row in continue_all(model, Engine(), passages.prompts, controls, settings.seed)],
        [facts.decode(row) for row in passages.real],
    )
    learnt = [facts.decode(text) for text in _texts(training, facts.end_token)]
    source = _SEPARATOR.join(learnt)
    rows, copies = _rows(samples, {k: _bits_per_byte(v, stream, facts, settings.seed) for k, v in nats.items()}, source)
    protocol: dict[str, Any] = {
        "split": name,
        "split_hash": splits.hash,
        "held_out_tokens": len(stream),
        "held_out_bytes": int(facts.byte_lengths[stream].sum()),
        "tokenizer": f"{facts.kind}, {facts.size} tokens",
        "context": family.network.config.max_position_embeddings,
        "window_stride": max(family.network.config.max_position_embeddings // 2, 1),
        "samples": len(passages.prompts),
        "prompt_tokens": passages.prompt_length,
        "sample_tokens": passages.length,
        **controls.model_dump(exclude={"max_tokens"}),
        "baseline": f"{ORDER}-gram over the same tokens, interpolated modified Kneser-Ney, drawn from at temperature 1",
        "baseline_tokens": min(len(training), _BASELINE_TOKENS),
        "training_characters_searched": len(source),
        "seed": settings.seed,
        "interval": "95 %; bits per byte: bootstrap over blocks of 1,000 tokens; copied windows: bootstrap over samples; "
        "distinct-n: delete-a-group jackknife over samples",
    }
    exhibits = _exhibits(folder, passages, samples, copies["model"], source, facts)
    headline = _headline(rows, copies)
    sheet = ScoreSheet(metrics=list(METRICS), rows=rows, protocol=protocol, exhibits=exhibits, headline=headline)
    extra.extend(sheet, "text", vars(samples), learnt)
    return sheet


def _nothing_held_out(splits: Splits) -> ScoreSheet:
    return ScoreSheet(
        metrics=list(METRICS),
        rows=[Row(name="model", title="this model", kind="model", scores={})],
        protocol={"split_hash": splits.hash, "held_out_tokens": 0},
        headline="There is too little text to hold any of it out, so nothing can be said about how well this model writes; "
        "about 5,000 characters are the least.",
    )


def evenly(store: ExampleStore, limit: int) -> list[np.ndarray]:
    """The documents of a split, or every n-th of them where they have more than `limit` tokens."""
    every = max(-(-int(store.lengths("tokens").sum()) // limit), 1)
    return [np.array(store[i]["tokens"]) for i in range(0, len(store), every)]


def _bits_per_byte(nats: np.ndarray, stream: np.ndarray, facts: Tokenizer, seed: int) -> Score:
    edges = np.arange(0, len(stream), _BLOCK_TOKENS)
    return metrics.bits_per_byte(
        np.add.reduceat(nats, edges), np.add.reduceat(facts.byte_lengths[stream], edges), seed=seed
    )


def _texts(tokens: np.ndarray, end_token: int) -> list[np.ndarray]:
    return np.split(tokens, np.flatnonzero(tokens == end_token) + 1)


def _rows(samples: _Samples, bits: dict[str, Score], source: str) -> tuple[list[Row], dict[str, copying.Copy]]:
    kinds = ("baseline", "model", "real")
    texts = {kind: getattr(samples, kind) for kind in kinds}
    titles = {"baseline": f"{ORDER}-gram with backoff", "model": "this model", "real": "real held-out text"}
    equal = dict(zip(kinds, metrics.equal_words(list(texts.values())), strict=True))
    rows, copies = [], {}
    for kind in kinds:
        copies[kind] = copying.longest_copy(texts[kind], source)
        characters = sum(map(len, texts[kind]))
        scores = {"bits_per_byte": bits[kind]} if kind in bits else {}
        scores |= {f"distinct_{n}": metrics.distinct_n(equal[kind], n) for n in (1, 2, 3)}
        scores["longest_copy"] = Score(value=copies[kind].length, n=characters)
        scores["copied_windows"] = metrics.share(*copying.copied_windows(texts[kind], source, WINDOW))
        rows.append(Row(name=kind, title=titles[kind], kind=kind, scores=scores))  # type: ignore[arg-type]
    return rows, copies


def _exhibits(
    folder: Path, passages: Passages, samples: _Samples, copy: copying.Copy, source: str, facts: Tokenizer
) -> list[Exhibit]:
    prompts = [facts.decode(prompt) for prompt in passages.prompts]

    def write(name: str, parts: Sequence[str]) -> str:
        (folder / f"{name}.txt").write_text("\n\n----\n\n".join(parts) + "\n", encoding="utf-8")
        return f"{name}.txt"

    shown = range(min(4, len(prompts)))
    exhibits = [
        Exhibit(
            name="samples",
            title="What the model writes",
            caption="The first samples of the evaluation, unpicked: a held-out prompt up to the mark >>>, then the model.",
            file=write("samples", [f"{prompts[i]}>>>{samples.model[i]}" for i in shown]),
            shows_training_items=False,
        ),
        Exhibit(
            name="baseline",
            title="What the 5-gram writes",
            caption="The same prompts continued by the baseline.",
            file=write("baseline", [f"{prompts[i]}>>>{samples.baseline[i]}" for i in shown]),
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


def _headline(rows: Sequence[Row], copies: dict[str, copying.Copy]) -> str:
    bits = {row.kind: row.scores["bits_per_byte"].value for row in rows if "bits_per_byte" in row.scores}
    model, baseline = bits["model"], bits["baseline"]
    if model < baseline:
        verdict = f"{model:.2f} bits per byte of held-out text, {1 - model / baseline:.0%} less than a 5-gram's {baseline:.2f}"
    else:
        verdict = f"{model:.2f} bits per byte of held-out text: no better yet than a 5-gram's {baseline:.2f}"
    return (
        f"{verdict}; the longest run it copied from its training text has {copies['model'].length} characters "
        f"(real held-out text: {copies['real'].length})."
    )
