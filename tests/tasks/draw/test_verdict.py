"""Planted pictures, scored by the real protocol: noise, data known by heart, one picture for all words, and a model that has learned.

The generators are written down instead of trained; all that follows, from drawing to the verdict, is what a run does.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genwright.families.base import Family, Moment
from genwright.model import Model
from genwright.model_folder import build_parts
from genwright.recipe import EvaluateSettings, parse
from genwright.scores import ScoreSheet
from genwright.shards import ExampleStore, write_part
from genwright.tasks.base import Splits
from genwright.tasks.draw import scores as draw_scores
from genwright.tasks.draw.task import Draw
from genwright.tasks.image.facts import DrawFacts, caption_tokenizer
from genwright.tasks.image.pixels import to_network
from genwright.tasks.verdict import Training
from genwright.training.base import Batches

SIDE = 16
TRAINED = Training(passes=50)


def shapes(count: int, seed: int) -> np.ndarray:
    """Discs and squares of one colour on white."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:SIDE, :SIDE]
    found = np.full((count, SIDE, SIDE, 3), 255, np.uint8)
    for image in found:
        (row, column), reach = rng.integers(4, 12, 2), rng.integers(2, 6)
        disc = (y - row) ** 2 + (x - column) ** 2 <= reach**2
        square = (abs(y - row) <= reach) & (abs(x - column) <= reach)
        image[disc if rng.random() < 0.5 else square] = rng.integers(0, 200, 3)
    return found


class Planted(nn.Module):
    """A generator that gives one of its pictures, whichever the noise picks."""

    def __init__(self, images_NHWC: np.ndarray):
        super().__init__()
        self.images = nn.Parameter(to_network(images_NHWC), requires_grad=False)
        self.latent = 64

    def forward(self, noise_BZ: Tensor, given: dict[str, Tensor]) -> Tensor:
        return self.images[(noise_BZ[:, 0].abs() * 1e4).long() % len(self.images)]


def few_steps(judge: Family, batches: Batches, steps: int) -> None:
    optimizer = torch.optim.AdamW(judge.modules.parameters(), 1e-3)
    for step in range(5):
        optimizer.zero_grad()
        judge.loss("judge", batches.batch(step * 16, 16), torch.Generator(), Moment()).value.backward()
        optimizer.step()


def sheet(data: np.ndarray, made: np.ndarray, folder: Path) -> tuple[Draw, ScoreSheet]:
    """Of a GAN whose generator gives pictures of `made`; the last 40 of `data` are held out."""
    facts = DrawFacts("none", [], caption_tokenizer([]), len(data))
    for split, images in (("train", data[:-40]), ("test", data[-40:]), ("validation", data[:0])):
        examples = [(str(i), {"image": image, "condition": facts.encode("", ""), "label": np.array([-1], np.int32)}) for i, image in enumerate(images)]  # fmt: skip
        write_part(folder / split, examples)
    splits = Splits({s: ExampleStore([folder / s]) for s in ("train", "validation", "test")} | {"judge": ExampleStore([])})  # fmt: skip
    recipe = parse("task: draw\ndata: {sources: [{folder: .}]}\nmodel: {family: gan, size: 16, width: 16}")
    task, device = Draw(recipe.prepare, recipe.model, "gan"), torch.device("cpu")
    config = task.candidates(facts, splits, device)[0]
    parts = build_parts(task, config, facts, device)
    parts["model"].modules["generator"] = Planted(made)
    model = Model(task, config, facts, parts, device)
    return task, draw_scores.score(model, splits, EvaluateSettings(samples=40), few_steps, folder)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))


def noise(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("data", "made", "grades", "why"),
    [
        (shapes(140, 0), shapes(400, 1), {"good"}, "nearer to real ones"),
        (shapes(140, 0), shapes(140, 0)[:100], {"weak", "useless"}, "by heart"),
        (shapes(140, 0), shapes(1, 3), {"weak", "useless"}, ""),
        (shapes(140, 0), noise(100, 1), {"useless"}, ""),
        (noise(140, 0), noise(100, 1), {"useless"}, "noise"),
    ],
    ids=["learned", "known by heart", "one picture", "draws noise", "data is noise"],
)
def test_planted_pictures(data: np.ndarray, made: np.ndarray, grades: set[str], why: str, tmp_path: Path) -> None:
    task, scored = sheet(data, made, tmp_path)
    found = task.verdict(scored, TRAINED)
    assert found.grade in grades, (found, scored.headline)
    assert why in found.why
    assert "100" in scored.headline or "noise" in scored.headline
