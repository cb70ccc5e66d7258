"""What a network's parameters are to an optimizer: matrices, embeddings or the rest.

A network says it once, beside its layers, and `training/optimizers.py` follows: matrices take Muon's orthogonal step,
embeddings AdamW without weight decay, the rest (norms, biases, scalars) AdamW without decay.

Most networks need nothing: the default goes by the module's type (weights of linear layers and convolutions are matrices,
`nn.Embedding` is an embedding, everything else the rest). A network that knows better has a method

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | {"head.weight": Role("embedding")}

for example where a layer reads raw input or writes the output (a first convolution over RGB, logits): Muon is made for the
layers between, so declare such ends "embedding". A network inside another is asked too. `blocks` says that a weight is
several matrices laid one under another (fused query, key and value), each of which is orthogonalised by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

Kind = Literal["matrix", "embedding", "rest"]


@dataclass(frozen=True)
class Role:
    """`blocks` are the row counts of the matrices that a fused weight consists of; None: it is one matrix."""

    kind: Kind
    blocks: tuple[int, ...] | None = None


_MATRICES = (nn.Linear, nn.modules.conv._ConvNd)


def parameter_roles(network: nn.Module) -> dict[str, Role]:
    """The role of each parameter by its name in `network`, frozen ones included; a shared one stands under its first name."""
    declared = getattr(network, "parameter_roles", None)
    return declared() if declared is not None else default_roles(network)


def default_roles(network: nn.Module) -> dict[str, Role]:
    """Roles by module type, asking every network inside that declares its own."""
    roles = {name: _by_type(network, parameter.ndim) for name, parameter in network.named_parameters(recurse=False)}
    for child_name, child in network.named_children():
        roles.update({f"{child_name}.{name}": role for name, role in parameter_roles(child).items()})
    first_names = {name for name, _ in network.named_parameters()}
    return {name: role for name, role in roles.items() if name in first_names}


def _by_type(module: nn.Module, ndim: int) -> Role:
    if isinstance(module, nn.Embedding):
        return Role("embedding")
    return Role("matrix" if ndim >= 2 and isinstance(module, _MATRICES) else "rest")
