"""A causal decoder of the Qwen3 architecture (arXiv:2505.09388): RMSNorm, RoPE, SwiGLU, QK-norm, grouped queries.

Equal to `transformers`' Qwen3ForCausalLM weight by weight; `to_hf_state` and `from_hf_state` translate. Query, key and value are
one product here, gate and up another, since three small products keep a device less busy than one large one.

B batch, T tokens, S tokens attended to, D width, F feed-forward width, N query heads, K key/value heads, H head width, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn

from genwright.networks.roles import Role, default_roles


class DecoderConfig(BaseModel):
    """Fields named as in Hugging Face's Qwen3Config."""

    model_config = ConfigDict(extra="forbid")

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rope_theta: float = 10_000.0
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    initializer_range: float = 0.02

    @model_validator(mode="after")
    def _heads_fit(self) -> DecoderConfig:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even: rotary positions turn pairs")
        return self


class KeyValueCache(Protocol):
    """What the decoder asks of a sampler's cache (families/cache.py owns slots, lengths and masks)."""

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Store the new keys and values of a layer; return all that the new tokens may attend to and who may see whom.

        The mask is bool, True where a token may attend, of a shape that broadcasts to B,N,T,S; None: all may see all.
        """
        ...


Update = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor | None]]


class Attention(nn.Module):
    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, width = config.head_dim, config.hidden_size
        self.qkv_proj = nn.Linear(width, sum(qkv_rows(config)), bias=False)
        self.o_proj = nn.Linear(self.heads * self.head_dim, width, bias=False)
        self.q_norm = nn.RMSNorm(self.head_dim, eps=config.rms_norm_eps)
        self.k_norm = nn.RMSNorm(self.head_dim, eps=config.rms_norm_eps)

    def forward(
        self, x_BTD: Tensor, rope: tuple[Tensor, Tensor], update: Update | None, mask: Tensor | None = None
    ) -> Tensor:
        split = self.qkv_proj(x_BTD).unflatten(-1, (-1, self.head_dim))
        q_BTNH, k_BTKH, v_BTKH = split.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        q_BNTH = rotate(self.q_norm(q_BTNH), rope).transpose(1, 2)
        k_BKTH = rotate(self.k_norm(k_BTKH), rope).transpose(1, 2)
        v_BKTH = v_BTKH.transpose(1, 2)
        if update is not None:
            k_BKTH, v_BKTH, mask = update(k_BKTH, v_BKTH)
        out_BNTH = F.scaled_dot_product_attention(
            q_BNTH,
            k_BKTH,
            v_BKTH,
            attn_mask=mask,
            is_causal=update is None and mask is None,
            enable_gqa=self.heads != self.kv_heads,
        )
        return self.o_proj(out_BNTH.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202)."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gate_up_proj(x_BTD).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate_BTF) * up_BTF)


class Block(nn.Module):
    """One layer. Knows not which one it is, so that all layers share one compilation."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x_BTD: Tensor,
        rope: tuple[Tensor, Tensor],
        update: Update | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), rope, update, mask)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))


class Decoder(nn.Module):
    """Tokens in, logits out."""

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = (
            None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )
        cos_PH, sin_PH = rope_tables(config)
        self.register_buffer("rope_cos", cos_PH, persistent=False)
        self.register_buffer("rope_sin", sin_PH, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Normal weights of `initializer_range`; those that write into the residual stream smaller by sqrt(2 layers), as GPT-2."""
        std = self.config.initializer_range
        into_residual = std / (2 * self.config.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(
                    parameter, std=into_residual if name.endswith(("o_proj.weight", "down_proj.weight")) else std
                )

    def forward(
        self,
        token_BT: Tensor,
        position_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        segment_BT: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token after each, B,T,V. See `hidden`."""
        return self.logits(self.hidden(token_BT, position_BT, cache, segment_BT))

    def hidden(
        self,
        token_BT: Tensor,
        position_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        segment_BT: Tensor | None = None,
    ) -> Tensor:
        """The normed last hidden state, B,T,D: for losses that never make all logits at once, and for last tokens alone.

        `position_BT` defaults to 0, 1, ...; with a cache it must be given. Without a cache attention is causal within T, and
        stays within the tokens of equal `segment_BT` where documents share a row. Rotary positions are relative, so a document
        needs not start at position 0. Positions must be below `max_position_embeddings`.
        """
        if position_BT is None:
            length = token_BT.shape[1]
            rope = self.rope_cos[:length, None], self.rope_sin[:length, None]
        else:
            rope = self.rope_cos[position_BT].unsqueeze(-2), self.rope_sin[position_BT].unsqueeze(-2)
        mask = None if segment_BT is None else within_segments(segment_BT)
        x_BTD = self.embed_tokens(token_BT)
        for index, layer in enumerate(self.layers):
            x_BTD = layer(x_BTD, rope, None if cache is None else partial(cache.update, index), mask)
        return self.norm(x_BTD)

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        return F.linear(hidden_BTD, self.output_matrix)

    @property
    def output_matrix(self) -> Tensor:
        """The matrix that turns a hidden state into logits; the embedding itself where they are tied."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def compile_regions(self) -> list[nn.Module]:
        """What torch.compile should compile: the layers, which share one compilation."""
        return list(self.layers)

    def parameter_roles(self) -> dict[str, Role]:
        """The output matrix is an embedding; fused weights name their blocks."""
        roles = default_roles(self)
        if self.lm_head is not None:
            roles["lm_head.weight"] = Role("embedding")
        for index in range(self.config.num_hidden_layers):
            roles[f"layers.{index}.self_attn.qkv_proj.weight"] = Role("matrix", qkv_rows(self.config))
            roles[f"layers.{index}.mlp.gate_up_proj.weight"] = Role("matrix", (self.config.intermediate_size,) * 2)
        return roles


def within_segments(segment_BT: Tensor) -> Tensor:
    """Who may attend to whom, B,1,T,T: causal, and only inside one document."""
    same_BTT = segment_BT[:, :, None] == segment_BT[:, None, :]
    return same_BTT.tril()[:, None]


def qkv_rows(config: DecoderConfig) -> tuple[int, int, int]:
    """Rows of query, key and value in the fused weight."""
    keys = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, keys, keys


def rope_tables(config: DecoderConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles (arXiv:2104.09864), P,H/2 each."""
    half = config.head_dim // 2
    frequency_H = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angle_PH = torch.arange(config.max_position_embeddings, dtype=torch.float32)[:, None] * frequency_H
    return angle_PH.cos(), angle_PH.sin()


def rotate(x_BTNH: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the pairs (i, i + H/2) of each head by the position's angles: the halves convention of Hugging Face."""
    cos, sin = (table.to(x_BTNH.dtype) for table in rope)
    first, second = x_BTNH.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)


def matmul_flops(config: DecoderConfig, sequences: int, length: int) -> float:
    """Floating-point operations of the matrix products of one forward pass; a training step has three times as many.

    Counts the whole attention square, as is usual, though causal attention computes half of it.
    """
    heads, kv_heads, head, width = (
        config.num_attention_heads,
        config.num_key_value_heads,
        config.head_dim,
        config.hidden_size,
    )
    weights = width * head * (2 * heads + 2 * kv_heads) + 3 * width * config.intermediate_size
    attention = 2 * heads * head * length
    per_token = config.num_hidden_layers * (weights + attention) + width * config.vocab_size
    return 2.0 * per_token * sequences * length


def to_hf_config(config: DecoderConfig) -> dict[str, Any]:
    """config.json of a Qwen3ForCausalLM. `rope_theta` stands twice: for transformers 4 and its kin, and for 5."""
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "model_type": "qwen3",
        **config.model_dump(),
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "hidden_act": "silu",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "use_sliding_window": False,
        "sliding_window": None,
        "use_cache": True,
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def from_hf_config(content: dict[str, Any]) -> DecoderConfig:
    """Read a Qwen3 config.json. Raises ValueError where it asks for what this network does not have."""
    if content.get("model_type") != "qwen3":
        raise ValueError(f"model_type is {content.get('model_type')!r}, not 'qwen3'")
    rope = content.get("rope_parameters") or content.get("rope_scaling") or {}
    if rope.get("rope_type", rope.get("type", "default")) != "default":
        raise ValueError(f"rope type {rope.get('rope_type', rope.get('type'))!r} is not supported")
    if (
        content.get("attention_bias")
        or content.get("use_sliding_window")
        or content.get("hidden_act", "silu") != "silu"
    ):
        raise ValueError("attention_bias, sliding windows and activations other than silu are not supported")
    fields = {name: content[name] for name in DecoderConfig.model_fields if content.get(name) is not None}
    fields["rope_theta"] = rope.get("rope_theta", content.get("rope_theta", 10_000.0))
    fields.setdefault("num_key_value_heads", fields.get("num_attention_heads"))
    fields.setdefault("head_dim", 128)
    fields.setdefault("tie_word_embeddings", False)
    return DecoderConfig(**fields)


def to_hf_state(config: DecoderConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under Hugging Face's names; views where nothing must be cut. A tied output matrix is left out, as they do."""
    hf: dict[str, Tensor] = {}
    for name, value in state.items():
        if name.endswith("qkv_proj.weight"):
            for part, piece in zip("qkv", value.split(qkv_rows(config)), strict=True):
                hf[f"model.{name.replace('qkv_proj', f'{part}_proj')}"] = piece
        elif name.endswith("gate_up_proj.weight"):
            for part, piece in zip(("gate", "up"), value.chunk(2), strict=True):
                hf[f"model.{name.replace('gate_up_proj', f'{part}_proj')}"] = piece
        else:
            hf[name if name.startswith("lm_head") else f"model.{name}"] = value
    return hf


def from_hf_state(config: DecoderConfig, hf: dict[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `to_hf_state`. Raises KeyError naming a weight that is missing."""
    hf = {name.removeprefix("model."): value for name, value in hf.items()}
    if config.tie_word_embeddings:
        hf.pop("lm_head.weight", None)
    for index in range(config.num_hidden_layers):
        layer = f"layers.{index}"
        parts = [hf.pop(f"{layer}.self_attn.{part}_proj.weight") for part in "qkv"]
        hf[f"{layer}.self_attn.qkv_proj.weight"] = torch.cat(parts)
        parts = [hf.pop(f"{layer}.mlp.{part}_proj.weight") for part in ("gate", "up")]
        hf[f"{layer}.mlp.gate_up_proj.weight"] = torch.cat(parts)
    return hf
