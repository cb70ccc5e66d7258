"""Optimizers of a phase: Muon for matrices, AdamW for the rest, and the moving average of weights.

The trainer holds one `PhaseOptimizer` a phase and one `Ema` a phase that wants it; neither knows a family. Their states are flat
dicts of tensors, which come back bit for bit.
"""

# pyright: reportPrivateImportUsage=false
# torch exports its many-tensors-at-once functions under private names only

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from genwright.families.base import OptimizerSpec
from genwright.networks.roles import Role, parameter_roles
from genwright.training.muon import Muon
from genwright.training.precision import Scaling
from genwright.training.profiling.trace import OPTIMIZER

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
        self._parameters = [p.parameter for p in parameters]
        matrices = [p for p in parameters if p.role.kind == "matrix"]
        others = [p for p in parameters if p.role.kind != "matrix"]
        by_muon = matrices if spec.matrix_learning_rate is not None else []
        self.muon = (
            Muon(
                [(p.parameter, p.role.blocks) for p in by_muon],
                spec.momentum,
                spec.polar_steps,
                spec.orthogonal_groups,
            )
            if by_muon
            else None
        )
        decays = (
            [(p, 0.0) for p in others]
            if by_muon
            else [(p, spec.weight_decay) for p in matrices] + [(p, 0.0) for p in others]
        )
        self.adam = AdamW(decays, spec) if decays else None

    @property
    def numbers(self) -> int:
        """How many numbers it steps."""
        return sum(parameter.numel() for parameter in self._parameters)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Gradients are asked for the phase's parameters within."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        yield
        for parameter in self._parameters:
            parameter.requires_grad_(False)

    @record_function(OPTIMIZER)
    @torch.no_grad()
    def step(self, rate_scale: float, total_weight: float | Tensor = 1.0, scaling: Scaling | None = None) -> Tensor:
        """Step with the accumulated gradients of sum(loss * weight) divided by `total_weight`, clipped to `spec.clip_norm`.

        Returns the norm of the divided gradient before clipping (a scalar on the device), infinite or NaN when it is. The
        division and the clipping are one factor, applied where the gradients are read anyway. Where the losses were scaled, a gradient
        that is not finite leaves all as it was; to know that, the step waits for the device.
        """
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norms = torch._foreach_norm(gradients)
        if scaling is not None:
            total_weight = scaling.times(torch.as_tensor(total_weight))
        norm = torch.linalg.vector_norm(torch.stack(norms)) / total_weight
        if scaling is not None and not scaling.update(norm.isfinite()):
            return norm
        factor = torch.ones_like(norm) / total_weight
        if self.spec.clip_norm is not None:
            factor = factor * (self.spec.clip_norm / (norm + 1e-6)).clamp(max=1.0)
        if self.adam is not None:
            self.adam.step(self.spec.learning_rate * rate_scale, factor)
        if self.muon is not None:
            assert self.spec.matrix_learning_rate is not None
            self.muon.step(self.spec.matrix_learning_rate * rate_scale, self.spec.weight_decay, factor)
        return norm

    def zero_grad(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> TensorState:
        """Moments by parameter name, momentum by shape; copies of nothing, so save it before the next step."""
        state: TensorState = {}
        if self.adam is not None:
            state.update({f"adamw.{key}": value for key, value in self.adam.state_dict().items()})
        if self.muon is not None:
            state.update({f"muon.{key}": value for key, value in self.muon.state_dict().items()})
        return state

    def load_state_dict(self, state: TensorState) -> None:
        """Raises ValueError when the state is of other parameters."""
        of: dict[str, TensorState] = {"adamw": {}, "muon": {}}
        for key, value in state.items():
            kind, _, name = key.partition(".")
            of[kind][name] = value
        if self.adam is not None:
            self.adam.load_state_dict(of["adamw"])
        if self.muon is not None:
            self.muon.load_state_dict(of["muon"])


class AdamW:
    """AdamW (arXiv:1711.05101) by torch's fused kernel, which multiplies the gradients by a factor in the same pass.

    Takes pairs of a parameter and its weight decay. One that got no gradient is not stepped.
    """

    def __init__(self, parameters: list[tuple[Trained, float]], spec: OptimizerSpec):
        self.spec = spec
        self._names = [p.name for p, _ in parameters]
        self._parameters: list[Tensor] = [p.parameter for p, _ in parameters]
        self._decays = [decay for _, decay in parameters]
        self._moments = [
            {
                "step": torch.zeros((), dtype=torch.float32, device=p.device),
                # In the parameter's own memory format: the fused kernel walks all of them in the order they lie in.
                "exp_avg": torch.zeros_like(p),
                "exp_avg_sq": torch.zeros_like(p),
            }
            for p in self._parameters
        ]

    def step(self, rate: float, factor: Tensor) -> None:
        """Step with the gradients times `factor`."""
        for decay in set(self._decays):
            of_decay = [i for i, p in enumerate(self._parameters) if self._decays[i] == decay and p.grad is not None]
            gradients = [grad for index in of_decay if (grad := self._parameters[index].grad) is not None]
            if not of_decay:
                continue
            columns = {name: [self._moments[index][name] for index in of_decay] for name in self._moments[0]}
            torch._foreach_add_(columns["step"], 1.0)
            torch._fused_adamw_(  # pyright: ignore[reportCallIssue]
                [self._parameters[index] for index in of_decay],
                gradients,
                columns["exp_avg"],
                columns["exp_avg_sq"],
                [],
                columns["step"],
                lr=rate,
                beta1=self.spec.betas[0],
                beta2=self.spec.betas[1],
                weight_decay=decay,
                eps=self.spec.eps,
                amsgrad=False,
                maximize=False,
                grad_scale=factor.reciprocal().float(),  # the kernel wants fp32, whatever the weights are
                found_inf=None,
            )

    def state_dict(self) -> TensorState:
        return {
            f"{name}.{key}": value
            for name, moments in zip(self._names, self._moments, strict=True)
            for key, value in moments.items()
        }

    def load_state_dict(self, state: TensorState) -> None:
        """Raises ValueError when the state is of other parameters."""
        own = self.state_dict()
        for key in state:
            if key not in own:
                raise ValueError(f"the optimizer's state has {key}, which is no parameter of this phase")
        for key, value in own.items():
            value.copy_(state[key]) if key in state else value.zero_()


class Ema:
    """Exponential moving average of the weights of some networks, as EDM keeps it (arXiv:2206.00364, appendix F.2).

    `halflife` is in steps, shortened early in the phase to `rampup` of its steps so far, so that the first weights are soon
    forgotten. Buffers are not averaged: the network's own are used.
    """

    def __init__(self, networks: Mapping[str, nn.Module], halflife: float, rampup: float = 0.05):
        trained = trained_parameters(networks)
        self.halflife, self.rampup = halflife, rampup
        self._names = [p.name for p in trained]
        self._parameters: list[Tensor] = [p.parameter.data for p in trained]
        self._averages: list[Tensor] = [value.clone() for value in self._parameters]

    def restart(self) -> None:
        """Begin with the weights as they stand."""
        torch._foreach_copy_(self._averages, self._parameters)

    @record_function(OPTIMIZER)
    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the phase's `step` (counted from 0) was made."""
        halflife = min(self.halflife, (step + 1) * self.rampup)
        torch._foreach_lerp_(self._averages, self._parameters, 1.0 - 0.5 ** (1.0 / max(halflife, 1e-8)))

    def of(self, network: str) -> TensorState:
        """The averages of one of the networks, by the names of its own state; the tensors themselves."""
        start = f"{network}."
        return {name.removeprefix(start): value for name, value in self.state_dict().items() if name.startswith(start)}

    def state_dict(self) -> TensorState:
        return dict(zip(self._names, self._averages, strict=True))

    def load_state_dict(self, state: TensorState) -> None:
        """Raises ValueError when the state is of other parameters."""
        if state.keys() != set(self._names):
            raise ValueError("the average's state is of other parameters")
        torch._foreach_copy_(self._averages, [state[name] for name in self._names])


@contextmanager
def swapped_in(networks: nn.ModuleDict, averages: Mapping[str, TensorState]) -> Iterator[None]:
    """Networks hold averages of their weights within, their own after. `averages`: by network, then as in its state."""
    changed: list[tuple[Tensor, Tensor]] = []
    for network, average in averages.items():
        parameters = dict(networks[network].named_parameters())
        changed += [(parameters[name].data, parameters[name].detach().clone()) for name in average]
        for name, value in average.items():
            parameters[name].data.copy_(value)
    try:
        yield
    finally:
        for own, kept in changed:
            own.copy_(kept)
