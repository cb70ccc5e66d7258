"""Going on from a model that was trained before (`model.from`): its network and its words, taught more pictures.

`model` is the recipe's section everywhere below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Family, OptimizerSpec
from genwright.metrics import features
from genwright.metrics import image as metrics
from genwright.model import Model, ModelConfig
from genwright.networks.low_rank import add_low_rank
from genwright.scores import Metric, Score, ScoreSheet
from genwright.seeds import stream
from genwright.tasks.image.facts import DrawFacts, evenly_captions, words_by_count
from genwright.tasks.image.sampling import sample
from genwright.weights.own import Own, open_own

_SLOWER = {False: 0.1, True: 0.5}
"""The rates of a training from nothing times this, without and with a low-rank change: what is known is not to be torn down."""
FIXED = ("width", "network")
"""Settings of families that are the model's own."""
KEPT = Metric(
    name="kept",
    title="KID to before",
    better="lower",
    description="How unlike what it draws for words it knew before is to what it drew for them then, as KID; the row of real pictures has "
    "that model twice, with other noise. What has grown beside it was unlearned.",
)
_MOST_KEPT = 256
"""Pictures that this is measured on."""


def opened(model: Any) -> Own:
    return open_own(model.from_, "draw")


def check(model: Any, family: str) -> None:
    """Raises RequestError when the model to go on from can't be opened, or the recipe asks for what does not go with it."""
    if model.from_ is None:
        if model.lora is not None:
            raise RequestError(
                "`model.lora` is a change of a model to go on from; name that in `model.from`, or leave it out."
            )
        return
    own = opened(model)
    if own.family != family:
        raise RequestError(f"{model.from_} was made by the family `{own.family}`; set `model.family: {own.family}`.")
    for key in FIXED:
        if key in model.model_fields_set:
            raise RequestError(f"`model.{key}` is fixed by the model of `model.from`; leave it out.")
    theirs = own.model["size"]
    if model.size != theirs:
        raise RequestError(f"{model.from_} draws at {theirs} pixels; set `model.size: {theirs}`.")
    if model.condition not in ("auto", facts(model).condition):
        raise RequestError(
            f"{model.from_} draws by `condition: {facts(model).condition}`; say the same in `model.condition`, or leave it out."
        )


def facts(model: Any) -> DrawFacts:
    return DrawFacts.load(opened(model).folder)


def more_facts(model: Any, captions: Sequence[str], shown: Sequence[str], pictures: int) -> DrawFacts:
    """What the model knew, and the words of the new captions: its tokens can spell any."""
    known = facts(model)
    if known.condition == "text":
        new = words_by_count(captions)
        known.known_words = [*new, *(word for word in known.known_words if word not in set(new))]
        known.some_captions = evenly_captions([*shown, *known.some_captions])
    return replace(known, pictures=pictures)


def candidate(model: Any, batch: int) -> ModelConfig:
    theirs = ModelConfig.model_validate(opened(model).config)
    how = "all weights" if model.lora is None else f"a low-rank change of rank {model.lora.rank}"
    return theirs.model_copy(
        update={
            "title": f"{Path(model.from_).name} ({theirs.title}), {how}",
            "batches": {"model": batch},
            "least_steps": 100,
        }
    )


def start(model: Any, family: Family) -> None:
    """Put the weights into a family that was built to be trained on: slower, and where that is asked for by a low-rank change of its frozen
    networks. Raises RequestError when they do not fit."""
    missing = sorted(set(family.modules) - set(family.exported))
    if missing:
        raise RequestError(
            f"{model.from_}: a model of the family `{family.name}` is kept without its {' and '.join(missing)}, so it can't be gone on "
            "from; name one of the family `flow`."
        )
    try:
        family.load_tensors(opened(model).tensors())
    except (RuntimeError, KeyError) as error:
        raise RequestError(
            f"{model.from_}: the weights do not fit its config.json ({error}); export it again."
        ) from error
    slower = _SLOWER[model.lora is not None]
    family.phases = tuple(replace(phase, optimizer=_at(phase.optimizer, slower)) for phase in family.phases)
    if model.lora is not None:
        for network in family.modules.values():
            add_low_rank(network, model.lora.rank, model.lora.alpha)


def _at(spec: OptimizerSpec, share: float) -> OptimizerSpec:
    matrices = spec.matrix_learning_rate
    return replace(
        spec,
        learning_rate=spec.learning_rate * share,
        matrix_learning_rate=None if matrices is None else matrices * share,
    )


def add_kept(sheet: ScoreSheet, model: Model, base: Model, samples: int, seed: int) -> None:
    """The column `KEPT`: what the model draws for words that it knew before, beside what it drew then."""
    known = base.facts.mix(min(samples, _MOST_KEPT), seed)
    if len(known) < 2:
        return
    conditions, engine = np.stack([base.facts.encode(words, words) for words in known]), Engine()
    drawn = {"model": sample(model, engine, conditions, seed)}
    drawn |= {name: sample(base, engine, conditions, seed + other) for other, name in enumerate(("then", "real"), 1)}
    seen = {
        name: features.extract(images, model.device, "evaluate: what it knew before") for name, images in drawn.items()
    }
    for row in sheet.rows:
        if row.kind in ("model", "real"):
            found = metrics.kid(seen[row.kind], seen["then"], stream(seed, "scores", "kept"))
            row.scores[KEPT.name] = Score(value=found.value, low=found.low, high=found.high, n=found.n)
    sheet.metrics.append(KEPT)
