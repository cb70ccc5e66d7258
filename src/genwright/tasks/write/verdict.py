"""`write`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.scores import ENOUGH, Score, ScoreSheet, Verdict, beats
from genwright.tasks.verdict import Findings, Training, copied_above, held_out, how, judge, without_numbers

_LEAST_ORDER = 0.01
"""Share of a text's bits that its order must be worth to count as found: less is what chance gives a shuffled text."""
_LEAKED = 0.5
"""Share of real held-out text that stands in the training text from which on the scores can't tell learning from knowing by heart."""
_REPEATS = 0.6
"""Different pairs of words, as a share of real text's, below which what the model writes repeats itself: real texts of one collection lie
within a fifth of each other."""


def verdict(sheet: ScoreSheet, training: Training, weights: bool) -> Verdict:
    model, baseline = (sheet.score(row, "bits_per_byte") for row in ("model", "baseline"))
    natural = sheet.score("real", "copied_windows")
    leaked = natural is not None and natural.value >= _LEAKED
    found = Findings(
        things="texts",
        held_out=held_out(sheet, "bits_per_byte"),
        in_all=sheet.protocol.get("held_out_in_all", 0),
        better=beats(model, baseline),
        worse=beats(baseline, model),
        good="it guesses text that it has never seen better than counting which token follows which, and does not copy its training text",
        no_better="it guesses text that it has never seen no better than counting which token follows which",
        pointless=_pointless(sheet),
        leaked="what is held out stands for the most part in the training text too, so nobody can say what it has learned beyond that"
        if leaked
        else "",
        copied=copied_above(sheet.score("model", "copied_windows"), natural),
        faults=_faults(sheet),
        weights=weights,
    )
    return judge(found, training)


def _pointless(sheet: ScoreSheet) -> str:
    if any(_finds_order(sheet, row) is not False for row in ("baseline", "model")):
        return ""
    return "the words of these texts stand in no order that could be learned: with each line's words shuffled they cost it as much"


def _finds_order(sheet: ScoreSheet, row: str) -> bool | None:
    order, bits = sheet.score(row, "word_order"), sheet.score(row, "bits_per_byte")
    if order is None or bits is None:
        return None
    return (order.low is None or order.low > 0) and order.value > _LEAST_ORDER * bits.value


def _faults(sheet: ScoreSheet) -> tuple[str, ...]:
    faults = []
    made, real = (sheet.score(row, "distinct_2") for row in ("model", "real"))
    if made is not None and real is not None and made.value < _REPEATS * real.value and beats(made, real):
        faults.append("what it writes repeats itself far more than real text does")
    if _finds_order(sheet, "model") is False:
        faults.append("it has not learned any order of words, only which of them are frequent")
    return tuple(faults)


def headline(sheet: ScoreSheet) -> str:
    """What the model guesses and copies, each beside what it is compared with. Without numbers where too little is held out."""
    model, baseline = (sheet.score(row, "bits_per_byte") for row in ("model", "baseline"))
    if held_out(sheet, "bits_per_byte") < ENOUGH or model is None or baseline is None:
        return without_numbers("text", sheet.protocol.get("held_out_in_all", 0), "writes")
    text = (
        f"It guesses text that it has never seen {how(model, {'baseline': baseline})} simple counting does (a 5-gram): each byte costs it {model.value:.2f} bits, the "
        f"counting {baseline.value:.2f}; fewer is better"
    )
    return f"{text}. {_copying(sheet.score('model', 'copied_windows'), sheet.score('real', 'copied_windows'))}".strip()


def _copying(made: Score | None, real: Score | None) -> str:
    if made is None or real is None:
        return ""
    return (
        f"Of what it writes, {made.value:.1%} stands letter by letter in its training text, in runs of 50 characters; of real text that it "
        f"has never seen, {real.value:.1%} does."
    )
