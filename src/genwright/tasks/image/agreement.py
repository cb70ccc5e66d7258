"""Text-picture agreement, for every task whose pictures have words: how often a picture is found to go with its own words among 100.

The judge (metrics/agreement.py) is fitted on pictures of the split `judge`, which neither train nor test the model. True pairs say what it
can tell, shuffled pairs what chance gives. Where true pairs are found less than five times as often as chance would, it can't judge and no
number is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from genwright.console import say
from genwright.metrics import agreement, features, meaning
from genwright.metrics.agreement import AMONG, VOID_BELOW, Maps
from genwright.metrics.image import Estimate
from genwright.scores import Metric
from genwright.seeds import stream
from genwright.tasks.image.pixels import Pictures

METRIC = Metric(
    name="agreement",
    title="words found again",
    better="higher",
    description=f"Retrieval@1: how often a picture goes better with its own words than with {AMONG - 1} others, for a judge of two linear maps "
    "that was fitted on pictures which neither train nor test the model. Real: held-out pictures; model: samples for their words; floor: held-out "
    f"pictures with the words of others, which is chance. Void where real pictures are found below {VOID_BELOW} times chance.",
)
_FEWEST = 30
"""Pairs that the maps are fitted on, and held-out texts."""
_SHUFFLED = "floor"


@dataclass(frozen=True)
class Captioned:
    """Pictures, each with its words."""

    images: Pictures
    words: Sequence[str]


@dataclass(frozen=True)
class Agreed:
    """The column: a score a row, and what stands of it in the protocol."""

    rows: dict[str, Estimate] = field(default_factory=dict)
    protocol: dict[str, str] = field(default_factory=dict)


def measure(judge: Captioned, real: Captioned, made: Mapping[str, Pictures], device: torch.device, seed: int) -> Agreed:
    """`made`: for a row's name, pictures for the words of the real ones, in their order. Says why where there is no number."""
    texts = list(dict.fromkeys(real.words))
    if len(judge.words) < _FEWEST:
        return _too_few(judge, texts)
    if not meaning.available():
        say(
            "evaluate: text-picture agreement is left out, its text features are not installed (pip install 'genwright[metrics-text]')."
        )
        return Agreed(protocol={METRIC.name: "not measured: its text features are not installed"})
    embed = meaning.shared().embed
    maps = agreement.fit(embed(judge.words), _features(judge.images, device))
    # After the fit, which costs the same for any evaluation: so a small one tells what a large one costs.
    if len(texts) < _FEWEST:
        return _too_few(judge, texts)
    text_UK, own = maps.text(embed(texts)), [texts.index(words) for words in real.words]
    rng = stream(seed, "scores", "agreement")

    def found(picture_QE: np.ndarray, own_Q: Sequence[int]) -> Estimate:
        return agreement.retrieval(maps.picture(picture_QE), text_UK, own_Q, rng)

    real_QE = _features(real.images, device)
    others = (np.array(own) + rng.integers(1, len(texts), len(own))) % len(texts)
    rows = {"real": found(real_QE, own), _SHUFFLED: found(real_QE, others.tolist())}
    return _judged(rows, maps, len(texts)) or Agreed(
        rows
        | {
            name: found(features.extract(images, device, f"evaluate: words of the {name} row"), own)
            for name, images in made.items()
        },
        {METRIC.name: _how(maps, len(texts))},
    )


def _too_few(judge: Captioned, texts: Sequence[str]) -> Agreed:
    why = f"not measured: a judge needs {_FEWEST} pictures with words to learn from and as many held-out words, and there are {len(judge.words)} and {len(texts)}"
    return Agreed(protocol={METRIC.name: why})


def _judged(rows: Mapping[str, Estimate], maps: Maps, texts: int) -> Agreed | None:
    """The judge's refusal; None where it can tell true pairs."""
    least = VOID_BELOW * agreement.chance(texts)
    if rows["real"].value >= least:
        return None
    why = (
        f"void: true pairs are found {rows['real'].value:.1%} of the time, below {VOID_BELOW} times chance ({least:.1%}), so this judge, fitted "
        f"on {maps.pairs} pictures, can't tell which words go with a picture of this kind"
    )
    say(f"evaluate: text-picture agreement is {why}.")
    return Agreed(protocol={METRIC.name: why})


def _how(maps: Maps, texts: int) -> str:
    return (
        f"retrieval@1 among {min(AMONG, texts)} of {texts} held-out texts, the mean over all draws; two linear maps (canonical correlations with a "
        f"ridge) fitted on {maps.pairs} pictures that neither train nor test the model, from {meaning.EXTRACTOR} and {features.NAME}; interval by "
        "bootstrap over texts"
    )


def _features(images: Pictures, device: torch.device) -> np.ndarray:
    return features.extract_cached(images, device, "evaluate: features for text-picture agreement")
