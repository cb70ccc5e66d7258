"""Scores of poems in a write sheet, where the data is regulated verse: form, rhyme and tones beside those of real poems and of chance."""

from __future__ import annotations

from collections.abc import Sequence

from genwright.ledger import Drop
from genwright.metrics import poems
from genwright.scores import ENOUGH, Metric, Row, Score, ScoreSheet
from genwright.tasks.base import Splits
from genwright.tasks.text.task import item_text
from genwright.tasks.write.held_out import Samples

STRAINS = "strains"
"""The field of an item that has its tone pattern, `平` and `仄` letter under letter with its text."""

_LEAST_SHARE = 1 / 3

_FORM = Metric(
    name="verse_form",
    title="regulated form",
    better="none",
    description="Share of texts with four or eight lines that all have five or all seven characters: best near real poems.",
)
_RHYME = Metric(
    name="verse_rhyme",
    title="rhyme",
    better="higher",
    description="Share of the neighbouring even lines of texts in that form whose last characters rhyme, by rhyme groups learned from "
    "the training poems alone; the floor is real poems with their line ends exchanged.",
)
_TONES = Metric(
    name="verse_tones",
    title="tones",
    better="higher",
    description="Share of the places of texts in that form where the rules of regulated verse set a tone that have it, by a table of "
    "characters learned from the tone patterns of the training poems alone; the floor is real poems with their characters exchanged.",
)


def extend(sheet: ScoreSheet, samples: Samples, splits: Splits, learnt: Sequence[str], seed: int) -> None:
    """Add the scores of verse to a sheet where a third of the real texts or more have its form; else nothing."""
    real = samples.real
    if not real or sum(poems.is_regular(poems.verse(text)) for text in real) < _LEAST_SHARE * len(real):
        return
    training = [lines for text in learnt if poems.is_regular(lines := poems.verse(text))]
    rhymes, table = poems.learn_rhymes(training), poems.learn_tones(_patterns(splits))
    sheet.metrics += [_FORM, _RHYME, *([_TONES] if table else [])]

    def scores(texts: Sequence[str], ends: Sequence[str]) -> dict[str, Score]:
        found = {_FORM.name: poems.form(texts, seed), _RHYME.name: poems.rhyme(ends, rhymes, seed)}
        return found | ({_TONES.name: poems.tones(texts, table, seed)} if table else {})

    for row in sheet.rows:
        if row.name in samples.rows:
            row.scores |= scores(samples.rows[row.name], samples.rows[row.name])
    chance = scores(poems.shuffled_characters(real, seed), poems.shuffled_ends(real, seed))
    del chance[_FORM.name]
    sheet.rows.insert(0, Row(name="floor", title="real poems, characters exchanged", kind="floor", scores=chance))
    sheet.protocol["rhyme"] = (
        f"{rhymes.groups_VG.shape[1]} groups of {len(rhymes.index):,} characters, learned from the even lines of "
        f"{len(training):,} training poems (mixture of unigrams)"
    )
    if table:
        sheet.protocol["tones"] = (
            f"{len(table):,} characters of one tone, learned from the `{STRAINS}` of training poems"
        )
    if len(real) >= ENOUGH:
        sheet.headline += " " + _sentence(sheet)


def _patterns(splits: Splits) -> list[tuple[str, str]]:
    pairs = []
    for item in (splits.items.get(i) for i in splits["train"].ids):
        if item is not None and STRAINS in item.fields and not isinstance(text := item_text(item), Drop):
            pairs.append((text, item.fields[STRAINS]))
    return pairs


def _sentence(sheet: ScoreSheet) -> str:
    model, real = sheet.row("model").scores, sheet.row("real").scores
    floor = sheet.row("floor").scores
    told = [
        f"{model[_FORM.name].value:.0%} of what it writes has the form of regulated verse (real poems: {real[_FORM.name].value:.0%})"
    ]
    for metric, verb in ((_RHYME, "of its even lines rhyme"), (_TONES, "of the ruled tones are kept")):
        if metric.name in model:
            told.append(
                f"{model[metric.name].value:.0%} {verb} (real: {real[metric.name].value:.0%}, chance: {floor[metric.name].value:.0%})"
            )
    return "; ".join(told) + "."
