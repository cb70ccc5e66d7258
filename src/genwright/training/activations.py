"""Activation checkpointing (arXiv:1604.06174): less memory for a step that is a third longer, and the same result.

A network that can do it has an attribute `checkpoint_activations`, and does so in its forward pass while it is true.
"""

from __future__ import annotations

from torch import nn


def checkpoint_activations(modules: nn.Module, wanted: bool) -> None:
    """Tell every network inside that can."""
    for module in modules.modules():
        if "checkpoint_activations" in vars(module):
            vars(module)["checkpoint_activations"] = wanted
