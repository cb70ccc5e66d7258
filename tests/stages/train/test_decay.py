"""Weights decay where a training sees its data many times, and only there."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from genwright.families.base import OptimizerSpec
from genwright.families.transformer.family import OPTIMIZER, Transformer
from genwright.networks.decoder import Decoder
from genwright.recipe import TrainSettings
from genwright.stages.train.decay import most_passes, weight_decay
from genwright.tasks.packing import Packed
from genwright.tasks.text.sizes import network_for
from genwright.training.base import Settings
from genwright.training.trainer import Trainer
from genwright.training.validation import held_out_loss

CPU = torch.device("cpu")


def test_few_passes_need_none_and_more_need_more() -> None:
    assert weight_decay(3.9, 1000, 0.006, 20) is None
    found = [weight_decay(passes, 20 * passes, 0.006, 20) or 0 for passes in (4, 12, 24, 100)]
    assert found[:3] == sorted(found[:3]) and found[3] == pytest.approx(found[2])


@pytest.mark.parametrize(
    ("passes", "steps", "parameters", "best"), [(12, 234, 20, 6), (24, 468, 20, 12), (24, 468, 5, 6)]
)
def test_it_is_what_was_found_to_be_best(passes: float, steps: int, parameters: float, best: float) -> None:
    assert weight_decay(passes, steps, 0.006, parameters) == pytest.approx(best, rel=0.05)


def test_a_pass_takes_the_same_share_of_a_weight_whatever_batch_and_rate_are() -> None:
    for steps, rate in ((240, 0.006), (2400, 0.006), (240, 0.012)):
        decay = weight_decay(12, steps, rate, 20)
        assert decay is not None and decay * rate * steps / 12 == pytest.approx(12 / 17)


@pytest.mark.parametrize(("parameters", "most"), [(20_000, 24), (5_000, 24), (1_250, 48)])
def test_passes_end_where_more_do_no_good(parameters: int, most: float) -> None:
    job: Any = SimpleNamespace(part=SimpleNamespace(decays_by_passes=True), pass_examples=lambda: 10)
    measured: Any = SimpleNamespace(parameters=parameters, weight_per_step=400)
    assert most_passes(job, TrainSettings.model_validate({}), measured, 4) == pytest.approx(most)
    assert most_passes(job, TrainSettings.model_validate({"weight_decay": 0.1}), measured, 4) == float("inf")
    job.part.decays_by_passes = False
    assert most_passes(job, TrainSettings.model_validate({}), measured, 4) == float("inf")


def test_settings_override_the_optimizer() -> None:
    spec = Settings(batch=1, weight_decay=2.0).overriding(OptimizerSpec(weight_decay=0.1))
    assert spec.weight_decay == 2.0
    assert Settings(batch=1).overriding(spec) == spec


class Text:
    """A document of some tokens, of which each is likelier to be followed by one other."""

    def __init__(self, seed: int, length: int):
        rng, after = np.random.default_rng(seed), np.random.default_rng(0).permutation(30)
        tokens = [0]
        for sure, other in zip(rng.random(length), rng.integers(0, 30, length), strict=True):
            tokens.append(int(after[tokens[-1]]) if sure < 0.5 else int(other))
        self.tokens = np.array(tokens, np.uint16)

    def lengths(self, name: str) -> np.ndarray:
        return np.array([len(self.tokens)])

    def last(self, name: str) -> np.ndarray:
        return self.tokens[-1:]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        return {"tokens": self.tokens}


def test_it_learns_less_by_heart() -> None:
    """A small text seen 24 times, half of which can be learned by heart only."""
    passes, losses = 24, []
    held_out = Packed(Text(2, 3000), 32, 0, 0, "model", training=False)
    for decays in (False, True):
        torch.manual_seed(0)
        batches = Packed(Text(1, 800), 32, 0, 0, "model", training=True)
        settings = Settings(steps=passes * batches.pass_examples // 8, batch=8)
        decay = weight_decay(passes, settings.steps, OPTIMIZER.matrix_learning_rate or 0, 20) if decays else 0.0
        network = Decoder(network_for(2, 64, 32, 30))
        family = Transformer(network, None, dataclasses.replace(OPTIMIZER, weight_decay=decay or 0.0))
        trainer = Trainer(family, batches, settings, CPU)
        for _ in range(settings.steps):
            trainer.take_step()
        with torch.no_grad():
            found = held_out_loss(family, held_out, 90, settings, CPU, settings.steps, settings.steps)
        assert found is not None
        losses.append(found["loss"])
    assert losses[1] < losses[0] - 0.1, losses
