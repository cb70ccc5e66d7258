"""`draw`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.registry import families_of
from genwright.scores import ENOUGH, ScoreSheet, Verdict, beats
from genwright.tasks.verdict import Findings, Training, copied_above, judge

_SAME = 0.2
"""Variety within a word, of that between words, below which nobody would call two pictures different."""
_HALF = 0.5
"""Below half of the way from the floor to real pictures a model is nearer to the floor: its pictures are rather blots than pictures."""


def held_out(sheet: ScoreSheet) -> int:
    real = sheet.score("real", "kid")
    return sheet.protocol.get("held_out_n", 0) if real is None else real.n or 0


def verdict(sheet: ScoreSheet, training: Training, family: str) -> Verdict:
    model, floor, real = (sheet.score(row, "kid") for row in ("model", "floor", "real"))
    # Where the mean and spread of each pixel are as near to the data as real pictures are, they are all there is to it.
    pointless = beats(real, floor) is False
    found = Findings(
        things="pictures",
        held_out=held_out(sheet),
        in_all=sheet.protocol.get("held_out_in_all", 0),
        better=beats(model, floor),
        worse=beats(floor, model),
        good="its pictures are nearer to real ones than to blots, and are not copies of those it learned from",
        no_better="its pictures are no nearer to real ones than the mean picture with noise is",
        pointless="these pictures are noise: their mean with noise on top can't be told from them, so there is nothing to learn"
        if pointless
        else "",
        copied=copied_above(sheet.score("model", "copy_rate"), sheet.score("real", "copy_rate")),
        faults=_faults(sheet),
        family=next((name for name in families_of("draw") if name != family), ""),
    )
    return judge(found, training)


def way(sheet: ScoreSheet) -> float | None:
    """How far the model has come from the floor (0) to real pictures (1); below 0 where it is worse than the floor. None where that
    can't be said."""
    model, floor, real = (sheet.score(row, "kid") for row in ("model", "floor", "real"))
    if model is None or floor is None or real is None or not beats(real, floor):
        return None
    return min((floor.value - model.value) / (floor.value - real.value), 1.0)


def _faults(sheet: ScoreSheet) -> tuple[str, ...]:
    faults = []
    come, coverage, of_floor = way(sheet), sheet.score("model", "coverage"), sheet.score("floor", "coverage")
    if come is not None and come < _HALF:
        faults.append("its pictures are better than noise, but still nearer to blots than to real pictures")
    if beats(coverage, of_floor, "higher") is False:
        faults.append("it draws hardly more than one kind of picture, whatever it is asked for")
    if _always_the_same(sheet):
        faults.append("asked for one thing several times, it draws nearly the same picture again")
    return tuple(faults)


def _always_the_same(sheet: ScoreSheet) -> bool:
    """Whether pictures of one word vary far less than the data's own; where no word of the data has several pictures, hardly at all."""
    made, real = sheet.score("model", "variety"), sheet.score("real", "variety")
    if made is None or made.high is None:
        return False
    return made.high < (_SAME if real is None else _HALF * real.value)


def headline(sheet: ScoreSheet) -> str:
    """Where the model stands between floor and real pictures, whether it copies, and whether a judge is fooled. Without numbers where
    too little is held out."""
    model, floor = sheet.score("model", "kid"), sheet.score("floor", "kid")
    if held_out(sheet) < ENOUGH or model is None or floor is None:
        return "Too few pictures were compared to say in numbers how well this model draws."
    return " ".join(sentence for sentence in (_place(way(sheet)), _copies(sheet), _judged(sheet)) if sentence)


def _place(come: float | None) -> str:
    if come is None:
        return "Real pictures can't be told from their mean picture with noise on it, so no model could show that it has learned them."
    scale = "where 0 is the mean picture of each kind with noise on it and 100 are real pictures that it has never seen"
    if come <= 0:
        return f"Its pictures are no better than noise: on a scale {scale}, they stand at 0 or below."
    return f"On a scale {scale}, its pictures stand at {100 * come:.0f}."


def _copies(sheet: ScoreSheet) -> str:
    made, natural = (sheet.score(row, "copy_rate") for row in ("model", "real"))
    if made is None or natural is None:
        return ""
    if not copied_above(made, natural):
        return "It copies its training pictures no more than real pictures resemble one another by chance."
    return (
        f"{made.value:.0%} of its pictures are nearly copies of training pictures; of real pictures that it has never seen, "
        f"{natural.value:.0%} come as near."
    )


def _judged(sheet: ScoreSheet) -> str:
    judge = sheet.score("model", "judge")
    if judge is None:
        return ""
    return f"A network trained to tell its pictures from real ones is right {100 * judge.value:.0f} times in 100; guessing is right 50 times."
