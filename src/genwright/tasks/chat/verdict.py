"""`chat`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.scores import ENOUGH, ScoreSheet, Verdict, beats
from genwright.tasks.verdict import Findings, Training, beats_all, copied_above, held_out, how, judge, without_numbers

_LESSER = ("counting", "before")
"""Rows that a model has to beat: counting, and the weights it started from."""
_REPEATS = 0.6
"""Different pairs of words, as a share of real replies', below which a model says the same again and again."""


def verdict(sheet: ScoreSheet, training: Training, weights: bool) -> Verdict:
    started = sheet.score("before", "bits_per_byte") is not None
    than = "the weights it started from" if started else "counting which token follows which"
    found = Findings(
        things="conversations",
        held_out=held_out(sheet, "bits_per_byte"),
        in_all=sheet.protocol.get("held_out_in_all", 0),
        better=_better(sheet),
        worse=any(beats(sheet.score(name, "bits_per_byte"), sheet.score("model", "bits_per_byte")) for name in _LESSER)
        and sheet.score("model", "preferred") is None,
        good=f"it guesses replies that it has never seen better than {than}, and takes in what was said before",
        no_better=f"it guesses replies that it has never seen no better than {than}",
        copied=copied_above(sheet.score("model", "known_replies"), sheet.score("real", "known_replies")),
        faults=_faults(sheet),
        cure="raise `model.context`, in a run of its own (`--run-dir`), so that questions leave room for an answer"
        if sheet.protocol.get("held_out_replies") == 0 and held_out(sheet, "bits_per_byte")
        else "",
        weights=weights,
    )
    return judge(found, training)


def _better(sheet: ScoreSheet) -> bool | None:
    if sheet.score("model", "preferred") is not None:  # a training on preferences is not there to lower the bits
        return beats(sheet.score("model", "preferred"), sheet.score("before", "preferred"), "higher")
    lesser = {name: sheet.score(name, "bits_per_byte") for name in _LESSER}
    return beats_all(sheet.score("model", "bits_per_byte"), lesser)


def _listens(sheet: ScoreSheet) -> bool | None:
    more = sheet.score("model", "listening")
    return None if more is None else more.value > 0 and (more.low is None or more.low > 0)


def _faults(sheet: ScoreSheet) -> tuple[str, ...]:
    faults = []
    if _listens(sheet) is False:
        faults.append("what was said before makes no difference to what it answers")
    made, real = (sheet.score(row, "distinct_2") for row in ("model", "real"))
    if made is not None and real is not None and made.value < _REPEATS * real.value and beats(made, real):
        faults.append("it says the same again and again, far more than real replies do")
    return tuple(faults)


def headline(sheet: ScoreSheet) -> str:
    """What replies cost the model, beside what it is compared with. Without numbers where too little is held out."""
    model = sheet.score("model", "bits_per_byte")
    lesser = {name: score for name in _LESSER if (score := sheet.score(name, "bits_per_byte")) is not None}
    if held_out(sheet, "bits_per_byte") < ENOUGH or model is None or not lesser:
        return without_numbers("conversation", sheet.protocol.get("held_out_in_all", 0), "answers")
    titles = {"counting": "simple counting (a 5-gram)", "before": "the weights it started from"}
    compared = ", ".join(f"{titles[name]} {score.value:.2f}" for name, score in lesser.items())
    said = [
        f"It guesses replies that it has never seen {how(model, lesser)} {' and '.join(titles[name] for name in lesser)}: each byte costs it "
        f"{model.value:.2f} bits, {compared}; fewer is better."
    ]
    listens = _listens(sheet)
    if listens is not None:
        said.append(
            "A reply is likelier to it behind its own conversation than behind another one, so it takes in what was said."
            if listens
            else "A reply is no likelier to it behind its own conversation than behind another one: it does not take in what was said."
        )
    return " ".join([*said, *_forgotten(sheet)])


def _forgotten(sheet: ScoreSheet) -> list[str]:
    now, before = (sheet.score(row, "old_bits_per_byte") for row in ("model", "before"))
    if now is None or before is None or (now.n or 0) < ENOUGH:
        return []
    cost = f"general answers, which this data has nothing to do with, cost it {now.value:.2f} bits, {before.value:.2f} before"
    return [f"It has forgotten some of what it knew: {cost}." if now.value > before.value else f"Nothing was forgotten: {cost}."]  # fmt: skip
