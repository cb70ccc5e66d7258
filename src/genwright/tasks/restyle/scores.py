"""The scores of the task `restyle`: held-out pictures in the other hand beside themselves, their colours matched, and their true drawings.

What comes out is compared with the true other drawing of the same thing, where there is one; also of a model that learned from two sets, to which
it was never shown as such. Every difference between rows is taken picture by picture.

Shapes: N held-out pictures. images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genwright.console import track
from genwright.engine.engine import Engine
from genwright.media.image import grid, save_png
from genwright.metrics import extra, features, perceptual
from genwright.metrics import image as metrics
from genwright.metrics.image import Estimate
from genwright.model import Model
from genwright.recipe import EvaluateSettings
from genwright.scores import Exhibit, Row, Score, ScoreSheet
from genwright.seeds import stream
from genwright.tasks.base import Splits, TrainJudge
from genwright.tasks.image.judges import STEPS, fresh_judge, own_judge
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.restyle.carry import restyled
from genwright.tasks.restyle.colours import matched, matching
from genwright.tasks.restyle.columns import LESSER, METRICS, TRUTHS, gain
from genwright.tasks.restyle.material import Drawing, Material, gather
from genwright.tasks.restyle.verdict import headline

TITLES = {
    "floor": "the picture as it is",
    "colours": "its colours matched to the other hand",
    "model": "this model",
    "real": "real drawings in the other hand",
}
_KINDS = {"colours": "baseline"}
_AMONG = 100
"""Held-out sources among which a picture's own is looked for."""
_SHOWN, _ACROSS, _SIDE = 24, 12, 64


def score(
    model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
) -> ScoreSheet:
    """See the module's docstring. Raises RequestError without the extra `metrics`."""
    features.weights_file()  # says what to install before minutes are spent on drawing
    given = gather(splits, model.facts, settings.seed, settings.samples)
    if min(len(given.held_out), len(given.real), len(given.training_drawings)) < 2:
        return _too_few(given, splits)
    rng, engine = stream(settings.seed, "scores", "intervals"), Engine()
    sources, styles = np.stack([one.source for one in given.held_out]), [one.style for one in given.held_out]
    pictures = {
        "floor": sources,
        "colours": _colours(given),
        "model": _restyled(model, engine, sources, styles, settings.seed, 0, "evaluate: restyle held-out pictures"),
        "real": given.real,
    }
    found = {
        name: features.extract(images, model.device, f"evaluate: features of the {name} row")
        for name, images in pictures.items()
    }
    reference = features.extract_cached(
        given.training_drawings, model.device, "evaluate: features of training pictures"
    )
    table = {name: {"kid": metrics.kid(own, reference, rng)} for name, own in found.items()}
    for name, images in pictures.items():
        table[name]["sharpness"] = metrics.bootstrap_mean(metrics.sharpness(images), rng)
    for name in found if given.true else ("floor", "colours", "model"):
        table[name]["content"] = _content(found[name], found["floor"])
    if given.true:
        _truths(table, pictures, model, rng)
    table["model"] |= _judged(model, engine, given, pictures, train_judge, settings)
    sheet = ScoreSheet(
        metrics=[metric for metric in METRICS if any(metric.name in scores for scores in table.values())],
        rows=[_row(name, scores) for name, scores in table.items()],
        protocol=_protocol(given, splits, settings),
        exhibits=[_sheet(folder, given, pictures)],
    )
    sheet.headline = headline(sheet)
    extra.extend(sheet, "image", pictures, given.training_drawings)
    return sheet


def _too_few(given: Material, splits: Splits) -> ScoreSheet:
    return ScoreSheet(
        metrics=list(METRICS),
        rows=[Row(name="model", title=TITLES["model"], kind="model", scores={})],
        protocol={"split_hash": splits.hash, "held_out_n": len(given.held_out), "held_out_in_all": given.in_all},
        headline="Nothing can be said about how well this model restyles: too few pictures are held out; add pictures.",
    )


def _colours(given: Material) -> Pictures:
    """The held-out pictures with the colours of the hand that each is carried over to."""
    tables = {
        int(style): matching(given.training_sources, given.training_drawings[given.training_styles[:, 0] == style])
        for style in np.unique(given.training_styles)
    }
    whole = matching(given.training_sources, given.training_drawings)
    return np.stack([matched(one.source, tables.get(int(one.style[0]), whole)) for one in given.held_out])


def _restyled(
    model: Model, engine: Engine, sources: Pictures, styles: list[np.ndarray], seed: int, first: int, title: str
) -> Pictures:
    return np.stack(list(track(restyled(model, engine, sources, styles, seed, first=first), title, len(sources))))


def _content(own_ND: np.ndarray, source_ND: np.ndarray) -> Estimate:
    """How often a picture's own source is the nearest of some."""
    _, nearest_N = metrics.nearest(own_ND[:_AMONG], source_ND[:_AMONG])
    return metrics.share(nearest_N == np.arange(len(nearest_N)))


def _truths(
    table: dict[str, dict[str, Estimate]], pictures: Mapping[str, Pictures], model: Model, rng: np.random.Generator
) -> None:
    """Put in the distances from the true drawings, and how much nearer the model comes, picture by picture."""
    real = pictures["real"]
    measured: dict[str, dict[str, np.ndarray]] = {name: {} for name in TRUTHS}
    for row in (*LESSER, "model"):
        title = f"evaluate: distances of the {row} row"
        measured["perceptual"][row] = perceptual.distances(pictures[row], real, model.device, title)
        measured["pixels"][row] = np.linalg.norm(metrics.pixels(pictures[row]) - metrics.pixels(real), axis=1)
    for name, rows in measured.items():
        for row, values in rows.items():
            table[row][name] = metrics.bootstrap_mean(values, rng)
        for row in LESSER:
            table["model"][gain(name, row)] = metrics.bootstrap_mean(rows[row] - rows["model"], rng)
        table["real"][name] = Estimate(0.0, 0.0, 0.0, len(real))


def _judged(
    model: Model,
    engine: Engine,
    given: Material,
    pictures: Mapping[str, Pictures],
    train_judge: TrainJudge,
    settings: EvaluateSettings,
) -> dict[str, Estimate]:
    """The judge learns from what the model makes of training pictures, and is asked about held-out ones."""
    count = len(given.training_sources)
    styles = [given.training_styles[i % len(given.training_styles)] for i in range(count)]
    for_judge = _restyled(
        model,
        engine,
        given.training_sources,
        styles,
        settings.seed,
        len(given.held_out),
        "evaluate: restyle for the judge",
    )
    judged = (given.training_drawings, given.real), (for_judge, pictures["model"])
    found = fresh_judge(train_judge, *judged, settings.judged(STEPS), settings.seed, model.device)
    both = min(len(given.real), len(pictures["model"]))
    nothing = np.zeros((both, 1), np.int64)
    return found | own_judge(model.family, given.real[:both], pictures["model"][:both], nothing, model.device)


def _row(name: str, scores: Mapping[str, Estimate]) -> Row:
    shown = {key: Score(value=e.value, low=_plain(e.low), high=_plain(e.high), n=e.n) for key, e in scores.items()}
    return Row(name=name, title=TITLES[name], kind=_KINDS.get(name, name), scores=shown)  # type: ignore[arg-type]


def _plain(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _protocol(given: Material, splits: Splits, settings: EvaluateSettings) -> dict[str, Any]:
    truth = "the true other drawing of each" if given.true else "none: no true other drawing is known"
    return {
        "split": " and ".join(given.splits),
        "split_hash": splits.hash,
        "held_out_n": len(given.held_out),
        "held_out_in_all": given.in_all,
        "held_out": "one of each group, at random",
        "truth": truth,
        "reference": f"{len(given.training_drawings)} training pictures in the other hand, drawn at random",
        **features.protocol(),
        "perceptual": "maps of five resolutions, unit length over channels, squared differences summed over channels, means over places "
        "and resolutions",
        "colours": f"each channel's histogram matched, over {len(given.training_sources)} training pictures a side",
        "kid": "unbiased, cubic polynomial kernel, all pairs; interval by the jackknife over both sets",
        "content": f"own source nearest of {min(len(given.held_out), _AMONG)} held-out ones, by the same features",
        "judge": f"trained {settings.judged(STEPS)} steps on {len(given.training_drawings)} training pictures and as many restyled training "
        "pictures, asked about held-out ones",
        "seed": settings.seed,
        "interval": "95 %; shares: Wilson; distances, their differences and sharpness: bootstrap over pictures",
    }


def _sheet(folder: Path, given: Material, pictures: Mapping[str, Pictures]) -> Exhibit:
    """The first held-out pictures, which are in random order, in bands of twelve: source, restyled, true."""
    rows, words = ["floor", "model", *(["real"] if given.true else [])], []
    chosen: list[Drawing] = given.held_out[:_SHOWN]
    images: list[np.ndarray] = []
    across = min(_ACROSS, len(chosen))
    for start in range(0, len(chosen) - across + 1, across):
        for row in rows:
            images += list(pictures[row][start : start + across])
            words += [one.words for one in chosen[start : start + across]]
    file = folder / "restyled.png"
    save_png(grid(images, columns=across, scale=max(1, _SIDE // images[0].shape[0])), file)
    return Exhibit(
        name="restyled",
        title="Restyled",
        caption=f"From above: held-out pictures, what the model makes of them{', their true drawings in the other hand' if given.true else ''}; "
        "at random, and otherwise unpicked.",
        file=file.name,
        words=words,
        across=across,
        shows_training_items=True,
    )
