"""Pictures between two prompts, and along the direction of a label: what is drawn while what a model is told is changed by degrees.

The noise of a GAN or a VAE is drawn alike for every label, so no direction in it belongs to one. What is moved is what the words become:
a GAN's or a VAE's vector of the condition, kept at its length; of a flow, whose condition is a row of tokens, the clean picture that it
foresees, which mixes the distributions' logarithms (arXiv:2206.01714, section 3).

# Shapes: B batch, D width of a condition, K prompts, L condition length
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.model import Model
from genwright.networks.dit import DiT
from genwright.networks.text_encoder import LabelEncoder, TextEncoder
from genwright.networks.unet import UNet
from genwright.tasks.image.pixels import Pictures
from genwright.tasks.image.sampling import draw

_VECTORS, _FLOWS = (TextEncoder, LabelEncoder), (UNet, DiT)
Change = Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]
"""What a network makes of its condition, and what it would make of another (condition_1L) -> what it is to make."""


def can_steer(model: Model) -> bool:
    return model.facts.condition != "none" and bool(_steered(model))


def between(
    model: Model, engine: Engine, start: np.ndarray, stop: np.ndarray, seed: int, steps: int, controls: Any = None
) -> Pictures:
    """From what one condition makes of a seed's noise to what another makes of the same: uint8[steps, S, S, 3]."""

    def towards(share: float) -> Change:
        return lambda own, of: own + share * (of(_condition(stop)) - own)

    shares = np.linspace(0, 1, steps).tolist()
    return np.stack([_drawn(model, engine, start, seed, controls, towards(share)) for share in shares])


def along(
    model: Model,
    engine: Engine,
    start: np.ndarray,
    those: np.ndarray,
    others: np.ndarray,
    seed: int,
    amounts: list[float],
    controls: Any = None,
) -> Pictures:
    """What one condition makes of a seed's noise, moved by so many times the difference of the means of two sets of conditions."""

    def moved(amount: float) -> Change:
        def change(own: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
            far, near = (torch.stack([of(_condition(one)) for one in some]).mean(0) for some in (those, others))
            return own + amount * (far - near)

        return change

    return np.stack([_drawn(model, engine, start, seed, controls, moved(amount)) for amount in amounts])


def _drawn(model: Model, engine: Engine, condition: np.ndarray, seed: int, controls: Any, change: Change) -> Pictures:
    with _changed(model, change):
        (picture,) = draw(model, engine, [condition], seed, controls or model.family.Controls())
    return picture


def _condition(condition_L: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(condition_L, np.int64))[None]


def _steered(model: Model) -> list[nn.Module]:
    """Of a flow the network as a whole; of others what turns a condition into a vector."""
    modules = list(model.family.modules.modules())
    return [m for m in modules if isinstance(m, _FLOWS)] or [m for m in modules if isinstance(m, _VECTORS)]


@contextmanager
def _changed(model: Model, change: Change) -> Iterator[None]:
    """Raises RequestError for a model that nothing is told, or of a family that is not known here."""
    if not can_steer(model):
        raise RequestError(
            f"there are no directions in a model of {model.task.family} with `condition: {model.facts.condition}`; ask one that draws from words "
            "or labels by flow, gan or vae."
        )
    hooks = [
        module.register_forward_hook(_of_flow(change) if isinstance(module, _FLOWS) else _of_vector(change))
        for module in _steered(model)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _of_vector(change: Change) -> Any:
    def hook(module: Any, inputs: tuple[Tensor], own_BD: Tensor) -> Tensor:
        changed_BD = change(own_BD, lambda condition_1L: module.forward(condition_1L.to(own_BD.device)))
        return F.rms_norm(changed_BD, changed_BD.shape[-1:], eps=1e-6)

    return hook


def _of_flow(change: Change) -> Any:
    def hook(module: Any, inputs: tuple[Any, ...], own_BX: Tensor) -> Tensor:
        z_BX, time_B, until_B, given, told_B = inputs

        def of(condition_1L: Tensor) -> Tensor:
            other_BL = condition_1L.to(z_BX.device).expand(len(z_BX), -1)
            return module.forward(z_BX, time_B, until_B, given | {"condition": other_BL}, told_B)

        # Rows that are told nothing, for guidance, stay as they are.
        return torch.where(told_B.view(-1, *[1] * (z_BX.ndim - 1)), change(own_BX, of), own_BX)

    return hook
