"""What of a family is trained, and what of it stands still: that is kept by hash alone."""

from __future__ import annotations

from torch import Tensor, nn

from genwright.families.base import Family
from genwright.training import checkpoint


def trained_networks(family: Family) -> nn.ModuleDict:
    """The modules that some phase trains."""
    trained = {name for phase in family.phases for name in phase.trains}
    return nn.ModuleDict({name: module for name, module in family.modules.items() if name in trained})


def not_trained(networks: nn.ModuleDict) -> dict[str, Tensor]:
    """The parameters inside trained modules that ask for no gradient: what a low-rank change is of."""
    return {name: value.detach() for name, value in networks.named_parameters() if not value.requires_grad}


def hashes(family: Family, networks: nn.ModuleDict, still: dict[str, Tensor]) -> dict[str, str]:
    """The hashes of the modules that no phase trains, and of the parameters that stand still in those that are trained."""
    whole = {name: checkpoint.hash_of(m) for name, m in family.modules.items() if name not in networks}
    return whole | ({"not trained": checkpoint.hash_tensors(still)} if still else {})
