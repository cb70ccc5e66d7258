"""Low-rank adaptation (arXiv:2106.09685) of any network's linear layers and convolutions: W + (alpha / rank) B A, of which only A and B are
trained. lora.py is the decoder's own, whose fused matrices it keeps apart.

The change is added to the weight, not made beside it: where a weight meets hundreds of places, as in pictures, that costs next to nothing.

I inputs (of a convolution: channels by kernel), O outputs, R rank
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from genwright.networks.roles import Role, parameter_roles


class LowRank(nn.Module):
    """A weight -> the weight with its change, which is nothing before it is trained."""

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        outputs, inputs = len(weight), weight[0].numel()
        self.scale = alpha / rank
        self.a_RI = nn.Parameter(torch.empty(rank, inputs))
        self.b_OR = nn.Parameter(torch.zeros(outputs, rank))
        nn.init.uniform_(self.a_RI, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs))

    def forward(self, weight: Tensor) -> Tensor:
        return torch.add(weight, (self.b_OR @ self.a_RI).view_as(weight), alpha=self.scale)

    def parameter_roles(self) -> dict[str, Role]:
        """One side starts at zero, which an orthogonal step would not respect."""
        return dict.fromkeys(("a_RI", "b_OR"), Role("rest"))


def add_low_rank(network: nn.Module, rank: int, alpha: float | None = None) -> None:
    """Freeze a network and give a trained change to each of its matrices that is larger than the change would be. `alpha` defaults to
    twice the rank."""
    roles = parameter_roles(network)
    network.requires_grad_(False)
    for name, layer in list(network.named_modules()):
        role = roles.get(f"{name}.weight")
        if role is None or role.kind != "matrix" or not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        outputs, inputs = len(layer.weight), layer.weight[0].numel()
        if rank * (outputs + inputs) < outputs * inputs:
            change = LowRank(layer.weight, rank, 2.0 * rank if alpha is None else alpha)
            parametrize.register_parametrization(layer, "weight", change)


def merged_state(network: nn.Module) -> dict[str, Tensor]:
    """The state of the same network of plain layers, with the changes in their weights."""
    found: dict[str, Tensor] = {}
    for name, value in network.state_dict().items():
        layer, _, rest = name.partition(".parametrizations.weight.")
        if not rest:
            found[name] = value
        elif rest == "original":
            found[f"{layer}.weight"] = network.get_submodule(layer).weight.detach()  # type: ignore[union-attr]
    return found
