"""Optimizers of a phase: Muon for matrices, AdamW for the rest, and the moving average of weights.

The trainer holds one `PhaseOptimizer` a phase and one `Ema` a phase that wants it; neither knows a family. Their states are flat
dicts of tensors, which come back bit for bit.
"""

# pyright: reportPrivateImportUsage=false
# torch exports its many-tensors-at-once functions under private names only

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genwright.families.base import OptimizerSpec
from genwright.networks.roles import Role, parameter_roles
from genwright.training.muon import Muon

TensorState = dict[str, Tensor]


@dataclass(frozen=True)
class Trained:
    """A parameter that a phase steps, and what it is."""

    name: str
    parameter: nn.Parameter
    role: Role


def trained_parameters(networks: Mapping[str, nn.Module]) -> list[Trained]:
    """The parameters of some networks that require gradients, each once, with the roles that the networks declare."""
    found: dict[int, Trained] = {}
    for network_name, network in networks.items():
        roles = parameter_roles(network)
        for name, parameter in network.named_parameters():
            if parameter.requires_grad and id(parameter) not in found:
                found[id(parameter)] = Trained(f"{network_name}.{name}", parameter, roles[name])
    return list(found.values())


class PhaseOptimizer:
    """Steps all parameters of one phase.

    With `spec.matrix_learning_rate` matrices follow Muon; without it, AdamW. Weight decay touches matrices only: on norms and
    biases it does harm, and on an embedding it shrinks the rows of rare tokens, which seldom get a gradient.
    """

    def __init__(self, spec: OptimizerSpec, parameters: list[Trained]):
        if not parameters:
            raise ValueError("no parameter requires a gradient")
        self.spec = spec
        matrices = [p for p in parameters if p.role.kind == "matrix"]
        others = [p for p in parameters if p.role.kind != "matrix"]
        by_muon = matrices if spec.matrix_learning_rate is not None else []
        self.muon = (
            Muon([(p.parameter, p.role.blocks) for p in by_muon], spec.momentum, spec.polar_steps) if by_muon else None
        )
        self._adam_names = [p.name for p in (others if by_muon else matrices + others)]
        self._adam_parameters = [p.parameter for p in (others if by_muon else matrices + others)]
        decayed = [] if by_muon else [p.parameter for p in matrices]
        self.adam = self._make_adam(decayed, [p.parameter for p in others])

    def _make_adam(self, decayed: list[nn.Parameter], others: list[nn.Parameter]) -> torch.optim.AdamW | None:
        groups = [{"params": decayed, "weight_decay": self.spec.weight_decay}, {"params": others, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        if not groups:
            return None
        return torch.optim.AdamW(
            groups, lr=self.spec.learning_rate, betas=self.spec.betas, eps=self.spec.eps, fused=True
        )

    @torch.no_grad()
    def step(self, rate_scale: float, total_weight: float | Tensor = 1.0) -> Tensor:
        """Step with the accumulated gradients of sum(loss * weight) divided by `total_weight`, clipped to `spec.clip_norm`.

        Returns the norm of the divided gradient before clipping (a scalar on the device), infinite or NaN when it is. The
        division and the clipping are one factor, applied where the gradients are read anyway.
        """
        adam_gradients = [p.grad for p in self._adam_parameters if p.grad is not None]
        norms = list(torch._foreach_norm(adam_gradients)) if adam_gradients else []
        if self.muon is not None:
            norms += self.muon.gather()
        norm = torch.linalg.vector_norm(torch.stack(norms)) / total_weight
        factor = torch.ones_like(norm) / total_weight
        if self.spec.clip_norm is not None:
            factor = factor * (self.spec.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        if self.adam is not None and adam_gradients:
            torch._foreach_mul_(adam_gradients, factor)
            for group in self.adam.param_groups:
                group["lr"] = self.spec.learning_rate * rate_scale
            self.adam.step()
        if self.muon is not None:
            assert self.spec.matrix_learning_rate is not None
            self.muon.step(self.spec.matrix_learning_rate * rate_scale, self.spec.weight_decay, factor)
        return norm

    def zero_grad(self) -> None:
        for parameter in self._adam_parameters:
            parameter.grad = None
        if self.muon is not None:
            self.muon.zero_grad()

    def state_dict(self) -> TensorState:
        """Moments by parameter name, momentum by shape; copies of nothing, so save it before the next step."""
        state: TensorState = {}
        if self.adam is not None:
            for name, parameter in zip(self._adam_names, self._adam_parameters, strict=True):
                for key, value in self.adam.state.get(parameter, {}).items():
                    state[f"adamw.{name}.{key}"] = value
        if self.muon is not None:
            state.update({f"muon.{key}": value for key, value in self.muon.state_dict().items()})
        return state

    def load_state_dict(self, state: TensorState) -> None:
        """Raises ValueError when the state is of other parameters."""
        moments: dict[str, dict[str, Tensor]] = defaultdict(dict)
        for key, value in state.items():
            if key.startswith("adamw."):
                name, _, moment = key.removeprefix("adamw.").rpartition(".")
                moments[name][moment] = value
        unknown = moments.keys() - set(self._adam_names)
        if unknown:
            raise ValueError(f"the optimizer's state has {sorted(unknown)[0]}, which is no parameter of this phase")
        if self.adam is not None:
            self.adam.state.clear()
            for name, parameter in zip(self._adam_names, self._adam_parameters, strict=True):
                if name in moments:
                    self.adam.state[parameter] = {
                        # In the parameter's own memory format: the fused kernel walks both in the order they lie in.
                        key: value.clone() if key == "step" else torch.empty_like(parameter).copy_(value)
                        for key, value in moments[name].items()
                    }
        if self.muon is not None:
            self.muon.load_state_dict(
                {key.removeprefix("muon."): value for key, value in state.items() if key.startswith("muon.")}
            )


class Ema:
    """Exponential moving average of the weights of some networks, as EDM keeps it (arXiv:2206.00364, appendix F.2).

    `halflife` is in steps, shortened early in training to `rampup` of the steps so far, so that the first weights are soon
    forgotten. Buffers are not averaged: the network's own are used.
    """

    def __init__(self, networks: Mapping[str, nn.Module], halflife: float, rampup: float = 0.05):
        trained = trained_parameters(networks)
        self.halflife, self.rampup = halflife, rampup
        self._names = [p.name for p in trained]
        self._parameters: list[Tensor] = [p.parameter.data for p in trained]
        self._averages: list[Tensor] = [value.clone() for value in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` (counted from 0) was made."""
        halflife = min(self.halflife, (step + 1) * self.rampup)
        torch._foreach_lerp_(self._averages, self._parameters, 1.0 - 0.5 ** (1.0 / max(halflife, 1e-8)))

    @contextmanager
    def swapped_in(self) -> Iterator[None]:
        """The networks hold the averages within, their own weights after."""
        kept = [value.clone() for value in self._parameters]
        torch._foreach_copy_(self._parameters, self._averages)
        try:
            yield
        finally:
            torch._foreach_copy_(self._parameters, kept)

    def state_dict(self) -> TensorState:
        return dict(zip(self._names, self._averages, strict=True))

    def load_state_dict(self, state: TensorState) -> None:
        """Raises ValueError when the state is of other parameters."""
        if state.keys() != set(self._names):
            raise ValueError("the average's state is of other parameters")
        torch._foreach_copy_(self._averages, [state[name] for name in self._names])
