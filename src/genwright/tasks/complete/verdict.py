"""`complete`'s score sheet in plain words: the headline, and what the verdict goes by."""

from __future__ import annotations

from genwright.scores import ENOUGH, Score, ScoreSheet, Verdict, beats
from genwright.tasks.verdict import Findings, Training, beats_all, held_out, how, judge, without_numbers

_LESSER = ("baseline", "copy")


def verdict(sheet: ScoreSheet, training: Training, weights: bool) -> Verdict:
    model, baseline = (sheet.score(row, "bits_per_byte") for row in ("model", "baseline"))
    found = Findings(
        things="files",
        held_out=held_out(sheet, "bits_per_byte"),
        in_all=sheet.protocol.get("held_out_files", 0),
        better=beats(model, baseline),
        worse=beats(baseline, model),
        good="it guesses program text that it has never seen better than counting does, and fills blanks better than copying does",
        no_better="it guesses program text that it has never seen no better than counting which token follows which",
        faults=_faults(sheet),
        weights=weights,
    )
    return judge(found, training)


def _faults(sheet: ScoreSheet) -> tuple[str, ...]:
    lesser = {row: sheet.score(row, "line_similarity") for row in _LESSER}
    if beats_all(sheet.score("model", "line_similarity"), lesser, "higher") is False:
        return ("it fills blanked-out lines no better than counting or copying the nearest function does",)
    return ()


def headline(sheet: ScoreSheet) -> str:
    """What program text costs the model and which lines it fills, beside what it is compared with. Without numbers where too little is
    held out."""
    model, baseline = (sheet.score(row, "bits_per_byte") for row in ("model", "baseline"))
    if held_out(sheet, "bits_per_byte") < ENOUGH or model is None or baseline is None:
        return without_numbers("program text", sheet.protocol.get("held_out_files", 0), "completes")
    said = [
        f"It guesses program text that it has never seen {how(model, {'baseline': baseline})} simple counting does (a 5-gram): each byte costs it {model.value:.2f} bits, "
        f"the counting {baseline.value:.2f}; fewer is better."
    ]
    for metric, lines, done in (
        ("line_exact", "lines blanked out in files that it has never seen", "fills {} exactly as they were"),
        ("behaviour_line", "functions with a line blanked out", "fills {} so that they still do what they did"),
    ):
        made = sheet.score("model", metric)
        if made is not None and (made.n or 0) >= ENOUGH:
            others = [score.value for row in _LESSER if (score := sheet.score(row, metric)) is not None]
            said.append(
                f"Of {made.n} {lines} it {done.format(_count(made))}; counting or copying the nearest function {round(max(others) * (made.n or 0))}."
            )
    return " ".join(said)


def _count(share: Score) -> int:
    return round(share.value * (share.n or 0))
