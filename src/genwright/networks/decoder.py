"""A causal decoder: RMSNorm, RoPE, SwiGLU, grouped queries; with QK-norm it is Qwen3 (arXiv:2505.09388), our own models'
architecture, without it Llama (arXiv:2407.21783) and Mistral (arXiv:2310.06825), with biases on query, key and value Qwen2.

Equal to `transformers`' models weight by weight; networks/hugging_face.py translates. Query, key and value are one product here,
gate and up another, since three small products keep a device less busy than one large one.

B batch, T tokens, S tokens attended to, D width, F feed-forward width, N query heads, K key/value heads, H head width, V vocabulary
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, model_validator
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from genwright.networks import block_attention
from genwright.networks.attention import choose, document_attention
from genwright.networks.elementwise import RMSNorm, autocast_dtype, rotate
from genwright.networks.nats import NatsAndGradient
from genwright.networks.roles import Role, default_roles
from genwright.networks.rope import RopeScaling, rope_tables

_LONGEST_WRITTEN = 4096


class DecoderConfig(BaseModel):
    """Fields named as in Hugging Face's configs. `model_type` is the architecture, which exports keep."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_type: Literal["llama", "qwen2", "qwen3", "mistral"] = "qwen3"
    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rope_theta: float = 10_000.0
    rope_scaling: RopeScaling | None = None
    rms_norm_eps: float = 1e-6
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    """On query, key and value; in the architectures that have it there (Llama, Qwen3) on the output too."""
    sliding_window: int | None = None
    """A token attends to itself and the `sliding_window` - 1 tokens before it; None: to all before it."""
    native_positions: int | None = None
    """Positions that the weights started from know, where they were trained on with shorter rows; exports say them."""
    initializer_range: float = 0.02

    @model_validator(mode="after")
    def _heads_fit(self) -> DecoderConfig:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError("num_attention_heads must be a multiple of num_key_value_heads")
        if self.head_dim % 2:
            raise ValueError("head_dim must be even: rotary positions turn pairs")
        return self

    @property
    def positions(self) -> int:
        """Tokens that are seen at once in writing: of weights started from, what those know, as far as a cache is likely to hold it."""
        return max(self.max_position_embeddings, min(self.native_positions or 0, _LONGEST_WRITTEN))

    @property
    def qk_norm(self) -> bool:
        return self.model_type == "qwen3"

    @property
    def output_bias(self) -> bool:
        return self.attention_bias and self.model_type in ("llama", "qwen3")


class KeyValueCache(Protocol):
    """What the decoder asks of a sampler's cache (families/transformer/cache.py owns slots, lengths and masks)."""

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Store the new keys and values of a layer; return all that the new tokens may attend to and who may see whom.

        The mask is bool, True where a token may attend, of a shape that broadcasts to B,N,T,S; None: all may see all. What is
        attended to stands in order of its positions, from position 0 on.
        """
        ...


Update = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor | None]]


class Attention(nn.Module):
    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim, width = config.head_dim, config.hidden_size
        self.qkv_proj = nn.Linear(width, sum(qkv_rows(config)), bias=config.attention_bias)
        self.o_proj = nn.Linear(self.heads * self.head_dim, width, bias=config.output_bias)
        self.qk_norm = config.qk_norm
        if self.qk_norm:
            self.q_norm = RMSNorm(self.head_dim, eps=config.rms_norm_eps)
            self.k_norm = RMSNorm(self.head_dim, eps=config.rms_norm_eps)

    def forward(
        self,
        x_BTD: Tensor,
        rope: tuple[Tensor, Tensor],
        update: Update | None,
        mask: Tensor | None = None,
        ends: Tensor | None = None,
    ) -> Tensor:
        split = self.qkv_proj(x_BTD).unflatten(-1, (-1, self.head_dim))
        q_BTNH, k_BTKH, v_BTKH = split.split((self.heads, self.kv_heads, self.kv_heads), dim=2)
        if self.qk_norm:
            q_BTNH, k_BTKH = self.q_norm(q_BTNH), self.k_norm(k_BTKH)
        q_BTNH, k_BTKH = rotate(q_BTNH, rope), rotate(k_BTKH, rope)
        if ends is not None:
            return self.o_proj(document_attention(q_BTNH, k_BTKH, v_BTKH, ends).flatten(2))
        if update is None and mask is None and self.heads == self.kv_heads and block_attention.fits(q_BTNH):
            return self.o_proj(block_attention.causal_attention(q_BTNH, k_BTKH, v_BTKH).flatten(2))
        q_BNTH, k_BKTH, v_BKTH = (x.transpose(1, 2) for x in (q_BTNH, k_BTKH, v_BTKH))
        if update is not None:
            k_BKTH, v_BKTH, mask = update(k_BKTH, v_BKTH)
        gqa = self.heads != self.kv_heads
        if gqa and mask is not None and mask.is_cuda:
            # Of the kernels that take a mask none takes fewer keys than queries; without one all scores would be written down.
            k_BKTH, v_BKTH = (x.repeat_interleave(self.heads // self.kv_heads, dim=1) for x in (k_BKTH, v_BKTH))
            gqa = False
        out_BNTH = F.scaled_dot_product_attention(
            q_BNTH, k_BKTH, v_BKTH, attn_mask=mask, is_causal=update is None and mask is None, enable_gqa=gqa
        )
        return self.o_proj(out_BNTH.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU (arXiv:2002.05202)."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.gate_up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    @classmethod
    def of(cls, gate_up_proj: nn.Module, down_proj: nn.Module) -> FeedForward:
        """Over layers that are there already."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.gate_up_proj, made.down_proj = gate_up_proj, down_proj  # type: ignore[assignment]
        return made

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.gate_up_proj(x_BTD).chunk(2, dim=-1)
        return self.down_proj(F.silu(gate_BTF) * up_BTF)


class Block(nn.Module):
    """One layer. Knows not which one it is, so that all layers share one compilation."""

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = FeedForward(config)

    def forward(
        self,
        x_BTD: Tensor,
        rope: tuple[Tensor, Tensor],
        update: Update | None = None,
        mask: Tensor | None = None,
        ends: Tensor | None = None,
    ) -> Tensor:
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), rope, update, mask, ends)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))


class Decoder(nn.Module):
    """Tokens in, logits out."""

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(self, config: DecoderConfig):
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        """Keep each layer's input alone and compute the rest again in the backward pass; set by the trainer."""
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.lm_head = (
            None if config.tie_word_embeddings else nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        )
        cos_PH, sin_PH = _tables(config)
        self.nats_and_gradient = NatsAndGradient()
        self.register_buffer("rope_cos", cos_PH, persistent=False)
        self.register_buffer("rope_sin", sin_PH, persistent=False)
        self.reset_parameters()

    @classmethod
    def empty(cls, config: DecoderConfig) -> Decoder:
        """A network whose weights are whatever lies in the memory: for those about to be loaded."""
        with torch.device("meta"):
            network = cls(config)
        network.to_empty(device="cpu")
        network.rope_cos, network.rope_sin = _tables(config)
        return network

    def reset_parameters(self) -> None:
        """Normal weights of `initializer_range`; those that write into the residual stream smaller by sqrt(2 layers), as GPT-2."""
        std = self.config.initializer_range
        into_residual = std / (2 * self.config.num_hidden_layers) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.normal_(
                    parameter, std=into_residual if name.endswith(("o_proj.weight", "down_proj.weight")) else std
                )
            elif name.endswith(".bias"):
                nn.init.zeros_(parameter)

    def forward(
        self,
        token_BT: Tensor,
        position_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        segment_BT: Tensor | None = None,
        ends_E: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token after each, B,T,V. See `hidden`."""
        return self.logits(self.hidden(token_BT, position_BT, cache, segment_BT, ends_E))

    def hidden(
        self,
        token_BT: Tensor,
        position_BT: Tensor | None = None,
        cache: KeyValueCache | None = None,
        segment_BT: Tensor | None = None,
        ends_E: Tensor | None = None,
    ) -> Tensor:
        """The normed last hidden state, B,T,D: for losses that never make all logits at once, and for last tokens alone.

        `position_BT` defaults to 0, 1, ...; with a cache it must be given. Without a cache attention is causal within T, and
        where documents share a row stays within the tokens of equal `segment_BT`, which stand together (`ends_E`: their
        `document_ends`, where they are known). Rotary positions are relative, so a document needs not start at position 0. Positions must
        be below `config.positions`.
        """
        if position_BT is None:
            length = token_BT.shape[1]
            rope = self.rope_cos[:length, None], self.rope_sin[:length, None]
        else:
            rope = self.rope_cos[position_BT].unsqueeze(-2), self.rope_sin[position_BT].unsqueeze(-2)
        window = self.config.sliding_window
        if window is not None and cache is not None and window < self.config.positions:
            assert position_BT is not None
            cache = _WindowedCache(cache, window, position_BT)
        if window is not None and window >= token_BT.shape[1]:
            window = None
        mask, ends = choose(segment_BT, self._dtype(), window, ends_E)
        if window is not None and cache is None:
            mask = within_window(token_BT.shape[1], window, mask, token_BT.device)
        x_BTD = self.embed_tokens(token_BT)
        again = self.checkpoint_activations and cache is None and torch.is_grad_enabled()
        for index, layer in enumerate(self.layers):
            if again:
                x_BTD = checkpoint(layer, x_BTD, rope, None, mask, ends, use_reentrant=False)
            else:
                x_BTD = layer(x_BTD, rope, None if cache is None else partial(cache.update, index), mask, ends)
        return self.norm(x_BTD)

    def _dtype(self) -> torch.dtype:
        """What products run in."""
        weight = self.embed_tokens.weight
        return autocast_dtype(weight.device) or weight.dtype

    def logits(self, hidden_BTD: Tensor) -> Tensor:
        return F.linear(hidden_BTD, self.output_matrix)

    @property
    def output_matrix(self) -> Tensor:
        """The matrix that turns a hidden state into logits; the embedding itself where they are tied."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def compile_regions(self) -> list[nn.Module]:
        """What torch.compile should compile: the layers, which share one compilation, and what a loss makes of the logits."""
        return [*self.layers, self.nats_and_gradient]

    def parameter_roles(self) -> dict[str, Role]:
        """The output matrix is an embedding; fused weights name their blocks."""
        roles = default_roles(self)
        if self.lm_head is not None:
            roles["lm_head.weight"] = Role("embedding")
        for index in range(self.config.num_hidden_layers):
            roles[f"layers.{index}.self_attn.qkv_proj.weight"] = Role("matrix", qkv_rows(self.config))
            roles[f"layers.{index}.mlp.gate_up_proj.weight"] = Role("matrix", (self.config.intermediate_size,) * 2)
        return roles


class _WindowedCache:
    """A cache of which only the newest `window` tokens before each token are seen."""

    def __init__(self, cache: KeyValueCache, window: int, position_BT: Tensor):
        self._cache, self._window, self._position_BT = cache, window, position_BT
        self._near: Tensor | None = None

    def update(self, layer: int, k_BKTH: Tensor, v_BKTH: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        k_BKSH, v_BKSH, mask = self._cache.update(layer, k_BKTH, v_BKTH)
        length = k_BKSH.shape[2]
        if length <= self._window:
            return k_BKSH, v_BKSH, mask
        if self._near is None:  # the same in every layer
            place_S = torch.arange(length, device=k_BKSH.device)
            # What idles or pads lies behind all there is, and would see nothing.
            position_BT = self._position_BT.clamp(max=length - 1)
            self._near = (place_S > position_BT[..., None] - self._window)[:, None]
        return k_BKSH, v_BKSH, self._near if mask is None else mask & self._near


def within_window(length: int, window: int, mask: Tensor | None, device: torch.device) -> Tensor:
    """A causal mask in which a token sees itself and the `window` - 1 tokens before it, and what `mask` allows too."""
    near_TT = torch.ones(length, length, dtype=torch.bool, device=device).tril().triu(1 - window)
    return near_TT if mask is None else mask & near_TT


def _tables(config: DecoderConfig) -> tuple[Tensor, Tensor]:
    return rope_tables(config.head_dim, config.rope_theta, config.rope_scaling, config.positions)


def qkv_rows(config: DecoderConfig) -> tuple[int, int, int]:
    """Rows of query, key and value in the fused weight."""
    keys = config.num_key_value_heads * config.head_dim
    return config.num_attention_heads * config.head_dim, keys, keys


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
