"""How much of what the discriminator sees is augmented: adaptive discriminator augmentation (arXiv:2006.06676, section 3).

On little data the discriminator comes to know the training pictures: it is right about ever more of them. Its rate of being right,
r = E[sign(D(x))], or of a relativistic one E[sign(D(x) - D(G(z)))], is held at a target by augmenting more or less of the pictures.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genwright.families.gan.options import FIRST_STRENGTH

TARGET = 0.6
"""Of r: 1 where it is right about all, 0 where it guesses."""
EVERY = 4
"""Steps between two changes."""
PICTURES = 20_000
"""So many pictures take the strength from 0 to 1 at most. StyleGAN2-ADA's 500,000 are more than a short training sees."""


class Strength:
    """The share of pictures that is augmented. Its numbers stay on the device: a step waits for none of them."""

    def __init__(self, setting: float | str):
        self.adaptive = isinstance(setting, str)
        self._value = torch.tensor(FIRST_STRENGTH if isinstance(setting, str) else setting)
        self._right, self._seen = torch.tensor(0.0), 0
        self._changed = 0
        self._fixed = None if isinstance(setting, str) else setting

    def value(self, device: torch.device) -> Tensor | float:
        """What `augment` is to be called with now."""
        if self._fixed is not None:
            return self._fixed
        self._value = self._value.to(device)
        return self._value

    def learn(self, margin_B: Tensor, step: int) -> None:
        """Count how often the discriminator was right, by how far above zero its logits (or pairs' differences) lie; every few steps the
        strength follows."""
        if not self.adaptive:
            return
        if step >= self._changed + EVERY and self._seen:
            # By a sign, as in the paper; r over all that was seen since the last change.
            direction = torch.sign(self._right / self._seen - TARGET)
            self._value = (self._value + direction * self._seen / PICTURES).clamp(0, 1)
            self._right, self._seen, self._changed = torch.zeros_like(self._right), 0, step
        self._right = self._right.to(margin_B.device) + margin_B.detach().float().sign().sum()
        self._seen += len(margin_B)

    def parts(self) -> dict[str, Tensor]:
        return {"augmented": self._value} if self.adaptive else {}

    def state(self) -> dict[str, Any]:
        if not self.adaptive:
            return {}
        return {"strength": self._value, "right": self._right, "seen": self._seen, "changed": self._changed}

    def load(self, state: dict[str, Any]) -> None:
        if self.adaptive and state:
            self._value, self._right = state["strength"], state["right"]
            self._seen, self._changed = int(state["seen"]), int(state["changed"])
