"""The decoder as Hugging Face stores it: config.json and the names of weights, there and back.

One architecture a `model_type`: Llama 2 and 3 (and what is built alike, as SmolLM2), Qwen2, Qwen3, Mistral. The differences are in
`_TRAITS`; everything else is the same network.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from genwright.networks.decoder import DecoderConfig, qkv_rows
from genwright.networks.rope import RopeScaling

ARCHITECTURES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mistral": "MistralForCausalLM",
}
"""The name in `architectures` of each `model_type` that the decoder can be."""

_WINDOW_IF_ASKED = ("qwen2", "qwen3")
"""Families whose config names a sliding window that counts only with `use_sliding_window`."""

_WINDOW = 4096
_MOST_WINDOW_LAYERS = 28
_KEY_VALUE_HEADS = {"qwen2": 32, "qwen3": 32, "mistral": 8}
"""What transformers takes where a config.json does not have the key at all; null is another thing."""

_FOREIGN = (
    *("logit_scale", "logits_scaling", "embedding_multiplier", "attention_multiplier", "residual_multiplier"),
    *("scale_emb", "scale_depth", "dim_model_base", "final_logit_softcapping", "attn_logit_softcapping"),
    *("query_pre_attn_scalar", "clip_qkv", "num_experts", "num_local_experts", "n_routed_experts", "no_rope_layers"),
    *(
        "qk_layernorm",
        "use_qk_norm",
        "rope_interleaved",
        "use_mrope",
        "dual_chunk_attention_config",
        "attn_output_gate",
    ),
)
"""Fields by which models that call themselves by a known name compute something else."""


def to_hf_config(config: DecoderConfig) -> dict[str, Any]:
    """config.json as `config.model_type` has it. Rotary settings stand twice: for transformers 4 and its kin, and for 5."""
    scaling = config.rope_scaling.to_hf() if config.rope_scaling else {"rope_type": "default"}
    rope = scaling | {"rope_theta": config.rope_theta}
    content = {
        "architectures": [ARCHITECTURES[config.model_type]],
        **config.model_dump(),
        "rope_parameters": rope,
        "hidden_act": "silu",
        "attention_dropout": 0.0,
        "use_cache": True,
        "dtype": "float32",
        "torch_dtype": "float32",
    }
    content["max_position_embeddings"] = content.pop("native_positions") or config.max_position_embeddings
    if config.rope_scaling:
        content["rope_scaling"] = rope
    else:
        del content["rope_scaling"]
    if config.model_type == "llama":
        content["mlp_bias"] = False
        del content["sliding_window"]
    if config.model_type in _WINDOW_IF_ASKED:
        content["use_sliding_window"] = config.sliding_window is not None
        content["max_window_layers"] = 0 if config.sliding_window is not None else config.num_hidden_layers
    return content


def from_hf_config(content: dict[str, Any]) -> DecoderConfig:
    """Read a config.json. Raises ValueError where it asks for what this network does not have."""
    kind = content.get("model_type")
    if kind not in ARCHITECTURES:
        raise ValueError(f"the architecture {kind!r} is not known; known are {', '.join(ARCHITECTURES)}")
    if quantised := content.get("quantization_config"):
        method = quantised.get("quant_method") if isinstance(quantised, dict) else quantised
        raise ValueError(
            f"weights quantised by {method} can't be trained; take those that they were made of, or a GGUF file"
        )
    if content.get("mlp_bias") or content.get("hidden_act", "silu") not in ("silu", "swish"):
        raise ValueError("biases in feed-forward layers and activations other than silu are not supported")
    for name in _FOREIGN:
        value = content.get(name)
        if value is True or value not in (None, False, 0, 1, [], {}):
            raise ValueError(f"`{name}: {value}` changes what the network computes in a way that is not supported")
    plain = DecoderConfig.model_fields.keys() - {"rope_scaling", "rope_theta", "sliding_window", "native_positions"}
    fields = {name: content[name] for name in plain if content.get(name) is not None}
    fields["rope_theta"], fields["rope_scaling"] = _rope(content)
    fields["sliding_window"] = _window(kind, content)
    heads = fields.get("num_attention_heads")
    default = heads if "num_key_value_heads" in content else _KEY_VALUE_HEADS.get(kind, heads)
    fields.setdefault("num_key_value_heads", default)
    if "head_dim" not in fields and {"hidden_size", "num_attention_heads"} <= fields.keys():
        fields["head_dim"] = 128 if kind == "qwen3" else fields["hidden_size"] // fields["num_attention_heads"]
    fields.setdefault("tie_word_embeddings", False)
    if kind in ("qwen2", "mistral"):  # no field decides there
        fields["attention_bias"] = kind == "qwen2"
    return DecoderConfig(**fields)


def _rope(content: dict[str, Any]) -> tuple[float, RopeScaling | None]:
    # Of the two places the older one wins, where a file has both.
    rope = dict(content.get("rope_scaling") or content.get("rope_parameters") or {})
    theta = rope.get("rope_theta", content.get("rope_theta", 10_000.0))
    kind = rope.get("rope_type", rope.get("type", "default"))
    if float(rope.get("partial_rotary_factor", content.get("partial_rotary_factor") or 1.0)) != 1.0:
        raise ValueError("rotary positions on a part of each head are not supported")
    if kind == "default":
        return theta, None
    if kind not in ("linear", "llama3"):
        raise ValueError(f"rope type {kind!r} is not supported; supported are default, linear, llama3")
    known = {name: rope[name] for name in RopeScaling.model_fields if rope.get(name) is not None}
    if kind == "llama3":
        if missing := {"low_freq_factor", "high_freq_factor"} - known.keys():
            raise ValueError(f"rope type 'llama3' lacks {min(missing)}")
        original = content.get("original_max_position_embeddings")
        known.setdefault("original_max_position_embeddings", content.get("max_position_embeddings"))
        known |= {} if original is None else {"original_max_position_embeddings": original}
    return theta, RopeScaling.model_validate(known | {"rope_type": kind})


def _window(kind: str, content: dict[str, Any]) -> int | None:
    """The sliding window that all layers share. Raises ValueError where only some layers have one."""
    window = content.get("sliding_window", _WINDOW)
    named = [name == "sliding_attention" for name in content.get("layer_types") or ()]
    if any(named) and not (all(named) and kind != "llama"):
        raise ValueError("a sliding window in some layers only is not supported")
    if kind == "llama" or (kind in _WINDOW_IF_ASKED and not content.get("use_sliding_window")) or window is None:
        return None
    if kind == "mistral":
        return window
    first = content.get("max_window_layers", _MOST_WINDOW_LAYERS)
    sliding = named or [index >= first for index in range(content.get("num_hidden_layers", 0))]
    if any(sliding) and not all(sliding):
        raise ValueError("a sliding window in some layers only is not supported")
    return window if any(sliding) else None


def to_hf_state(config: DecoderConfig, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights under Hugging Face's names; views where nothing must be cut. A tied output matrix is left out, as they do."""
    hf: dict[str, Tensor] = {}
    for name, value in state.items():
        stem, _, kind = name.rpartition(".")
        if stem.endswith("qkv_proj"):
            for part, piece in zip("qkv", value.split(qkv_rows(config)), strict=True):
                hf[f"model.{stem.removesuffix('qkv_proj')}{part}_proj.{kind}"] = piece
        elif stem.endswith("gate_up_proj"):
            for part, piece in zip(("gate", "up"), value.chunk(2), strict=True):
                hf[f"model.{stem.removesuffix('gate_up_proj')}{part}_proj.{kind}"] = piece
        else:
            hf[name if name.startswith("lm_head") else f"model.{name}"] = value
    return hf


def from_hf_state(config: DecoderConfig, hf: dict[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `to_hf_state`. Raises KeyError naming a weight that is missing, or an output matrix that is not the tied one."""
    hf = {name.removeprefix("model."): value for name, value in hf.items()}
    if config.tie_word_embeddings and "lm_head.weight" in hf:
        head = hf.pop("lm_head.weight")
        if not torch.equal(head, hf["embed_tokens.weight"]):
            raise KeyError("lm_head.weight, which config.json ties to the embedding, differs from it")
    kinds = ("weight", "bias") if config.attention_bias else ("weight",)
    for index in range(config.num_hidden_layers):
        layer = f"layers.{index}"
        hf.pop(f"{layer}.self_attn.rotary_emb.inv_freq", None)  # a buffer that old exports of Llama hold
        for kind in kinds:
            parts = [hf.pop(f"{layer}.self_attn.{part}_proj.{kind}") for part in "qkv"]
            hf[f"{layer}.self_attn.qkv_proj.{kind}"] = torch.cat(parts)
        parts = [hf.pop(f"{layer}.mlp.{part}_proj.weight") for part in ("gate", "up")]
        hf[f"{layer}.mlp.gate_up_proj.weight"] = torch.cat(parts)
    return hf
