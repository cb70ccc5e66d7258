"""Discriminators as judges of `draw`: one trained afresh for the scores, and the GAN's own where there is one.

Shapes: B batch, C channels, H W pixels, N pictures, L condition length. image_BCHW in [-1, 1], images_NHWC 8 bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.families.base import Batch, Discriminates
from genwright.families.given import Given, rows
from genwright.families.two_sample import TwoSample
from genwright.metrics.image import Estimate, share
from genwright.networks.judge import JudgeNetwork
from genwright.seeds import derive_seed, stream
from genwright.tasks.base import TrainJudge
from genwright.tasks.image.pixels import Pictures, given_of, to_network

STEPS = 500
_BATCH = 64


class RealAndGenerated:
    """Real and generated pictures in turn, as many of each; both mirrored and shifted at random, against overfitting."""

    def __init__(self, real_NHWC: Pictures, generated_NHWC: Pictures, seed: int):
        self.sides = (generated_NHWC, real_NHWC)
        self.seed = seed
        self.pass_examples = 2 * max(len(real_NHWC), len(generated_NHWC))

    def batch(self, position: int, size: int) -> Batch:
        images, real = [], []
        for slot in range(position, position + size):
            rng = stream(self.seed, "judge", "order", slot)
            side = self.sides[slot % 2]
            images.append(_disturb(side[rng.integers(len(side))], rng))
            real.append(float(slot % 2))
        return {"data": to_network(np.stack(images)), "real": torch.tensor(real)}


def _disturb(image_HWC: Pictures, rng: np.random.Generator) -> Pictures:
    reach = max(1, len(image_HWC) // 16)
    top, left = rng.integers(0, 2 * reach + 1, 2)
    padded = np.pad(image_HWC, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    moved = padded[top : top + image_HWC.shape[0], left : left + image_HWC.shape[1]]
    return moved[:, ::-1] if rng.random() < 0.5 else moved


def fresh_judge(
    train_judge: TrainJudge,
    real: tuple[Pictures, Pictures],
    generated: tuple[Pictures, Pictures],
    steps: int,
    seed: int,
    device: torch.device,
) -> dict[str, Estimate]:
    """Train a two-sample discriminator for some steps on the first picture set of each pair; how often it is right on the second of each."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "judge", "weights"))
        judge = TwoSample(JudgeNetwork(real[0].shape[1]))
    judge.modules.to(device)
    train_judge(judge, RealAndGenerated(real[0], generated[0], seed), steps)
    judge.modules.eval()

    def ask(data_BX: Tensor, given: Given) -> Tensor:
        return judge.discriminate(data_BX)

    on_real = _logits(ask, real[1], {}, device) > 0
    on_generated = _logits(ask, generated[1], {}, device) <= 0
    sides = share(on_real), share(on_generated)
    return {"judge": _balanced(*sides), "judge_on_real": sides[0], "judge_on_generated": sides[1]}


def own_judge(
    family: object, real_NHWC: Pictures, generated_NHWC: Pictures, conditions_NL: np.ndarray, device: torch.device
) -> dict[str, Estimate]:
    """How often the model's own discriminator is right on held-out and generated pictures of the same conditions; {} without one.

    Of a relativistic discriminator only differences of logits mean anything: beside the pairs that it was trained on, each side is held
    against the mean of the other (arXiv:1807.00734, eq. 5).
    """
    if not isinstance(family, Discriminates):
        return {}
    given = given_of(conditions_NL)
    real_N, generated_N = (
        _logits(family.discriminate, images, given, device) for images in (real_NHWC, generated_NHWC)
    )
    pairs = {"own_pairs": share(real_N > generated_N)}
    over = (generated_N.mean(), real_N.mean()) if family.relativistic else (0.0, 0.0)
    return pairs | {"own_on_real": share(real_N > over[0]), "own_on_generated": share(generated_N <= over[1])}


@torch.inference_mode()
def _logits(
    ask: Callable[[Tensor, Given], Tensor], images_NHWC: Pictures, given: Given, device: torch.device
) -> NDArray[np.floating]:
    found = []
    for start in range(0, len(images_NHWC), _BATCH):
        some = slice(start, start + _BATCH)
        told = {name: value.to(device) for name, value in rows(given, some).items()}
        found.append(ask(to_network(images_NHWC[some]).to(device), told).float().cpu().numpy())
    return np.concatenate(found)


def _balanced(real: Estimate, generated: Estimate) -> Estimate:
    """The mean of both shares, so that guessing gives 0.5 whatever their numbers; errors add in squares."""
    middle = (real.value + generated.value) / 2
    half = sum(((e.high - e.low) / 4) ** 2 for e in (real, generated)) ** 0.5
    return Estimate(middle, max(middle - half, 0.0), min(middle + half, 1.0), real.n + generated.n)
