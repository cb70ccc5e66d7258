"""What a folder is good for, and what it is too small for: rules of thumb, said as such."""

from __future__ import annotations

from genwright.about import Survey, Verdict
from genwright.registry import TASKS

PICTURES_FOR_SIZE = {16: 50, 32: 200, 64: 1_000, 128: 10_000, 256: 50_000}
"""How many pictures a generator of this size wants, so that it learns more than its examples by heart."""

_CHARACTERS = (
    (2_000, "too little to learn from"),
    (100_000, "enough to try it out; the model will mostly know it by heart"),
    (
        1_000_000,
        "enough for a small model that spells and imitates the style; too little for one that makes sense for long",
    ),
    (50_000_000, "enough for a model of its style; too little for one that knows more than these texts"),
    (None, "enough for a model of tens of millions of parameters"),
)


_CODE_CHARACTERS = (
    (20_000, "too little to learn from"),
    (2_000_000, "enough to learn its habits; better from weights that know the language already (`model.from`)"),
    (None, "enough for a small model of its style; better from weights that know the language already (`model.from`)"),
)


_CONVERSATIONS = (
    (50, "too few to learn from"),
    (
        5_000,
        "enough to teach a model that can talk already how to answer (`model.from`); too few to learn talking from",
    ),
    (None, "enough for a small model of their tone; better from weights that can talk already (`model.from`)"),
)


def verdicts(survey: Survey) -> list[Verdict]:
    """A verdict for each task there is."""
    judges = {"write": _write, "draw": _draw, "complete": _complete, "chat": _chat}
    found = []
    for task in TASKS:
        medium = TASKS[task].load_options().MEDIUM
        found.append(judges[task](survey) if task in judges else _other(survey, task, medium))
    return found


def _write(survey: Survey) -> Verdict:
    table = survey.table if survey.table and survey.table.path is None else None
    items = survey.texts + (table.rows if table else 0)
    characters = max(survey.characters, table.characters if table else 0)
    if not items:
        return Verdict("write", 0, False, "no texts")
    verdict = next(words for most, words in _CHARACTERS if most is None or characters < most)
    return Verdict("write", items, characters >= _CHARACTERS[0][0], f"{characters:,} characters: {verdict}")


def _chat(survey: Survey) -> Verdict:
    count = survey.table.conversations if survey.table else 0
    if not count:
        return Verdict("chat", 0, False, "no table of conversations")
    verdict = next(words for most, words in _CONVERSATIONS if most is None or count < most)
    return Verdict("chat", count, count >= _CONVERSATIONS[0][0], f"{count:,} conversations: {verdict}", made_for=True)


def _complete(survey: Survey) -> Verdict:
    if not survey.code:
        return Verdict("complete", 0, False, "no program text")
    verdict = next(words for most, words in _CODE_CHARACTERS if most is None or survey.code_characters < most)
    enough = survey.code_characters >= _CODE_CHARACTERS[0][0]
    text = f"{survey.code_characters:,} characters of program text: {verdict}"
    most = 2 * survey.code >= survey.texts
    return Verdict("complete", survey.texts if most else survey.code, enough, text, made_for=most)


def _draw(survey: Survey) -> Verdict:
    count = survey.pictures
    if survey.table is not None and survey.table.path is not None:
        count = min(count, survey.table.rows)  # pictures that the table does not name would be left out
    if not count:
        return Verdict("draw", 0, False, "no pictures")
    side = min(survey.median_width, survey.median_height)
    by_pixels = max([size for size in PICTURES_FOR_SIZE if size <= side] or [16])
    by_count = max([size for size, least in PICTURES_FOR_SIZE.items() if count >= least] or [16])
    size = min(by_pixels, by_count)
    next_size = next((s for s in PICTURES_FOR_SIZE if s > size), None)
    if count < PICTURES_FOR_SIZE[16]:
        text = f"too few to learn from: a model would only know these by heart; about {PICTURES_FOR_SIZE[16]} are the least"
    else:
        text = f"enough for draw at {size} pixels"
        if next_size and by_count < next_size:
            text += f"; too few for {next_size} pixels (about {PICTURES_FOR_SIZE[next_size]:,})"
        elif next_size and by_pixels < next_size:
            text += f"; too small for {next_size} pixels (the middle one has {side})"
    return Verdict(
        "draw",
        count,
        count >= PICTURES_FOR_SIZE[16],
        f"{count:,} picture{'' if count == 1 else 's'}: {text}",
        settings={"size": size},
    )


def _other(survey: Survey, task: str, medium: str) -> Verdict:
    count = survey.media.get(medium, 0)
    return Verdict(task, count, count > 0, f"{count:,} files of its kind ({medium})")
