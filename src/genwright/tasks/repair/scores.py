"""The scores of the task `repair`: held-out pictures damaged in fixed ways, mended by the model and by ways of old, beside the true ones.

Every row gets the same damaged pictures, so that differences are paired. Intervals are drawn over pictures of the data: pieces of one
photograph go together.

Shapes: N pictures, D features. images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.console import say, track
from genwright.engine.engine import Engine
from genwright.media.image import grid, save_png
from genwright.metrics import extra, features, restoration
from genwright.metrics import image as metrics
from genwright.metrics.image import Estimate
from genwright.metrics.variety import sizes, variety
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Row, Score, ScoreSheet
from genwright.seeds import stream
from genwright.shards import Example
from genwright.tasks.base import Splits
from genwright.tasks.image.held_out import held_out_splits
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.repair import classical
from genwright.tasks.repair.damage import TRIALS, Trial
from genwright.tasks.repair.masks import Known
from genwright.tasks.repair.mending import MEAN, SAMPLE, mended
from genwright.tasks.repair.metrics import GAIN, KID, PERCEPTUAL, PSNR, SSIM, VARIED, column, metrics_of
from genwright.tasks.repair.verdict import headline

_LEAST = 2
_ACROSS = 12
_SIDE = 64
"""Pixels a picture is shown at, at least."""
_STRENGTHS = (3, 6, 10, 15, 20, 25, 30)
_TRIED = 24
"""Training pictures by which the strength of non-local means is chosen."""
KINDS = {
    "identity": "floor",
    "telea": "baseline",
    "navier_stokes": "baseline",
    "nlm": "baseline",
    "model": "model",
    "sample": "model",
    "real": "real",
}
"""The rows, and their place."""
TITLES = classical.TITLES | {"model": "this model, mean", "sample": "this model, sample", "real": "the true pictures"}


@dataclass(frozen=True)
class Material:
    """Held-out pictures with the item that each is of, and training pictures."""

    true: Pictures
    items: list[str]
    reference: Pictures
    names: list[str]
    in_all: int


@dataclass
class Table:
    """Scores by row and column, as they are measured."""

    material: Material
    seed: int
    scores: dict[str, dict[str, Estimate]] = field(default_factory=lambda: {name: {} for name in KINDS})
    strengths: dict[str, float] = field(default_factory=dict)
    """Of non-local means, by damage."""

    def put(self, row: str, measure: str, trial: Trial, values_N: NDArray[np.floating]) -> None:
        rng = stream(self.seed, "scores", "interval")
        self.scores[row][column(measure, trial)] = restoration.mean_over(values_N, self.material.items, rng)


def score(model: Model, splits: Splits, settings: EvaluateSettings, folder: Path) -> ScoreSheet:
    """See the module's docstring. Raises RequestError without the extra `metrics`."""
    features.weights_file()
    names = held_out_splits(splits)
    if sum(len(splits[name]) for name in names) < _LEAST or len(splits["train"]) < _LEAST:
        return _too_few(splits)
    material = gather(splits, names, settings)
    if not classical.is_there():
        say(
            f"evaluate: without OpenCV there are no rows of other ways to mend pictures; {classical.INSTALL} adds them."
        )
    table, engine = Table(material, settings.seed), Engine()
    seen = _Seen(model, material)
    table.scores["real"] = {column(KID, trial): seen.kid(seen.true, settings.seed) for trial in TRIALS}
    exhibits, shown = [], {}
    for trial in TRIALS:
        examples = damaged(trial, material.true, settings.seed)
        ways = _ways(model, engine, trial, examples, table)
        _measure(table, seen, trial, ways)
        exhibits.append(_exhibit(folder, trial, examples, ways, material.true))
        shown[trial.name] = ways
    varied = _variety(model, engine, material, settings)
    if varied is not None:
        table.scores["sample"][VARIED.name] = varied
    sheet = _sheet(table, splits, settings)
    sheet.exhibits = exhibits
    extra.extend(sheet, "image", {name: shown["half"][name] for name in ("model", "sample")}, material.reference)
    return sheet


def gather(splits: Splits, names: Sequence[str], settings: EvaluateSettings) -> Material:
    """Pictures spread evenly over the splits; a reference drawn by the evaluation's seed."""
    rows = [(name, row) for name in names for row in range(len(splits[name]))]
    chosen = np.linspace(0, len(rows) - 1, min(settings.samples, len(rows))).round().astype(int)
    found = [(splits[name][row]["image"], splits[name].ids[row]) for name, row in (rows[int(i)] for i in chosen)]
    train = splits["train"]
    order = stream(settings.seed, "scores", "reference").permutation(len(train))[: settings.samples]
    reference = np.stack([train[int(i)]["image"] for i in order])
    return Material(
        np.stack([image for image, _ in found]), [item for _, item in found], reference, list(names), len(rows)
    )


def damaged(trial: Trial, images_NHWC: Pictures, seed: int) -> list[Example]:
    """The same for the same seed, whatever else is measured."""
    return [trial.apply(image, stream(seed, "damage", trial.name, i)) for i, image in enumerate(images_NHWC)]


def _ways(model: Model, engine: Engine, trial: Trial, examples: list[Example], table: Table) -> dict[str, Pictures]:
    """The damaged pictures mended in every way that is meant for the damage, by the rows' names."""
    known = [example["known"].astype(bool) for example in examples]
    ways = {"identity": np.stack([flat(one["seen"], known_HW) for one, known_HW in zip(examples, known, strict=True)])}
    for name, controls in (("model", MEAN), ("sample", SAMPLE)):
        found = mended(model, engine, examples, controls, table.seed)
        ways[name] = np.stack(list(track(found, f"evaluate: {trial.title}, {name}", len(examples))))
    if not classical.is_there():
        return ways
    if trial.classical == "telea":
        for way in ("telea", "navier_stokes"):
            ways[way] = np.stack([classical.filled(e["seen"], k, way) for e, k in zip(examples, known, strict=True)])
    if trial.classical == "nlm":
        strength = table.strengths[trial.name] = best_strength(trial, table.material.reference, table.seed)
        ways["nlm"] = np.stack([classical.denoised(example["seen"], strength) for example in examples])
    return ways


def flat(seen: Pictures, known: Known) -> Pictures:
    """A damaged picture left as it is; what is missing has the mean colour of what is known, or is grey where nothing is."""
    if known.all():
        return seen
    mean = seen[known].mean(0).round() if known.any() else np.full(3, 128.0)
    return np.where(known[..., None], seen, mean.astype(np.uint8))


def best_strength(trial: Trial, training_NHWC: Pictures, seed: int) -> float:
    """That of non-local means which does best by PSNR on training pictures that are damaged alike."""
    some = training_NHWC[:_TRIED]
    examples = damaged(trial, some, seed + 1)

    def quality(strength: float) -> float:
        found = np.stack([classical.denoised(example["seen"], strength) for example in examples])
        return float(restoration.psnr(found, some).mean())

    return max(_STRENGTHS, key=quality)


class _Seen:
    """Pictures as the network for recognising pictures sees them."""

    def __init__(self, model: Model, material: Material):
        self.device = model.device
        self.reference = features.extract_cached(
            material.reference, self.device, "evaluate: features of training pictures"
        )
        self.true = features.extract_cached(material.true, self.device, "evaluate: features of held-out pictures")

    def of(self, images_NHWC: Pictures, title: str) -> NDArray[np.floating]:
        return features.extract(images_NHWC, self.device, f"evaluate: features, {title}")

    def kid(self, found_ND: NDArray[np.floating], seed: int) -> Estimate:
        return metrics.kid(found_ND, self.reference, stream(seed, "scores", "kid"))


def _measure(table: Table, seen: _Seen, trial: Trial, ways: dict[str, Pictures]) -> None:
    true_NHWC = table.material.true
    quality = {name: restoration.psnr(images, true_NHWC) for name, images in ways.items()}
    other = against(trial)
    for name, images in ways.items():
        table.put(name, PSNR, trial, quality[name])
        table.put(name, SSIM, trial, restoration.ssim(images, true_NHWC))
        found_ND = seen.of(images, f"{trial.title}, {name}")
        table.put(name, PERCEPTUAL, trial, np.linalg.norm(found_ND - seen.true, axis=1))
        table.scores[name][column(KID, trial)] = seen.kid(found_ND, table.seed)
        if name in ("model", "sample"):
            table.put(name, GAIN, trial, quality[name] - quality[other])


def against(trial: Trial) -> str:
    """The row that the model is set against."""
    return trial.classical if classical.is_there() else "identity"


def _variety(model: Model, engine: Engine, material: Material, settings: EvaluateSettings) -> Estimate | None:
    """Of several samples for each of a few pictures of which half is missing."""
    count, each = sizes(settings.samples)
    chosen = evenly_of(len(material.true), count)
    if len(chosen) < _LEAST:
        return None
    half = next(trial for trial in TRIALS if trial.name == "half")
    examples = [one for one in damaged(half, material.true[chosen], settings.seed) for _ in range(each)]
    drawn = mended(model, engine, examples, SAMPLE, settings.seed, first=len(material.true))
    images = np.stack(list(track(drawn, "evaluate: several samples of one picture", len(examples))))
    found = features.extract(images, model.device, "evaluate: variety").reshape(len(chosen), each, -1)
    score = variety([list(group) for group in found], lambda a, b: float(np.linalg.norm(a - b)), settings.seed)
    return Estimate(**score.model_dump())


def evenly_of(there: int, wanted: int) -> NDArray[np.intp]:
    return np.linspace(0, there - 1, min(wanted, there)).round().astype(np.intp)


def _sheet(table: Table, splits: Splits, settings: EvaluateSettings) -> ScoreSheet:
    columns = [metric for trial in TRIALS for metric in metrics_of(trial, TITLES[against(trial)])] + [VARIED]
    rows = [
        Row(
            name=name,
            title=TITLES[name],
            kind=kind,  # type: ignore[arg-type]
            scores={key: _plain(one) for key, one in table.scores[name].items()},
        )  # type: ignore[arg-type]
        for name, kind in KINDS.items()
        if table.scores[name]
    ]
    there = {name for row in rows for name in row.scores}
    sheet = ScoreSheet(
        metrics=[metric for metric in columns if metric.name in there],
        rows=rows,
        protocol=_protocol(table, splits.hash, settings),
    )
    sheet.headline = headline(sheet)
    return sheet


def _plain(estimate: Estimate) -> Score:
    low, high = (end if np.isfinite(end) else None for end in (estimate.low, estimate.high))
    return Score(value=estimate.value, low=low, high=high, n=estimate.n)


def _protocol(table: Table, split_hash: str, settings: EvaluateSettings) -> dict[str, Any]:
    material = table.material
    return {
        "split": " and ".join(material.names),
        "split_hash": split_hash,
        "samples": len(material.true),
        "held_out_n": len(set(material.items)),
        "held_out_in_all": material.in_all,
        "reference_n": len(material.reference),
        "damage": {trial.name: trial.title for trial in TRIALS},
        "answers": f"mean: one step of euler; sample: {SAMPLE['steps']} steps of {SAMPLE['solver']}; what is known stays where parts are missing",
        "nlm": f"strength by damage, the best of {_STRENGTHS} on {_TRIED} training pictures: {table.strengths}",
        "inpainting": "OpenCV, radius 3" if classical.is_there() else f"not measured: {classical.INSTALL}",
        **features.protocol(),
        "kid": "unbiased, cubic polynomial kernel, all pairs; interval by the jackknife over both sets",
        "interval": "95 %, bootstrap over pictures of the data (pieces of one together); of a difference: paired",
        "seed": settings.seed,
    }


def _exhibit(
    folder: Path, trial: Trial, examples: Sequence[Example], ways: dict[str, Pictures], true_NHWC: Pictures
) -> Exhibit:
    """Damaged, mended by mean, by sample and by the way of old, and true, below one another."""
    chosen = evenly_of(len(true_NHWC), _ACROSS)
    damaged_NHWC = np.stack([np.where(e["known"][..., None] > 0, e["seen"], np.uint8(128)) for e in examples])
    other = against(trial)
    old = {} if other == "identity" else {TITLES[other]: ways[other]}
    rows = {"damaged": damaged_NHWC, "mean": ways["model"], "sample": ways["sample"], **old, "true": true_NHWC}
    images = [image for row in rows.values() for image in row[chosen]]
    save_png(grid(images, columns=len(chosen), scale=max(1, _SIDE // len(images[0]))), folder / f"{trial.name}.png")
    return Exhibit(
        name=trial.name,
        title=trial.title[:1].upper() + trial.title[1:],
        caption=f"From top to bottom: {', '.join(rows)}. Held-out pictures, spread evenly and otherwise unpicked.",
        file=f"{trial.name}.png",
        shows_training_items=True,
    )


def _too_few(splits: Splits) -> ScoreSheet:
    counts = {name: len(splits[name]) for name in ("train", "validation", "test")}
    return ScoreSheet(
        metrics=[metric for trial in TRIALS for metric in metrics_of(trial, TITLES[against(trial)])],
        rows=[Row(name="model", title=TITLES["model"], kind="model", scores={})],
        protocol={
            "split_hash": splits.hash,
            "samples": 0,
            "held_out_n": 0,
            "held_out_in_all": counts["test"] + counts["validation"],
        },
        headline="Nothing can be said about how well this model mends pictures: scores need two held-out pictures; add pictures.",
    )
