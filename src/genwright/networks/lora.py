"""Low-rank adaptation (arXiv:2106.09685) of the decoder's matrices: W + (alpha / rank) B A, of which only A and B are trained.

The decoder keeps query, key and value in one matrix and gate and up in another; each of the matrices inside has a change of its own,
as PEFT has it, but the products are made for all of them at once. What is frozen gets no gradient, and of the activations only what
the gradients of A and B need is kept.

M tokens, I inputs, O outputs, R rank, E matrices in a fused one
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.decoder import Decoder, FeedForward, qkv_rows
from genwright.networks.elementwise import autocast_dtype

PEFT_NAMES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_HEAD_PREFIX = "base_model.model."
_PREFIX = f"{_HEAD_PREFIX}model."
_ROWS = ".token_adapter.trainable_tokens_delta"
"""PEFT's name for rows of the vocabulary that stand in place of the base's (they are the rows themselves, no difference)."""


class LoraLinear(nn.Linear):
    """A linear layer, frozen, with a trained low-rank change for each of the `blocks` of rows that its weight consists of.

    `lora_A` has the blocks' A (R,I each) one under another, `lora_B` (O,R) their B.
    """

    def __init__(self, linear: nn.Linear, blocks: tuple[int, ...], rank: int, alpha: float):
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.blocks, self.rank, self.alpha = blocks, rank, alpha
        self.lora_A = nn.Parameter(torch.empty(len(blocks) * rank, linear.in_features))
        self.lora_B = nn.Parameter(torch.zeros(linear.out_features, rank))
        nn.init.uniform_(self.lora_A, -1 / math.sqrt(linear.in_features), 1 / math.sqrt(linear.in_features))

    @property
    def scale(self) -> float:
        return self.alpha / self.rank

    def forward(self, input: Tensor) -> Tensor:
        if autocast_dtype(input.device) is not None:
            return self._in_parts(input)
        out_MO = _Product.apply(
            input.flatten(0, -2), self.weight, self.bias, self.lora_A, self.lora_B, self.blocks, self.scale
        )
        return out_MO.unflatten(0, input.shape[:-1])

    def _in_parts(self, x: Tensor) -> Tensor:
        """The same from whole operations, which autocast knows."""
        low = F.linear(x, self.lora_A).split(self.rank, dim=-1)
        changes = [F.linear(part, b) for part, b in zip(low, self.lora_B.split(self.blocks), strict=True)]
        return F.linear(x, self.weight, self.bias) + self.scale * torch.cat(changes, dim=-1)

    @torch.no_grad()
    def merged_weight(self) -> Tensor:
        """W + (alpha / rank) B A, a new tensor."""
        merged = self.weight.detach().clone()
        for rows, a_RI, b_OR in zip(
            merged.split(self.blocks), self.lora_A.split(self.rank), self.lora_B.split(self.blocks), strict=True
        ):
            rows.addmm_(b_OR, a_RI, alpha=self.scale)
        return merged

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, rank={self.rank}, alpha={self.alpha}"


class _Product(torch.autograd.Function):
    """x W^T + scale * x A^T B^T, block by block. Kept for the gradients: x and x A^T, which is narrow."""

    @staticmethod
    def forward(
        ctx: Any,
        x_MI: Tensor,
        weight_OI: Tensor,
        bias_O: Tensor | None,
        a_EI: Tensor,
        b_OR: Tensor,
        blocks: tuple[int, ...],
        scale: float,
    ) -> Tensor:
        out_MO = F.linear(x_MI, weight_OI, bias_O)
        low_ME = x_MI @ a_EI.t()
        rank = b_OR.shape[1]
        for out_M, low_MR, b in zip(
            out_MO.split(blocks, dim=1), low_ME.split(rank, dim=1), b_OR.split(blocks), strict=True
        ):
            out_M.addmm_(low_MR, b.t(), alpha=scale)
        ctx.save_for_backward(x_MI, weight_OI, a_EI, b_OR, low_ME)
        ctx.blocks, ctx.scale = blocks, scale
        return out_MO

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (d_MO,) = gradients
        x_MI, weight_OI, a_EI, b_OR, low_ME = ctx.saved_tensors
        rank = b_OR.shape[1]
        pieces = list(zip(d_MO.split(ctx.blocks, dim=1), b_OR.split(ctx.blocks), strict=True))
        d_low_ME = torch.cat([d_M @ b for d_M, b in pieces], dim=1).mul_(ctx.scale)
        d_b_OR = torch.cat(
            [d_M.t() @ low_MR for (d_M, _), low_MR in zip(pieces, low_ME.split(rank, dim=1), strict=True)]
        ).mul_(ctx.scale)
        d_a_EI = d_low_ME.t() @ x_MI
        d_x_MI = None
        if ctx.needs_input_grad[0]:
            d_x_MI = (d_MO @ weight_OI).addmm_(d_low_ME, a_EI)
        return d_x_MI, None, None, d_a_EI, d_b_OR, None, None


class LoraFeedForward(nn.Module):
    """SwiGLU over changed layers, which keeps gate and up for the gradients and nothing that can be made of them again."""

    def __init__(self, plain: nn.Module):
        super().__init__()
        self.gate_up_proj, self.down_proj = plain.get_submodule("gate_up_proj"), plain.get_submodule("down_proj")

    def forward(self, x_BTD: Tensor) -> Tensor:
        both, down = self.gate_up_proj(x_BTD), self.down_proj
        assert isinstance(down, LoraLinear)
        if autocast_dtype(x_BTD.device) is not None:
            gate, up = both.chunk(2, dim=-1)
            return down(F.silu(gate) * up)
        out_MD = _GatedProduct.apply(both.flatten(0, -2), down.weight, down.bias, down.lora_A, down.lora_B, down.scale)
        return out_MD.unflatten(0, x_BTD.shape[:-1])


class _GatedProduct(torch.autograd.Function):
    """`_Product` of silu(gate) * up, which is made again in the backward pass instead of being kept."""

    @staticmethod
    def forward(
        ctx: Any, both_MI: Tensor, weight_OI: Tensor, bias_O: Tensor | None, a_RI: Tensor, b_OR: Tensor, scale: float
    ) -> Tensor:
        gate, up = both_MI.chunk(2, dim=1)
        x_MI = F.silu(gate).mul_(up)
        low_MR = x_MI @ a_RI.t()
        ctx.save_for_backward(both_MI, weight_OI, a_RI, b_OR, low_MR)
        ctx.scale = scale
        return F.linear(x_MI, weight_OI, bias_O).addmm_(low_MR, b_OR.t(), alpha=scale)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (d_MO,) = gradients
        both_MI, weight_OI, a_RI, b_OR, low_MR = ctx.saved_tensors
        gate, up = both_MI.chunk(2, dim=1)
        d_low_MR = (d_MO @ b_OR).mul_(ctx.scale)
        d_b_OR = (d_MO.t() @ low_MR).mul_(ctx.scale)
        d_x_MI = (d_MO @ weight_OI).addmm_(d_low_MR, a_RI)
        d_both_MI, silu = torch.empty_like(both_MI), F.silu(gate)
        d_gate, d_up = d_both_MI.chunk(2, dim=1)
        torch.mul(d_x_MI, silu, out=d_up)
        d_a_RI = d_low_MR.t() @ silu.mul_(up)
        d_gate.copy_(torch.ops.aten.silu_backward(d_x_MI.mul_(up), gate))
        return d_both_MI, None, None, d_a_RI, d_b_OR, None


def add_lora(network: Decoder, rank: int, alpha: float | None = None) -> Decoder:
    """Give every linear layer of the blocks a trained change, and freeze everything else. Changes the network in place.

    `alpha` defaults to twice the rank. Before training the change is zero (B is).
    """
    network.requires_grad_(False)
    for module, name, blocks in _linears(network):
        linear = getattr(module, name)
        setattr(module, name, LoraLinear(linear, blocks, rank, 2.0 * rank if alpha is None else alpha))
    for layer in network.layers:
        layer.mlp = LoraFeedForward(layer.get_submodule("mlp"))
    return network


def has_lora(network: nn.Module) -> bool:
    return any(isinstance(module, LoraLinear) for module in network.modules())


def without_lora(network: Decoder) -> Decoder:
    """A network of plain layers with the changes merged in; what was not changed is shared with the one given, not copied."""
    if not has_lora(network):
        return network
    plain = _shallow(network)
    merge_lora(plain)
    return plain


def merge_lora(network: Decoder) -> None:
    """Leave plain layers with the changes in new weights."""
    _replace(network, LoraLinear.merged_weight)


def remove_lora(network: Decoder) -> None:
    """Leave plain layers as they were before `add_lora`."""
    _replace(network, lambda changed: changed.weight)


def base_of(network: Decoder) -> Decoder:
    """The network as it was before `add_lora`, over the same tensors: the reference of a changed one."""
    plain = _shallow(network)
    remove_lora(plain)
    return plain


def base_state(network: Decoder) -> dict[str, Tensor]:
    """The weights that the changes are of: the state without A and B."""
    return {name: value for name, value in network.state_dict().items() if ".lora_" not in name}


def _replace(network: Decoder, weight_of: Callable[[LoraLinear], Tensor]) -> None:
    for module, name, _ in _linears(network):
        changed = getattr(module, name)
        if isinstance(changed, LoraLinear):
            with torch.device("meta"):
                linear = nn.Linear(changed.in_features, changed.out_features, bias=False)
            linear.weight, linear.bias = nn.Parameter(weight_of(changed).detach(), requires_grad=False), changed.bias
            setattr(module, name, linear)
    for layer in network.layers:
        changed = layer.get_submodule("mlp")
        if isinstance(changed, LoraFeedForward):
            layer.mlp = FeedForward.of(changed.gate_up_proj, changed.down_proj)


def _shallow(module: nn.Module) -> Any:
    """A copy of the tree of modules over the same tensors."""
    twin = copy(module)
    twin.__dict__["_parameters"] = dict(module._parameters)
    twin.__dict__["_buffers"] = dict(module._buffers)
    twin.__dict__["_modules"] = {
        name: None if child is None else _shallow(child) for name, child in module._modules.items()
    }
    # A compiled block would run the one it was copied from.
    twin.__dict__["_compiled_call_impl"] = None
    return twin


def _linears(network: Decoder) -> list[tuple[nn.Module, str, tuple[int, ...]]]:
    """The layers that are changed: where they hang, their names, the rows of the matrices in them."""
    config = network.config
    found: list[tuple[nn.Module, str, tuple[int, ...]]] = []
    for layer in network.layers:
        attention, feed_forward = layer.get_submodule("self_attn"), layer.get_submodule("mlp")
        found += [
            (attention, "qkv_proj", qkv_rows(config)),
            (attention, "o_proj", (config.hidden_size,)),
            (feed_forward, "gate_up_proj", (config.intermediate_size,) * 2),
            (feed_forward, "down_proj", (config.hidden_size,)),
        ]
    return found


_FUSED = {"qkv_proj": ("q_proj", "k_proj", "v_proj"), "gate_up_proj": ("gate_proj", "up_proj")}


def to_peft_state(network: Decoder, own_rows: int = 0) -> dict[str, Tensor]:
    """The trained changes under PEFT's names, for adapter_model.safetensors; with them the last `own_rows` rows of the vocabulary,
    which the weights that are changed do not have."""
    found: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if not isinstance(module, LoraLinear):
            continue
        stem, _, last = name.rpartition(".")
        parts = zip(
            _FUSED.get(last, (last,)), module.lora_A.split(module.rank), module.lora_B.split(module.blocks), strict=True
        )
        for part, a, b in parts:
            found[f"{_PREFIX}{stem}.{part}.lora_A.weight"] = a.detach()
            found[f"{_PREFIX}{stem}.{part}.lora_B.weight"] = b.detach()
    return found | _rows(network, own_rows)


def _rows(network: Decoder, count: int) -> dict[str, Tensor]:
    """The last rows of the vocabulary's matrices as PEFT's trainable tokens, which stand in the place of the base's."""
    if not count:
        return {}
    matrices = {f"{_PREFIX}embed_tokens": network.embed_tokens.weight}
    if network.lm_head is not None:
        matrices[f"{_HEAD_PREFIX}lm_head"] = network.lm_head.weight
    return {f"{name}{_ROWS}": matrix.detach()[-count:] for name, matrix in matrices.items()}


@torch.no_grad()
def load_peft_state(network: Decoder, state: dict[str, Tensor]) -> None:
    """The reverse of `to_peft_state`, in place. Raises KeyError naming a change that is missing or is of nothing here, and
    RuntimeError where a shape differs. Changes of old hold no rows of the vocabulary: theirs are as the base's reader draws them."""
    rows = next((len(value) for name, value in state.items() if name.endswith(_ROWS)), 0)
    places = to_peft_state(network, rows)
    odd = sorted(places.keys() ^ state.keys())
    if odd:
        raise KeyError(f"the adapter and the model differ in {odd[0]}")
    for name, place in places.items():
        if place.shape != state[name].shape:
            raise RuntimeError(f"{name} has shape {tuple(state[name].shape)}, not {tuple(place.shape)}")
        place.copy_(state[name])


def is_peft_state(state: dict[str, Tensor]) -> bool:
    return any(name.startswith("base_model.") for name in state)


def peft_config(network: Decoder, own_rows: int = 0) -> dict[str, Any]:
    """adapter_config.json of the changes; see `to_peft_state`."""
    layer = next(module for module in network.modules() if isinstance(module, LoraLinear))
    size = network.config.vocab_size
    matrices = ("embed_tokens",) if network.lm_head is None else ("embed_tokens", "lm_head")
    rows = {name: list(range(size - own_rows, size)) for name in matrices}
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": layer.rank,
        "lora_alpha": layer.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": list(PEFT_NAMES),
        **({"trainable_token_indices": rows} if own_rows else {}),
    }
