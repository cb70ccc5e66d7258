"""Variety within one prompt in the sheet of a text task: several samples of each of a few prompts, compared by their words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from genwright.metrics.variety import METRIC, Grams, sizes, text_distance, variety
from genwright.scores import ScoreSheet
from genwright.seeds import derive_seed, stream


def extend(
    sheet: ScoreSheet,
    prompts: Sequence[np.ndarray],
    real: Sequence[str],
    writers: Mapping[str, Callable[[list[np.ndarray], int], list[str]]],
    samples: int,
    seed: int,
) -> None:
    """Add the column: to the rows of `writers`, which make texts of some prompts and a seed, and to the row "real" where several of
    `prompts` are the same. Nothing where there are fewer than two different ones.
    """
    count, each = sizes(samples)
    places: dict[bytes, list[int]] = {}
    for index, prompt in enumerate(prompts):
        places.setdefault(prompt.tobytes(), []).append(index)
    rng = stream(seed, "scores", "variety")
    alike = list(places.values())
    order: list[int] = rng.permutation(len(alike)).tolist()
    # In random order, those with several texts first.
    groups = sorted((alike[number] for number in order), key=lambda group: len(group) < 2)[:count]
    if len(groups) < 2:
        return
    asked = [prompts[group[0]] for group in groups for _ in range(each)]
    noise = derive_seed(seed, "scores", "variety")
    texts: dict[str, Sequence[Sequence[str]]] = {
        name: _grouped(write(asked, noise), each) for name, write in writers.items()
    }
    several = [[real[index] for index in group[:each]] for group in groups if len(group) > 1]
    if len(several) > 1:
        texts["real"] = several
    for row in sheet.rows:
        if row.name in texts:
            made = [[Grams(text) for text in group] for group in texts[row.name]]
            row.scores[METRIC.name] = variety(made, text_distance, seed)
    sheet.metrics.append(METRIC)
    sheet.protocol["variety"] = (
        f"{len(groups)} prompts, {each} samples of each, drawn as the others; distance: 1 - the mean of ROUGE-1 and ROUGE-2 (F1), within "
        f"prompts over between them; real: {len(several)} of these prompts, which have several texts, at most {each} each; interval by "
        "bootstrap over prompts"
    )


def _grouped(texts: Sequence[str], each: int) -> list[Sequence[str]]:
    return [texts[start : start + each] for start in range(0, len(texts), each)]
