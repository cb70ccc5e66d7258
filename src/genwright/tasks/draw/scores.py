"""The scores of the task `draw`: floor, copy, model and real pictures beside each other, by one protocol.

Every distance is measured against one reference set of training pictures. The model draws for the words of *other* training
pictures, which are the copy row themselves; the real row is the held-out split. So the floor knows only the mean of a
class, the copy row shows what handing out training pictures would score, and the real row what a perfect model would.

Shapes: N samples, M reference pictures, D features, L condition length. images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genwright.console import track
from genwright.engine.engine import Engine
from genwright.metrics import copying_image, extra, features
from genwright.metrics import image as metrics
from genwright.metrics.image import Estimate
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Row, Score, ScoreSheet
from genwright.seeds import stream
from genwright.shards import ExampleStore
from genwright.tasks.base import Splits, TrainJudge
from genwright.tasks.draw import variety
from genwright.tasks.draw.metrics import METRICS, name_frechet
from genwright.tasks.draw.verdict import headline
from genwright.tasks.image import agreement, exhibits, sets
from genwright.tasks.image.held_out import held_out_splits
from genwright.tasks.image.judges import STEPS, fresh_judge, own_judge
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.image.sampling import draw

Features = NDArray[np.floating]

MOST_SEARCHED = 5_000
"""Training pictures that are looked through for copies; of a larger set a random part."""
_LEAST = 4
"""Training pictures for a reference of two and two others."""
TITLES = {
    "floor": "mean picture of the class plus noise",
    "copy": "training pictures handed out again",
    "model": "this model",
    "real": "real held-out pictures",
}


@dataclass(frozen=True)
class Material:
    """What is compared: pictures, and what each row of samples was to show."""

    searched: Pictures
    """Training pictures in random order: the reference first, then those whose words are drawn."""
    searched_labels: np.ndarray
    searched_conditions: np.ndarray
    reference_count: int
    copy_count: int
    conditions: np.ndarray
    labels: np.ndarray
    """Of the samples to draw: a label a row, -1 where there is none."""
    held_out: Pictures
    held_out_conditions: np.ndarray
    training_count: int

    @property
    def copies(self) -> slice:
        return slice(self.reference_count, self.reference_count + self.copy_count)


def score(
    model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
) -> ScoreSheet:
    """See the module's docstring. Raises RequestError without the extra `metrics`."""
    if len(splits["train"]) < _LEAST:
        return _too_few(splits)
    features.weights_file()  # says what to install before minutes are spent on drawing
    names = held_out_splits(splits)
    given = gather(splits["train"], [splits[name] for name in names], settings)
    rng, engine = stream(settings.seed, "scores", "samples"), Engine()
    drawn = _draw(model, engine, given.conditions, settings.seed, 0, "evaluate: draw samples")
    # The judge learns from other samples than those it is asked about.
    repeated = rng.integers(0, len(given.conditions), 2 * len(drawn))
    for_judge = _draw(
        model, engine, given.conditions[repeated], settings.seed, len(drawn), "evaluate: draw for the judge"
    )
    shown = _enough_to_show(given.held_out_conditions)
    for_held_out = _draw(model, engine, shown, settings.seed, 0, "evaluate: draw held-out words")

    pictures = {
        "floor": floor(given, rng),
        "copy": given.searched[given.copies],
        "model": drawn,
        "real": given.held_out,
    }
    found = _features(given, pictures, model)
    searched = found.pop("searched")
    reference = searched[: given.reference_count]
    near = {name: metrics.nearest(rows, searched) for name, rows in found.items()}
    limit = copying_image.threshold(near["real"][0], rng) if len(near["real"][0]) >= copying_image.FEWEST else None
    table = {
        name: _scores(name, found[name], pictures[name], reference, near[name][0], limit, rng) for name in pictures
    }
    equal = sets.equal_sets(found, reference, rng, settings.seed)
    second, seconded = sets.second_opinion(
        pictures, given.searched[: given.reference_count], model.device, settings.seed
    )
    agreed = _agreement(model, splits, given, for_held_out, settings)
    for some in (equal, second, {name: {agreement.METRIC.name: value} for name, value in agreed.rows.items()}):
        for name, values in some.items():
            table[name] |= values
    if len(given.held_out) > 0:
        judged = (given.searched, given.held_out), (for_judge, drawn)
        table["model"] |= fresh_judge(train_judge, *judged, settings.judged(STEPS), settings.seed, model.device)
        paired = for_held_out[: len(given.held_out)]
        table["model"] |= own_judge(model.family, given.held_out, paired, given.held_out_conditions, model.device)

    words = variety.Words(given.searched_conditions, given.searched_labels, searched)
    varied = variety.measure(model, words, lambda labels: floor(replace(given, labels=labels), rng), settings)
    for name, value in varied.rows.items():
        table[name][variety.METRIC.name] = value
    sheet = ScoreSheet(
        metrics=[metric for metric in METRICS if any(metric.name in scores for scores in table.values())],
        rows=[_row(name, scores) for name, scores in table.items() if scores],
        protocol=_protocol(given, equal, names, splits.hash, settings, limit)
        | seconded
        | agreed.protocol
        | varied.protocol,
    )
    sheet.protocol["held_out_in_all"] = sum(len(splits[name]) for name in names)
    sheet.headline = headline(sheet)
    neighbours = exhibits.Neighbours(
        near["model"][0], given.searched[near["model"][1]], given.searched[_nearest_by_pixels(drawn, given)]
    )
    sheet.exhibits = _exhibits(model, engine, folder, given, drawn, for_held_out, neighbours, settings, limit)
    name_frechet(sheet, equal, features.DIMENSIONS)
    extra.extend(sheet, "image", pictures, given.searched[: given.reference_count])
    return sheet


def _too_few(splits: Splits) -> ScoreSheet:
    count = len(splits["train"])
    return ScoreSheet(
        metrics=list(METRICS),
        rows=[Row(name="model", title=TITLES["model"], kind="model", scores={})],
        protocol={
            "split_hash": splits.hash,
            "samples": 0,
            "held_out_n": len(splits["test"]) + len(splits["validation"]),
        },
        headline=f"Nothing can be said about how well this model draws: scores need at least {_LEAST} training pictures, and there "
        f"{'is' if count == 1 else 'are'} {count:,}; add pictures.",
    )


def gather(train: ExampleStore, held_out: Sequence[ExampleStore], settings: EvaluateSettings) -> Material:
    """Divide the training pictures into reference and others by the evaluation's seed."""
    most = max(settings.of(MOST_SEARCHED), 2 * settings.samples)
    order = stream(settings.seed, "scores", "reference").permutation(len(train))[:most]
    reference_count = min(settings.samples, len(order) // 2)
    others = order[reference_count : reference_count + settings.samples]
    wanted = np.resize(others, settings.samples)  # goes round where the data has fewer
    return Material(
        searched=_field(train, order, "image"),
        searched_labels=_field(train, order, "label")[:, 0],
        searched_conditions=_field(train, order, "condition"),
        reference_count=reference_count,
        copy_count=len(others),
        conditions=_field(train, wanted, "condition"),
        labels=_field(train, wanted, "label")[:, 0],
        held_out=_first(held_out, settings.samples, "image"),
        held_out_conditions=_first(held_out, settings.samples, "condition"),
        training_count=len(train),
    )


def floor(given: Material, rng: np.random.Generator) -> Pictures:
    """For each sample the mean of its class plus normal noise as wide as the class is at each pixel: all statistics but structure."""
    by_label: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for label in np.unique(given.labels):
        own = given.searched[given.searched_labels == label] if label >= 0 else given.searched
        by_label[int(label)] = own.mean(0), own.std(0)
    shape = given.searched.shape[1:]
    drawn = [by_label[int(label)][0] + by_label[int(label)][1] * rng.standard_normal(shape) for label in given.labels]
    return np.clip(np.round(np.stack(drawn)), 0, 255).astype(np.uint8)


def _field(store: ExampleStore, chosen: np.ndarray, name: str) -> Any:
    return np.stack([store[int(i)][name] for i in chosen])


def _first(stores: Sequence[ExampleStore], count: int, name: str) -> Any:
    rows = [store[i][name] for store in stores for i in range(len(store))][:count]
    return np.stack(rows) if rows else np.empty((0, 1, 1, 3) if name == "image" else (0, 1), np.uint8)


def _enough_to_show(conditions_NL: np.ndarray) -> np.ndarray:
    """Few held-out words are drawn several times, each with a noise of its own."""
    count = max(len(conditions_NL), exhibits.SHOWN) if len(conditions_NL) else 0
    return conditions_NL[np.arange(count) % max(len(conditions_NL), 1)]


def _draw(model: Model, engine: Engine, conditions_NL: np.ndarray, seed: int, first: int, title: str) -> Pictures:
    pictures = draw(model, engine, conditions_NL, seed, model.family.Controls(), first)
    drawn = list(track(pictures, title, len(conditions_NL)))
    return np.stack(drawn) if drawn else np.empty((0, 1, 1, 3), np.uint8)


def _features(given: Material, pictures: Mapping[str, Pictures], model: Model) -> dict[str, Features]:
    """Features of every row with at least one picture, and of the training pictures that are searched."""
    found = {
        "searched": features.extract_cached(given.searched, model.device, "evaluate: features of training pictures")
    }
    for name, images in pictures.items():
        if name == "copy":
            found[name] = found["searched"][given.copies]
        elif name == "real":
            found[name] = features.extract_cached(images, model.device, "evaluate: features of held-out pictures")
        else:
            found[name] = features.extract(images, model.device, f"evaluate: features of the {name} row")
    return found


def _scores(
    name: str,
    own: Features,
    images: Pictures,
    reference: Features,
    distances: NDArray[np.floating],
    limit: copying_image.CopyThreshold | None,
    rng: np.random.Generator,
) -> dict[str, Estimate]:
    if len(own) < 2:
        return {}
    scores = {"kid": metrics.kid(own, reference, rng)}
    if limit is not None:
        scores["copy_rate"] = limit.natural if name == "real" else copying_image.copy_rate(distances, limit)
    scores["sharpness"] = metrics.bootstrap_mean(metrics.sharpness(images), rng)
    return scores


def _agreement(
    model: Model, splits: Splits, given: Material, for_held_out: Pictures, settings: EvaluateSettings
) -> agreement.Agreed:
    """Only where pictures are drawn from words; an older run has set none aside for the judge."""
    judge = splits.stores.get("judge")
    if model.facts.condition != "text" or not judge or not len(given.held_out):
        return agreement.Agreed()
    rows = np.arange(len(judge))
    taught = agreement.Captioned(
        _field(judge, rows, "image"), [model.facts.words(one) for one in _field(judge, rows, "condition")]
    )
    real = agreement.Captioned(given.held_out, [model.facts.words(one) for one in given.held_out_conditions])
    return agreement.measure(taught, real, {"model": for_held_out[: len(given.held_out)]}, model.device, settings.seed)


def _nearest_by_pixels(drawn: Pictures, given: Material) -> NDArray[np.intp]:
    return metrics.nearest(metrics.pixels(drawn), metrics.pixels(given.searched))[1]


def _row(name: str, scores: Mapping[str, Estimate]) -> Row:
    def plain(value: float) -> float | None:
        return value if np.isfinite(value) else None

    shown = {
        key: Score(value=estimate.value, low=plain(estimate.low), high=plain(estimate.high), n=estimate.n)
        for key, estimate in scores.items()
    }
    return Row(name=name, title=TITLES[name], kind=name, scores=shown)  # type: ignore[arg-type]


def _protocol(
    given: Material,
    equal: Mapping[str, Mapping[str, Estimate]],
    names: list[str],
    split_hash: str,
    settings: EvaluateSettings,
    limit: copying_image.CopyThreshold | None,
) -> dict[str, Any]:
    sizes = [estimate.n for scores in equal.values() for estimate in scores.values()]
    return {
        "split": " and ".join(names),
        "split_hash": split_hash,
        "reference": f"{given.reference_count} training pictures, drawn at random",
        "reference_n": given.reference_count,
        "samples": len(given.conditions),
        "words_of_samples": f"those of {given.copy_count} other training pictures, which are the copy row",
        "held_out_n": len(given.held_out),
        **features.protocol(),
        "kid": "unbiased, cubic polynomial kernel, all pairs; interval by the jackknife over both sets",
        "equal_sets": f"precision, recall, density, coverage and Frechet distance: means over {sets.EQUAL_SETS} random sets of "
        f"{sizes[0] if sizes else 0} pictures a side; interval of density and Frechet distance: by random halves of the sets (delete-half "
        "jackknife)",
        "neighbours": sets.NEIGHBOURS,
        "copies_searched": f"{len(given.searched)} of {given.training_count} training pictures",
        "copy_distance": round(limit.distance, 4) if limit else None,
        "copy_percentile": copying_image.PERCENTILE,
        "judge": f"trained {settings.judged(STEPS)} steps on {len(given.searched)} training and {2 * len(given.conditions)} generated "
        "pictures, asked about held-out and other generated ones",
        "seed": settings.seed,
        "interval": "95 %; shares: Wilson; sharpness: bootstrap over pictures",
    }


def _exhibits(
    model: Model,
    engine: Engine,
    folder: Path,
    given: Material,
    drawn: Pictures,
    for_held_out: Pictures,
    near: exhibits.Neighbours,
    settings: EvaluateSettings,
    limit: copying_image.CopyThreshold | None,
) -> list[Exhibit]:
    held_out = len(for_held_out) > 0
    conditions = given.held_out_conditions if held_out else given.conditions
    words, drawn_words = ([model.facts.words(one) for one in some] for some in (conditions, given.conditions))
    shown = [exhibits.samples_sheet(folder, for_held_out if held_out else drawn, words, settings.seed, held_out)]
    if held_out:
        shown.append(exhibits.beside_real(folder, for_held_out, given.held_out, words))
    shown += exhibits.neighbours(folder, drawn, drawn_words, near, limit.distance if limit else 0.0)
    shown += exhibits.interpolation(folder, model, engine, conditions, settings.seed)
    shown += exhibits.attention_maps(folder, model, engine, words, settings.seed)
    if held_out:
        shown += exhibits.reconstructions(folder, model.family, given.held_out, conditions, model.device)
    return shown
