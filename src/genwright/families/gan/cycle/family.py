"""Cycle GAN (arXiv:1703.10593): from one set of data to another and back, without pairs. What goes forth must look like the other set, and what
goes forth and back must be what it was.

Two generators, one each way, and a discriminator for each set. The adversarial loss is R3GAN's (arXiv:2501.05441): relativistic, with both
gradient penalties. The discriminators are shown former pictures too, from a pool (arXiv:1612.07828, section 2.3).

Shapes: B batch, X the data's own axes, P rows of a pool. a_BX and b_BX, rows of the two sets, in [-1, 1].
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.families import losses
from genwright.families.base import Batch, Loss, Moment, Phase, load_module_tensors, module_tensors
from genwright.families.gan.augmentation import augment
from genwright.families.gan.cycle.options import Controls, Opening, Settings
from genwright.families.gan.family import optimizer, penalties
from genwright.families.given import START, Given
from genwright.families.one_step import OneStepSession
from genwright.networks.flops import forward_flops

OTHER = "beside"
"""What the rows of the first set are called in a batch; those of the second are its data."""


class CycleGan:
    """`forth(a_BX) -> b_BX`, `back(b_BX) -> a_BX`, `judge_a` and `judge_b(data_BX, given) -> logit_B`.

    A request holds data to start from, and in `condition` to which set it is to go: 1 the second, 0 the first.
    """

    name: ClassVar[str] = "cycle"
    Controls = Controls
    Opening = Opening
    exported: ClassVar[tuple[str, ...]] = ("forth", "back")
    compiles: ClassVar[bool] = False  # the penalties need a second backward pass
    relativistic: ClassVar[bool] = True

    def __init__(self, forth: nn.Module, back: nn.Module, judge_a: nn.Module, judge_b: nn.Module, settings: Settings):
        self.modules = nn.ModuleDict({"forth": forth, "back": back, "judge_a": judge_a, "judge_b": judge_b})
        self.settings = settings
        self._pools: dict[str, Tensor] = {}
        self.phases = (
            Phase("discriminators", ("judge_a", "judge_b"), optimizer(0.01)),
            Phase("generators", ("forth", "back"), optimizer(0.02, ema_halflife=settings.ema_halflife)),
        )

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        a_BX, b_BX = batch[OTHER], batch["data"]
        if phase == "generators":
            return self._generators_loss(a_BX, b_BX, rng)
        return self._discriminators_loss(a_BX, b_BX, rng)

    def _generators_loss(self, a_BX: Tensor, b_BX: Tensor, rng: torch.Generator) -> Loss:
        forth, back = self.modules["forth"], self.modules["back"]
        made_b_BX, made_a_BX = forth(a_BX), back(b_BX)
        fooled = self._fooled("judge_a", a_BX, made_a_BX, rng) + self._fooled("judge_b", b_BX, made_b_BX, rng)
        cycle = F.l1_loss(back(made_b_BX), a_BX) + F.l1_loss(forth(made_a_BX), b_BX)
        value, parts = fooled + self.settings.cycle * cycle, {"generators_loss": fooled, "cycle_error": cycle}
        if self.settings.identity:
            same = F.l1_loss(back(a_BX), a_BX) + F.l1_loss(forth(b_BX), b_BX)
            value, parts = value + self.settings.identity * same, parts | {"identity_error": same}
        return Loss(value, len(b_BX), {name: part.detach() for name, part in parts.items()})

    def _fooled(self, judge: str, real_BX: Tensor, made_BX: Tensor, rng: torch.Generator) -> Tensor:
        network, given = self.modules[judge], nothing(real_BX)
        made_B = network(augment(made_BX, rng, self.settings.augment), given)
        with torch.no_grad():
            real_B = network(augment(real_BX, rng, self.settings.augment), given)
        return losses.relativistic_generator(real_B, made_B)

    def _discriminators_loss(self, a_BX: Tensor, b_BX: Tensor, rng: torch.Generator) -> Loss:
        with torch.no_grad():
            made = {"judge_a": self.modules["back"](b_BX), "judge_b": self.modules["forth"](a_BX)}
        value, parts = torch.zeros((), device=b_BX.device), {}
        for judge, real_BX in (("judge_a", a_BX), ("judge_b", b_BX)):
            seen_BX = torch.cat([real_BX, self._pooled(judge, made[judge], rng)])
            seen_BX, given = augment(seen_BX, rng, self.settings.augment), nothing(real_BX)
            real_B, made_B = self.modules[judge](seen_BX, given).chunk(2)
            own = losses.relativistic_discriminator(real_B, made_B)
            if self.settings.gamma:
                r1, r2 = penalties(self.modules[judge], seen_BX, given, self.settings.penalty_share)
                own = own + self.settings.gamma / 2 * (r1 + r2)
            value = value + own
            parts |= {f"{judge}_loss": own, f"{judge}_real_above_made": (real_B > made_B).float().mean()}
        return Loss(value, len(b_BX), {name: part.detach() for name, part in parts.items()})

    def _pooled(self, judge: str, made_BX: Tensor, rng: torch.Generator) -> Tensor:
        """What is made now, or in half of the rows what was made before; that changes places with it in the pool, once it is full."""
        if not self.settings.pool:
            return made_BX
        pool_PX = self._pools.get(judge, made_BX[:0]).to(made_BX.device, made_BX.dtype)
        room = self.settings.pool - len(pool_PX)
        if room > 0:
            self._pools[judge] = torch.cat([pool_PX, made_BX[:room]])
            return made_BX
        place_B = torch.randperm(len(pool_PX), generator=rng, device=made_BX.device)[: len(made_BX)]
        former_B = torch.rand(len(place_B), generator=rng, device=made_BX.device) < 0.5
        shown_BX, now_BX, place_B = made_BX.clone(), made_BX[: len(place_B)][former_B], place_B[former_B]
        shown_BX[: len(former_B)][former_B] = pool_PX[place_B]
        self._pools[judge] = pool_PX.index_copy(0, place_B, now_BX)
        return shown_BX

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss | None:
        """None: none of the losses says how good what is made is."""
        return None

    def discriminate(self, data: Tensor, given: Given) -> Tensor:
        """-> logit_B of rows of the second set."""
        return self.modules["judge_b"](data, nothing(data))

    def extra_state(self) -> dict[str, Any]:
        return {"pools": dict(self._pools)}

    def load_extra_state(self, state: dict[str, Any]) -> None:
        self._pools = dict(state["pools"])

    def flops(self, batch: Batch) -> float:
        """Counted by one forward pass of a generator and a discriminator on one row."""
        one = batch["data"][:1]
        way, judge = (
            forward_flops(self.modules["forth"], one),
            forward_flops(self.modules["judge_b"], one, nothing(one)),
        )
        # A backward pass costs two forwards, one where only the input's gradient is needed; a penalty costs about six.
        ways = 2 + 3 * (4 + 2 * bool(self.settings.identity))
        judged = 2 * (2 * 3 + 3 + 1 + 12 / self.settings.penalty_share * bool(self.settings.gamma))
        return len(batch["data"]) * (way * ways + judge * judged)

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> OneStepSession:
        forth, back = self.modules["forth"], self.modules["back"]

        def decode(noise_BZ: Tensor, given: Given, controls: Any) -> Tensor:
            data_BX, to_second_B = given[START], given["condition"].view(-1) == 1
            made_BX = torch.empty_like(data_BX, memory_format=torch.contiguous_format)
            for way, chosen_B in ((forth, to_second_B), (back, ~to_second_B)):
                if chosen_B.any():
                    made_BX[chosen_B] = way(data_BX[chosen_B]).to(made_BX.dtype)
            return made_BX

        return OneStepSession(capacity, 0, next(forth.parameters()).device, decode)


def nothing(data_BX: Tensor) -> Given:
    """What discriminators that are told nothing are given for some rows."""
    return {"condition": torch.zeros(len(data_BX), 1, dtype=torch.long, device=data_BX.device)}
