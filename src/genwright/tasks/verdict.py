"""Whether a model is good, weak or useless, why, and the one next thing to do: what all tasks reason alike.

A task reads its score sheet into `Findings`, `judge` grades them, and what to do next follows from the cause and from how the
training went. The grades:

- useless: no better than what needs no learning, or the data has nothing to be learned, or it mostly hands out its training data;
- weak: better than that, with a fault; or nobody can say, because too little is held out;
- good: better than that, and without a fault that the sheet shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from genwright.about import from_weights_line
from genwright.scores import ENOUGH, Score, ScoreSheet, Verdict, beats

COPIED = 0.1
"""Share of the samples, above what real held-out data has, from which on a model is said to know its data by heart: one sample in ten."""
MOSTLY_COPIED = 0.5
"""The same from which on it is of no use beside the data itself."""
_MANY_PASSES = 1_000
"""Passes over the data after which more of them are no advice where no held-out loss says that it still falls. Adversarial training on
few pictures goes on for thousands (arXiv:2006.06676), so less than that is no sign of an end."""
_STILL_FALLING = 0.02
"""A loss still falls if the last quarter of its measurements brought this share of the whole fall, or more: a fiftieth is what a
training that has settled moves by chance."""
_LEAST_MEASURED = 4

WEIGHTS = (
    "weights to start from: a model that knows the language already needs far less data and time; for English, and for code, "
    f"`{from_weights_line()}` in the recipe, in a run of its own (`--run-dir`)."
)

Cause = Literal["unmeasured", "few", "pointless", "no better", "by heart", "fault", "fine"]


@dataclass(frozen=True)
class Training:
    """What is known of how the model was trained. None: not known."""

    passes: float | None = None
    """Over its training data."""
    stopped_early: bool = False
    """Whether patience ended it, because the held-out loss had not fallen for long."""
    falling: bool | None = None
    """Whether the held-out loss was falling to the end."""
    evaluate_share: float | None = None
    """The share of the budget that an evaluation would have needed to say something, where it had less."""

    @property
    def unseen(self) -> bool:
        """Whether it ended before the data had been seen once."""
        return self.passes is not None and self.passes < 1

    @property
    def would_go_on(self) -> bool:
        """Whether more time can be expected to help."""
        if self.stopped_early or (
            self.falling is False and not self.unseen
        ):  # a schedule that ends levels the loss, too
            return False
        return bool(self.falling) or self.passes is None or self.passes < _MANY_PASSES


@dataclass(frozen=True)
class Findings:
    """What a task reads from its score sheet."""

    things: str
    """What is held out, in the plural: "texts", "pictures"."""
    held_out: int
    """How many of them were measured; a long text counts as several."""
    in_all: int
    """How many of them there are to measure."""
    better: bool | None
    """Whether the model is better than all that needs no learning, beyond the intervals. None: nothing says it."""
    worse: bool | None
    """Whether what needs no learning is better than it, beyond the intervals: that shows on few held-out things too."""
    good: str
    """Why it is good, if it is: "it ..."."""
    no_better: str
    """Why it is useless, if it is not better."""
    pointless: str = ""
    """Why there is nothing to be learned from the data, where that is so."""
    leaked: str = ""
    """Why the scores can't be believed, where training data stands in the held-out data."""
    copied: float | None = None
    """Share of what it makes that stands in the training data, above what real held-out data has of it and beyond the intervals."""
    faults: tuple[str, ...] = ()
    """Each makes a good model weak, the worst first."""
    weights: bool = False
    """Whether it could start from other people's weights, and did not."""
    family: str = ""
    """Another family that could do it."""
    cure: str = ""
    """What to do where nothing could be measured for a reason that more data would not change."""


def judge(found: Findings, training: Training) -> Verdict:
    """The grade, for the worst thing found."""

    def verdict(grade: Literal["good", "weak", "useless"], cause: Cause, why: str) -> Verdict:
        return Verdict(grade=grade, why=_sentence(why), next=_sentence(next_thing(cause, found, training)))

    if (
        found.copied is not None and found.copied >= COPIED
    ):  # so much more than is natural shows on few held-out things too
        much = "most" if found.copied >= MOSTLY_COPIED else "much"
        why = f"it has learned its data by heart: {much} of what it makes is copied from it, far more than such data repeats itself"
        return verdict("useless" if much == "most" or found.better is False else "weak", "by heart", why)
    if found.worse and found.held_out and not found.pointless:
        return verdict("useless", "no better", found.no_better)
    if found.held_out < ENOUGH <= found.in_all:
        why = f"nobody can say that it is any good: only {found.held_out:,} of {found.in_all:,} held-out {found.things} were measured"
        return verdict("weak", "unmeasured", why)
    if found.held_out < ENOUGH or found.better is None:
        made = verdict("weak", "few", f"nobody can say that it is any good: {too_few(found)}")
        return made.model_copy(update={"next": _sentence(found.cure)}) if found.cure else made
    if found.pointless:
        return verdict("useless", "pointless", found.pointless)
    if not found.better:
        return verdict("useless", "no better", found.no_better)
    if found.leaked:
        return verdict("weak", "by heart", found.leaked)
    if found.faults:
        return verdict("weak", "fault", found.faults[0])
    return verdict("good", "fine", found.good)


def too_few(found: Findings) -> str:
    """Says that too little was held out for a number."""
    if found.held_out >= ENOUGH:
        return "what would tell could not be measured"
    count = f"only {found.held_out:,}" if found.held_out else "none"
    return f"of its {found.things} {count} could be held out, and a number needs {ENOUGH}"


def next_thing(cause: Cause, found: Findings, training: Training) -> str:
    """The first thing of the list for this cause that makes sense: no more time where it would not help, no more data before the model
    has seen what there is."""
    things = {
        "time": _time(training) if training.would_go_on else "",
        "data": "" if training.unseen else _data(cause, found, training),
        "weights": WEIGHTS if found.weights else "",
        "family": f"another family: `model.family: {found.family}`, in a run of its own (`--run-dir`)" if found.family else "",
    }  # fmt: skip
    if cause == "pointless":
        return "start again with other data; `genwright ledger RUN` lists what this was made from"
    if cause == "unmeasured":
        share = max(training.evaluate_share or 0.0, 1.0)
        return f"measure more: run it again with `--set evaluate.samples=500 --set evaluate.share={math.ceil(share)}`"
    order = {
        "few": ("data", "time"),
        "by heart": ("data",),
        "no better": ("time", "weights", "family", "data"),
        "fault": ("time", "weights", "family", "data"),
        "fine": ("time", "data") if training.falling else ("data", "time"),
    }[cause]
    chosen = next((things[name] for name in order if things[name]), "")
    if not chosen and cause == "by heart":
        return "start again without the items that nearly repeat each other"
    return (
        chosen
        or "start again with a lower `train.learning_rate`: its loss had stopped falling before it had seen all of its data"
    )


def _time(training: Training) -> str:
    if training.unseen:
        why = "it has not yet seen all of its data once"
    elif training.falling:
        why = "its loss was still falling when the training ended"
    else:
        times = round(training.passes or 0)
        why = "it has seen its data " + (
            "only once" if times == 1 else f"{times:,} times only" if times else "too few times"
        )
    return f"more time: {why}; run it again with `--more`, for as long as before or longer"


def _data(cause: Cause, found: Findings, training: Training) -> str:
    if cause == "few":
        times = f", about {math.ceil(ENOUGH / found.held_out)} times as many" if 0 < found.held_out < ENOUGH else ""
        return f"more data: add {found.things}{times}, so that {ENOUGH} or more can be held out"
    if cause == "by heart":
        return f"more data: other {found.things} of the same kind, several times as many, and none that nearly repeat each other"
    why = (
        "; more time would not help, for its held-out loss no longer fell"
        if training.stopped_early or training.falling is False
        else ""
    )
    return f"more data: several times as many {found.things} of the same kind{why}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


# --- reading a sheet


def held_out(sheet: ScoreSheet, metric: str) -> int:
    """How many held-out things the model was measured on by a metric."""
    score = sheet.score("model", metric)
    return 0 if score is None else score.n or 0


def beats_all(one: Score | None, others: Mapping[str, Score | None], better: str = "lower") -> bool | None:
    """The same of several, those left out that were not measured; None where none was."""
    found = [answer for other in others.values() if (answer := beats(one, other, better)) is not None]
    return all(found) if found else None


def how(model: Score, others: Mapping[str, Score]) -> str:
    """How the model guesses beside what needs no learning; lower is better."""
    if beats_all(model, others):
        return "better than"
    return (
        "hardly differently from" if all(model.value < other.value for other in others.values()) else "no better than"
    )


def without_numbers(things: str, in_all: int, does: str) -> str:
    """The headline where fewer than 20 were measured, for want of them or, of `in_all`, for want of time."""
    why = "was measured" if in_all >= ENOUGH else "is held out"
    return f"Too little {things} {why} to say in numbers how well this model {does}."


def copied_above(made: Score | None, natural: Score | None) -> float | None:
    """How much larger a share of copies is than the natural one; 0 where the intervals meet, None where one of them was not measured.

    The natural share of a few held-out things is uncertain, and what counts as a copy hangs on it; so it is asked more than by `beats`.
    """
    if made is None or natural is None:
        return None
    low, high = (end if end is not None else score.value for end, score in ((made.low, made), (natural.high, natural)))
    return made.value - natural.value if low > high else 0.0


def still_falling(losses: list[float]) -> bool | None:
    """Whether a loss was falling to the end of its measurements (see _STILL_FALLING); None where there are too few."""
    losses = [loss for loss in losses if math.isfinite(loss)]
    if len(losses) < _LEAST_MEASURED:
        return None
    late = max(len(losses) // 4, 1)
    before, lowest = min(losses[:-late]), min(losses)
    return before - lowest > _STILL_FALLING * max(losses[0] - lowest, 0.0)


def by_first_metric(sheet: ScoreSheet, training: Training, things: str) -> Verdict | None:
    """For a task that says nothing of its own: by the first metric that has a better side. None where there is none, or nothing that
    needs no learning was scored by it."""
    metric = next((m for m in sheet.metrics if m.better != "none"), None)
    if metric is None or not any(row.kind == "model" for row in sheet.rows):
        return None
    lesser = {row.name: sheet.score(row.name, metric.name) for row in sheet.rows if row.kind in ("floor", "baseline")}
    model = sheet.score(sheet.row("model").name, metric.name)
    better = beats_all(model, lesser, metric.better)
    if better is None or model is None:
        return None
    found = Findings(
        things=things,
        held_out=ENOUGH if model.n is None else model.n,
        in_all=0,
        better=better,
        worse=False,
        good=f"by {metric.title} it is better than everything that needs no learning",
        no_better=f"by {metric.title} it is no better than what needs no learning",
    )
    return judge(found, training)
