"""The scores of the task `chat`: replies of the model beside retrieved, shuffled and real ones, by one protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genwright.console import progress, say, track
from genwright.engine.engine import Engine
from genwright.families.transformer.family import Transformer
from genwright.metrics import copying, extra, meaning
from genwright.metrics import text as metrics
from genwright.metrics.retrieval import Bm25
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import ENOUGH, Exhibit, Metric, Row, Score, ScoreSheet
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits
from genwright.tasks.chat import general as chat_general
from genwright.tasks.chat import preference as chat_preference
from genwright.tasks.chat import variety
from genwright.tasks.chat.before import Before, before_of
from genwright.tasks.chat.bits import (
    BASELINE_TOKENS,
    HELD_OUT_TOKENS,
    LISTENING,
    ORDER,
    SWAPPED_TOKENS,
    bits_per_byte,
    counted_bits,
    held_out_examples,
    listening,
    reply_bits,
)
from genwright.tasks.chat.samples import Turn, answer_all, asked, evenly_turns, room_for, shown, turns_of, words_of
from genwright.tasks.chat.verdict import headline
from genwright.tasks.text.held_out import affordable_tokens, least_tokens
from genwright.tokens.tokenizer import Tokenizer

REPLY_TOKENS = 80
KNOWN_WORDS = 5
_TRAINING_TURNS = 100_000
_SEPARATOR = "\U0010ffff"
_TRANSCRIPTS = 6

METRICS = [
    Metric(
        name="bits_per_byte",
        title="bits per byte of replies",
        better="lower",
        unit="bits",
        description="How many bits the held-out replies cost, a byte, when they are coded by the model's own probabilities, each given "
        "the conversation before it; the end of a turn is coded too. It does not depend on the tokenizer. Retrieval has no "
        "probabilities, so it has no such number.",
    ),
    Metric(
        name="relevance",
        title="relevance",
        better="none",
        description="Mean cosine between the embedding of what was said last and that of the reply (all-MiniLM-L6-v2): best near real "
        "replies; as low as shuffled ones means that the reply has nothing to do with what was said.",
    ),
    *(
        Metric(
            name=f"distinct_{n}",
            title=f"distinct-{n}",
            better="none",
            description=f"Different runs of {n} words as a share of all of them, at equal sample size: best near real replies; much lower "
            "means that the same is said again and again.",
        )
        for n in (1, 2)
    ),
    Metric(
        name="repetition",
        title="repeated 4-grams",
        better="none",
        description="Share of runs of four words that stand earlier in the same reply already; best near real replies.",
    ),
    Metric(
        name="words",
        title="words a reply",
        better="none",
        unit="words",
        description="Mean length of a reply; best near real replies.",
    ),
    Metric(
        name="known_replies",
        title="replies known from training",
        better="none",
        description=f"Share of the replies of {KNOWN_WORDS} words or more that are, letter by letter, a reply of the training data; far above "
        "that of real held-out replies is learning by heart.",
    ),
    Metric(
        name="longest_copy",
        title="longest copied run",
        better="none",
        unit="characters",
        description="The longest run of characters in all replies that stands in a reply of the training data letter by letter.",
    ),
]

FORGETTING = Metric(
    name="old_bits_per_byte",
    title="bits per byte of general answers",
    better="lower",
    unit="bits",
    description="The same on a fixed set of short general instructions with answers, which the new data has nothing to do with: what the "
    "weights started from cost, and what they cost after training; a rise is what was forgotten.",
)


@dataclass
class Replies:
    """What each row of the sheet answers to the same turns."""

    turns: list[Turn]
    questions: list[str]
    by_row: dict[str, list[str]]


def score(model: Model, splits: Splits, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
    facts: Tokenizer = model.facts
    name, held_out = splits.held_out()
    length = settings.length(REPLY_TOKENS)
    turns = evenly_turns(held_out, settings.samples, room_for(model, REPLY_TOKENS))
    if not turns:
        return _without_answers(model, splits, settings.seed)
    family = model.family
    assert isinstance(family, Transformer)
    before = before_of(model)
    counted = held_out_examples(
        model, held_out, settings.of(affordable_tokens(model, HELD_OUT_TOKENS), least_tokens(model))
    )
    bits = {"model": bits_per_byte(model, family, held_out, counted, settings.seed)}
    learnt_from = splits["train"].flat("tokens")[: settings.of(BASELINE_TOKENS)]
    training = training_turns(splits["train"], settings.of(_TRAINING_TURNS))
    replies = _replies(model, training, turns, length, settings.seed)
    if before is not None:
        bits["before"] = bits_per_byte(model, before.family, held_out, counted, settings.seed)
        replies.by_row["before"] = before.answers(model, turns, length, settings.seed)
    learnt = [words_of(turn.reply, facts) for turn in training]
    with progress("evaluate: look for copies"):
        rows = _rows(replies, bits, learnt, settings.seed)
    _add_counting(rows, counted_bits(model, learnt_from, held_out, counted, settings.seed))
    asked_at_most = settings.of(affordable_tokens(model, SWAPPED_TOKENS))
    listened = listening(model, family, held_out, room_for(model, REPLY_TOKENS), asked_at_most, settings.seed)
    if listened is not None:
        next(row for row in rows if row.name == "model").scores[LISTENING.name] = listened
    if before is not None:
        before.most_general = settings.of(len(chat_general.PAIRS), len(chat_general.PAIRS))
        _add_forgetting(rows, before, model, settings.seed)
    judged = _add_relevance(rows, replies, settings.seed)
    sheet = ScoreSheet(
        metrics=[m for m in METRICS if judged or m.name != "relevance"]
        + [LISTENING] * (listened is not None)
        + ([FORGETTING] if before else []),
        rows=rows,
        protocol=_protocol(model, name, held_out, counted, splits, settings, len(turns), judged, before),
        exhibits=_exhibits(folder, replies, facts, before),
    )
    sheet.headline = headline(sheet)
    variety.extend(sheet, model, turns, replies.by_row["real"], before, length, settings)
    if getattr(model.task.prepare, "preference", False):
        pairs = settings.of(chat_preference.MOST_PAIRS, ENOUGH)
        chat_preference.extend(sheet, model, before.family if before else None, held_out, pairs, settings.seed)
    extra.extend(sheet, "text", replies.by_row, learnt)
    return sheet


def _without_answers(model: Model, splits: Splits, seed: int) -> ScoreSheet:
    """What can be said where nothing can be answered: nothing is held out, or no held-out question leaves room for an answer."""
    _, held_out = splits.held_out()
    headline = "There are too few conversations to hold any of them out, so nothing can be said about how well this model answers."
    scores = {}
    if len(held_out):
        assert isinstance(model.family, Transformer)
        counted = held_out_examples(model, held_out, HELD_OUT_TOKENS)
        scores = {METRICS[0].name: bits_per_byte(model, model.family, held_out, counted, seed)}
        headline = (
            f"All questions of the {len(held_out):,} held-out examples are too long to leave room for an answer within the "
            f"{model.config.network['max_position_embeddings']:,} tokens that this model sees, so none was answered; raise `model.context`."
        )
    return ScoreSheet(
        metrics=list(METRICS),
        rows=[Row(name="model", title="this model", kind="model", scores=scores)],
        protocol={"split_hash": splits.hash, "held_out_replies": 0},
        headline=headline,
    )


def training_turns(store: ExampleStore, most: int) -> list[Turn]:
    """The replies of the training data, or of every n-th conversation where there are too many."""
    found: list[Turn] = []
    every = max(len(store) * 4 // most, 1)
    for index in track(range(0, len(store), every), "training replies", len(store) // every):
        found += turns_of(store, index)
        if len(found) >= most:
            break
    return found


def _replies(model: Model, training: list[Turn], turns: list[Turn], length: int, seed: int) -> Replies:
    facts = model.facts
    questions = [asked(turn, facts) for turn in turns]
    real = [words_of(turn.reply, facts) for turn in turns]
    with progress("evaluate: look for the nearest training turns"):
        found = Bm25([asked(turn, facts) for turn in training])
        retrieved = [words_of(training[found.nearest(question)].reply, facts) for question in questions]
    # A shift by half: nobody keeps their own reply, and neighbours, which may be of one conversation, get far ones.
    half = max(len(real) // 2, 1)
    shuffled = [real[(index + half) % len(real)] for index in range(len(real))]
    answers = answer_all(model, Engine(), turns, "evaluate: the model answers", max_tokens=length, seed=seed)
    made = [answer.strip() for answer in answers]
    return Replies(turns, questions, {"shuffled": shuffled, "retrieval": retrieved, "model": made, "real": real})


_KINDS = {
    "shuffled": ("floor", "real replies, shuffled"),
    "retrieval": ("baseline", "the reply to the nearest training turn"),
    "before": ("baseline", "the weights started from"),
    "model": ("model", "this model"),
    "real": ("real", "real held-out replies"),
}


def _rows(replies: Replies, bits: Mapping[str, Score], learnt: Sequence[str], seed: int) -> list[Row]:
    names = [name for name in _KINDS if name in replies.by_row]
    texts = {name: replies.by_row[name] for name in names}
    equal = dict(zip(names, metrics.equal_words(list(texts.values())), strict=True))
    source, known = _SEPARATOR.join(learnt), set(learnt)
    rows = []
    for name in names:
        kind, title = _KINDS[name]
        split = [metrics.words(text) for text in texts[name]]
        scores = {"bits_per_byte": bits[name]} if name in bits else {}
        scores |= {f"distinct_{n}": metrics.distinct_n(equal[name], n) for n in (1, 2)}
        scores["repetition"] = metrics.repetition(split, seed=seed)
        scores["words"] = metrics.share(np.array([len(words) for words in split]), np.ones(len(split)), seed=seed)
        long = [text for text, words in zip(texts[name], split, strict=True) if len(words) >= KNOWN_WORDS]
        if name != "retrieval":
            scores["known_replies"] = metrics.share(
                np.array([text in known for text in long], float), np.ones(len(long)), seed=seed
            )
            scores["longest_copy"] = Score(value=copying.longest_copy(texts[name], source).length, n=len(texts[name]))
        rows.append(Row(name=name, title=title, kind=kind, scores=scores))  # type: ignore[arg-type]
    return rows


def _add_counting(rows: list[Row], bits: Score | None) -> None:
    if bits is not None:
        place = next(number for number, row in enumerate(rows) if row.name == "model")
        scores = {METRICS[0].name: bits}
        rows.insert(place, Row(name="counting", title=f"{ORDER}-gram with backoff", kind="baseline", scores=scores))


def _add_relevance(rows: Sequence[Row], replies: Replies, seed: int) -> bool:
    if not meaning.available():
        say("evaluate: relevance is left out, its judge is not installed (pip install 'genwright[metrics-text]').")
        return False
    judge = meaning.SentenceJudge()
    questions = judge.embed(replies.questions)
    for row in (row for row in rows if row.name in replies.by_row):
        row.scores["relevance"] = meaning.mean_similarity(questions, judge.embed(replies.by_row[row.name]), seed)
    return True


def _add_forgetting(rows: Sequence[Row], before: Before, model: Model, seed: int) -> None:
    examples = before.general_examples(model)
    family = model.family
    assert isinstance(family, Transformer)
    for name, scored in (("before", before.family), ("model", family)):
        row = next(row for row in rows if row.name == name)
        row.scores["old_bits_per_byte"] = reply_bits(model, scored, examples, seed)


def _protocol(
    model: Model,
    name: str,
    held_out: ExampleStore,
    counted: Sequence[int],
    splits: Splits,
    settings: EvaluateSettings,
    samples: int,
    judged: bool,
    before: Before | None,
) -> dict[str, Any]:
    examples = [held_out[index] for index in counted]
    controls = model.family.Controls.model_validate({"max_tokens": settings.length(REPLY_TOKENS)})
    protocol: dict[str, Any] = {
        "split": name,
        "split_hash": splits.hash,
        "held_out_conversations": len(examples),
        "held_out_in_all": len(held_out),
        "held_out_reply_tokens": int(sum(example["weight"].sum() for example in examples)),
        "tokenizer": f"{model.facts.kind}, {model.facts.size} tokens",
        "context": model.config.network["max_position_embeddings"],
        "samples": samples,
        **controls.model_dump(),
        "baseline": f"BM25 over the last turns of the training data (up to {settings.of(_TRAINING_TURNS):,}), the reply to the nearest one",
        "counting": f"{ORDER}-gram over the training tokens, interpolated modified Kneser-Ney",
        "shuffled": "the real replies, each moved half of the list on",
        "relevance": meaning.EXTRACTOR if judged else "not measured: its judge is not installed",
        "seed": settings.seed,
        "interval": "95 %; bootstrap over conversations (bits) and replies (swapped conversations too); distinct-n: delete-a-group jackknife over replies",
    }
    if before is not None:
        protocol |= {"before": before.title, "general_answers": before.general_title}
    return protocol


def _exhibits(folder: Path, replies: Replies, facts: Tokenizer, before: Before | None) -> list[Exhibit]:
    chosen = range(min(_TRANSCRIPTS, len(replies.turns)))

    def write(name: str, row: str) -> str:
        parts = [shown(replies.turns[i], facts, replies.by_row[row][i]) for i in chosen]
        (folder / f"{name}.txt").write_text("\n\n----\n\n".join(parts) + "\n", encoding="utf-8")
        return f"{name}.txt"

    caption = "The first held-out turns of the evaluation, unpicked: what was said, and behind the mark >>> the reply"
    exhibits = [
        Exhibit(
            name="transcripts",
            title="What the model answers",
            caption=f"{caption}.",
            file=write("transcripts", "model"),
            shows_training_items=False,
        )
    ]
    if before is not None:
        exhibits.append(
            Exhibit(
                name="before",
                title="What the weights started from answer",
                caption=f"{caption} of the model as it was.",
                file=write("before", "before"),
                shows_training_items=False,
            )
        )
    exhibits += [
        Exhibit(
            name="retrieval",
            title="What retrieval answers",
            caption=f"{caption} that was given to the nearest turn of the training data.",
            file=write("retrieval", "retrieval"),
            shows_training_items=True,
        ),
        Exhibit(
            name="real",
            title="What was really answered",
            caption=f"{caption} that a person gave.",
            file=write("real", "real"),
            shows_training_items=False,
        ),
    ]
    return exhibits
