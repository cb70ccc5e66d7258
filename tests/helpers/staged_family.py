"""`Tiny` with phases that begin and end within the training: one ends half way, then a student learns from averages and a critic joins."""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call

from genwright.families.base import Batch, Loss, Moment, OptimizerSpec, Phase
from genwright.training.base import Settings
from genwright.training.trainer import Trainer
from genwright.training.validation import held_out_loss
from helpers.tiny_family import Lines, Tiny

PAUSE = 0.004
"""Seconds that a loss takes in a process that is to be killed."""


class Staged(Tiny):
    def __init__(self, pause: float = 0.0):
        averaged = OptimizerSpec(learning_rate=0.05, ema_halflife=5, warmup=0.2)
        super().__init__(spec=averaged)
        self.modules["student"], self.modules["critic"] = nn.Linear(4, 4), nn.Linear(4, 1)
        muon = OptimizerSpec(learning_rate=0.05, matrix_learning_rate=0.05)
        self.phases = (
            Phase("offset", ("offset",), muon, ends=0.5),
            Phase("slope", ("slope",), averaged),
            Phase("student", ("student",), averaged, begins=0.6),
            Phase("critic", ("critic",), every=2, begins=0.6),
        )
        self.pause = pause
        self.seen: list[tuple[str, Moment]] = []

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        self.seen.append((phase, at))
        time.sleep(self.pause)
        if phase in ("offset", "slope"):
            loss = super().loss(phase, batch, rng, at)
            return Loss(loss.value * (1 + at.share), loss.weight, loss.parts)
        x = batch["x"] + self.noise * torch.randn(batch["x"].shape, generator=rng)
        shown = self.modules["student"](x)
        with torch.no_grad():
            taught = functional_call(self.modules["slope"], dict(at.average("slope")), (x,))
        if phase == "student":
            return Loss(F.mse_loss(shown, taught) * (0.5 + at.phase_share), float(len(x)))
        critic = self.modules["critic"]
        return Loss(F.softplus(critic(shown.detach()) - critic(taught)).mean(), float(len(x)))


def staged(pause: float = 0.0) -> Staged:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Staged(pause)


def staged_trainer(family: Staged, folder: Path | None, steps: int, checkpoint_every: int = 7) -> Trainer:
    settings = Settings(
        steps=steps, batch=6, accumulate=2, checkpoint_every=checkpoint_every, validate_times=4, previews=2
    )
    cpu = torch.device("cpu")
    return Trainer(
        family,
        Lines(),
        settings,
        cpu,
        folder,
        validate=lambda step, steps: held_out_loss(family, Lines(), 16, settings, cpu, step, steps),
        preview=lambda stem: stem.with_suffix(".txt").write_text(str(family.modules["student"].bias.tolist())),
    )


def train_staged(folder: Path, steps: int) -> None:
    """What a process that is to be killed runs."""
    torch.set_num_threads(1)
    staged_trainer(staged(PAUSE), folder, steps).run()
