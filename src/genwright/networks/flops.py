"""How much arithmetic a network does, for forecasts and reports."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def forward_flops(network: nn.Module, *inputs: Any) -> float:
    """Floating-point operations of the linear layers and convolutions in one forward pass; an addition and a multiplication
    count two. What else a network does (activations, norms, the products inside attention) is left out.
    """
    total = 0.0

    def count(layer: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        total += 2.0 * output.numel() * weight.numel() / len(weight)

    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        network(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return total
