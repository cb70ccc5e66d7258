"""`restyle`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.registry import families_of
from genwright.scores import ENOUGH, Score, ScoreSheet, Verdict, beats
from genwright.tasks.restyle.columns import LESSER, TRUTHS, gain
from genwright.tasks.verdict import Findings, Training, beats_all, judge

_HALF = 0.5
"""Of what true drawings keep of their sources: below, a picture shows something else than it did."""


def verdict(sheet: ScoreSheet, training: Training, family: str) -> Verdict:
    gains = {row: sheet.score("model", gain("perceptual", row)) for row in LESSER}
    found = Findings(
        things="pictures",
        held_out=held_out(sheet),
        in_all=sheet.protocol.get("held_out_in_all", 0),
        better=_better(sheet, gains),
        worse=any(one is not None and one.high is not None and one.high < 0 for one in gains.values()),
        good="what it makes is nearer to the true drawing in the other hand than the picture as it was, and than its colours matched"
        if _true(sheet)
        else "what it makes is nearer to the other hand's pictures than the picture as it was, and than its colours matched",
        no_better="what it makes is no nearer to the other hand than the picture as it was, or with its colours matched",
        faults=_faults(sheet),
        family=next((name for name in families_of("restyle") if name != family), ""),
    )
    return judge(found, training)


def held_out(sheet: ScoreSheet) -> int:
    return sheet.protocol.get("held_out_n", 0)


def _true(sheet: ScoreSheet) -> bool:
    return sheet.score("model", "perceptual") is not None


def _better(sheet: ScoreSheet, gains: dict[str, Score | None]) -> bool | None:
    """Whether the model is nearer than all that needs no learning: to the true drawings, else to the other hand's pictures as a set."""
    if _true(sheet):
        return all(one is not None and one.low is not None and one.low > 0 for one in gains.values())
    return beats_all(sheet.score("model", "kid"), {row: sheet.score(row, "kid") for row in LESSER})


def _faults(sheet: ScoreSheet) -> tuple[str, ...]:
    faults = []
    kept, natural = sheet.score("model", "content"), sheet.score("real", "content")
    if kept is not None and kept.value < _HALF * (1.0 if natural is None else natural.value):
        faults.append("what its pictures show can often not be told any more from what others show")
    if beats(sheet.score("floor", "kid"), sheet.score("model", "kid")):
        faults.append("as a set its pictures are less like the other hand's than those it was given")
    return tuple(faults)


def headline(sheet: ScoreSheet) -> str:
    """How much nearer to the other hand the model comes, whether it keeps what is shown, whether a judge is fooled. Without numbers where
    too little is held out."""
    if held_out(sheet) < ENOUGH:
        return "Too few pictures were compared to say in numbers how well this model restyles."
    return " ".join(sentence for sentence in (_nearer(sheet), _kept(sheet), _judged(sheet)) if sentence)


def _nearer(sheet: ScoreSheet) -> str:
    model = sheet.score("model", "perceptual")
    if model is None:
        return "No true drawings in the other hand are known, so it can only be compared as a set."
    said = []
    for row, title in LESSER.items():
        other, ahead = sheet.score(row, "perceptual"), sheet.score("model", gain("perceptual", row))
        if other is None or ahead is None or ahead.low is None or ahead.high is None:
            continue
        share = 100 * ahead.value / max(other.value, 1e-9)
        if ahead.low > 0:
            said.append(f"{share:.0f} % nearer to its true drawing than {title}")
        else:
            said.append(f"{'no nearer' if ahead.high >= 0 else f'{-share:.0f} % farther'} than {title}")
    return (
        f"A held-out picture comes out {' and '.join(said)} ({TRUTHS['perceptual'].split(' to ')[0]})." if said else ""
    )


def _kept(sheet: ScoreSheet) -> str:
    kept, natural = sheet.score("model", "content"), sheet.score("real", "content")
    if kept is None:
        return ""
    beside = f"; of the true drawings {100 * natural.value:.0f}" if natural is not None else ""
    among = min(held_out(sheet), 100)
    return f"Of 100 restyled pictures {100 * kept.value:.0f} can be told by what they show from {among - 1} others{beside}."


def _judged(sheet: ScoreSheet) -> str:
    right = sheet.score("model", "judge")
    if right is None:
        return ""
    return f"A network trained to tell them from real ones is right {100 * right.value:.0f} times in 100; guessing is right 50 times."
