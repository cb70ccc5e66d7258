"""`repair`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.scores import ENOUGH, Score, ScoreSheet, Verdict, span
from genwright.tasks.repair.damage import TRIALS, Trial
from genwright.tasks.repair.metrics import GAIN, VARIED, column
from genwright.tasks.verdict import Findings, Training, judge

_SAME = 0.02
"""Variety of samples, of that between pictures, below which they are all the same."""
_TOLD = ("half", "noise")
"""The damages that the headline speaks of."""


def gains(sheet: ScoreSheet) -> dict[str, Score]:
    """How far `mean` is ahead, by damage."""
    found = {trial.name: sheet.score("model", column(GAIN, trial)) for trial in TRIALS}
    return {name: score for name, score in found.items() if score is not None}


def verdict(sheet: ScoreSheet, training: Training) -> Verdict:
    ahead, behind = ahead_and_behind(sheet)
    titles = {trial.name: trial.title for trial in TRIALS}
    measured = gains(sheet)
    found = Findings(
        things="pictures",
        held_out=sheet.protocol.get("held_out_n", 0),
        in_all=sheet.protocol.get("held_out_in_all", 0),
        better=None if not measured else bool(ahead),
        worse=bool(measured) and len(behind) == len(measured),
        good="it mends pictures that it has never seen better than the ways that need no learning",
        no_better="it mends nothing better than the ways that need no learning",
        faults=_faults(sheet, [titles[name] for name in measured if name not in ahead]),
    )
    return judge(found, training)


def ahead_and_behind(sheet: ScoreSheet) -> tuple[list[str], list[str]]:
    """The damages at which `mean` is surely better than what it is set against, and those at which it is surely worse."""
    measured = gains(sheet).items()
    ahead = [name for name, score in measured if (score.low if score.low is not None else score.value) > 0]
    return ahead, [name for name, score in measured if (score.high if score.high is not None else score.value) < 0]


def _faults(sheet: ScoreSheet, no_better: list[str]) -> tuple[str, ...]:
    faults = []
    if no_better:
        faults.append(f"it is no better than the ways that need no learning at: {', '.join(no_better)}")
    varied = sheet.score("sample", VARIED.name)
    if varied is not None and varied.high is not None and varied.high < _SAME:
        faults.append("its samples for one picture are all the same")
    return tuple(faults)


def headline(sheet: ScoreSheet) -> str:
    """How far `mean` is ahead of the way of old that is meant for the damage. Without numbers where too little is held out."""
    measured = gains(sheet)
    if sheet.protocol.get("held_out_n", 0) < ENOUGH or not measured:
        return "Too few pictures were compared to say in numbers how well this model mends them."
    sentences = [
        _sentence(sheet, trial, measured[trial.name])
        for trial in TRIALS
        if trial.name in _TOLD and trial.name in measured
    ]
    ahead, behind = ahead_and_behind(sheet)
    rest = f"Of {len(measured)} kinds of damage it is surely ahead at {len(ahead)}" + (
        f" and behind at {len(behind)}." if behind else "."
    )
    return " ".join([*sentences, rest])


def _sentence(sheet: ScoreSheet, trial: Trial, gain: Score) -> str:
    title = next(metric.title for metric in sheet.metrics if metric.name == column(GAIN, trial))
    other = title.partition(" ahead of ")[2].removesuffix(" (dB)")
    ends = span(gain.low, gain.high, "{:.1f}".format)
    how = "nearer to the true picture" if gain.value >= 0 else "further from the true picture"
    start = trial.title[:1].upper() + trial.title[1:]
    return f"{start}: its mean answer is {abs(gain.value):.1f} dB {how} than {other}{f' ({ends})' if ends else ''}."
