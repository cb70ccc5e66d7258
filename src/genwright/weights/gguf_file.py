"""A GGUF file: llama.cpp's format, weights often quantised, everything in one file. Read and dequantised by the `gguf` package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.console import progress
from genwright.errors import RequestError
from genwright.networks.decoder import DecoderConfig
from genwright.networks.rope import RopeScaling, rope_frequencies
from genwright.weights.base import Origin, Weights, architecture_of
from genwright.weights.gguf_tokenizer import rebuild
from genwright.weights.identity import hash_files

_KNOWN = ("llama", "qwen2", "qwen3")
"""Values of `general.architecture`; llama.cpp's converter calls Mistral llama too, which without a sliding window it is."""

_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""From GGUF's names to Hugging Face's, without the layer."""
_PERMUTED = re.compile(r"self_attn\.([qk])_proj\.")
_BROKEN = (ValueError, IndexError, KeyError, OSError, OverflowError, UnicodeDecodeError, TypeError)
"""What the `gguf` package raises on files that are not as they should be."""


def open_gguf(file: Path, shown: str, title: str, licence: str | None = None) -> Weights:
    """`licence` is what is known of it from elsewhere. Raises RequestError saying what is wrong with the file."""
    reader = _reader(file, shown)
    keys = {name: _value(field, shown) for name, field in reader.fields.items()}
    architecture = keys.get("general.architecture")
    if architecture not in _KNOWN:
        raise RequestError(
            f"{shown}: the architecture {architecture!r} is not known; known in GGUF files are {', '.join(_KNOWN)}."
        )
    raw = {tensor.name: tensor for tensor in reader.tensors}
    config = _config(architecture, keys, raw, shown)
    _refuse_unknown(architecture, keys, raw, shown)
    tensors = GgufTensors(file, raw, config, shown)
    tokenizer = rebuild(keys, config.vocab_size, shown)
    stated = keys.get("general.license")
    origin = Origin(title, architecture_of(config), hash_files([file]), stated or licence)
    weights = Weights(shown, config, tensors, tokenizer, origin)
    weights.check()
    return weights


def _reader(file: Path, shown: str) -> Any:
    from gguf import GGUFReader

    try:
        with file.open("rb") as content:
            if content.read(4) != b"GGUF":
                raise RequestError(f"{shown}: not a GGUF file; name a GGUF file or a Hugging Face folder.")
        with progress(f"read {shown}"):
            return GGUFReader(file)
    except _BROKEN as error:
        raise RequestError(f"{shown}: the GGUF file is truncated or damaged ({error}); get it again.") from error


def _value(field: Any, shown: str) -> Any:
    try:
        return field.contents()
    except _BROKEN as error:
        raise RequestError(f"{shown}: the GGUF file is damaged at {field.name} ({error}); get it again.") from error


def _config(architecture: str, keys: dict[str, Any], raw: dict[str, Any], shown: str) -> DecoderConfig:
    def key(name: str, default: Any = None) -> Any:
        value = keys.get(f"{architecture}.{name}", default)
        if value is None:
            raise RequestError(
                f"{shown}: the GGUF file says no {architecture}.{name}; get a GGUF file of a whole model."
            )
        return value

    if keys.get(f"{architecture}.expert_count"):
        raise RequestError(
            f"{shown}: a mixture of experts, which is not known; known are dense models of {', '.join(_KNOWN)}."
        )
    width, heads = key("embedding_length"), key("attention.head_count")
    if isinstance(heads, list):
        raise RequestError(f"{shown}: layers of different numbers of heads are not supported; choose another model.")
    head_dim = key("attention.key_length", width // heads)
    for name in ("rope.dimension_count", "attention.value_length"):
        if key(name, head_dim) != head_dim:
            raise RequestError(
                f"{shown}: {architecture}.{name} is {key(name)} in heads of {head_dim}, which is not supported; choose another model."
            )
    theta, context = float(key("rope.freq_base", 10_000.0)), key("context_length")
    try:
        return DecoderConfig(
            model_type=architecture,  # type: ignore[arg-type]  # one of _KNOWN
            vocab_size=key("vocab_size", len(keys.get("tokenizer.ggml.tokens") or ())),
            hidden_size=width,
            intermediate_size=key("feed_forward_length"),
            num_hidden_layers=key("block_count"),
            num_attention_heads=heads,
            num_key_value_heads=key("attention.head_count_kv", heads),
            head_dim=head_dim,
            max_position_embeddings=context,
            rope_theta=_rounded(theta),
            rope_scaling=_scaling(architecture, keys, raw, head_dim, theta, shown),
            rms_norm_eps=_rounded(key("attention.layer_norm_rms_epsilon")),
            tie_word_embeddings="output.weight" not in raw,
            attention_bias="blk.0.attn_q.bias" in raw,
        )
    except ValueError as error:
        raise RequestError(
            f"{shown}: the GGUF file describes no model that can be built ({error}); get it again."
        ) from error


_HARMLESS = (
    *("vocab_size", "context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"),
    *(
        "attention.head_count_kv",
        "attention.layer_norm_rms_epsilon",
        "attention.layer_norm_epsilon",
        "attention.causal",
    ),
    *("attention.key_length", "attention.value_length", "rope.dimension_count", "rope.freq_base", "expert_count"),
    *("expert_used_count", "rope.scaling.type", "rope.scaling.factor", "rope.scaling.original_context_length"),
    *("rope.scaling.finetuned", "use_parallel_residual", "tensor_data_layout"),
)
"""Keys of an architecture that are read here, or change nothing."""


def _refuse_unknown(architecture: str, keys: dict[str, Any], raw: dict[str, Any], shown: str) -> None:
    """llama.cpp would compute something else by any other key, or with any other tensor."""
    names = {name.removeprefix(f"{architecture}.") for name in keys if name.startswith(f"{architecture}.")}
    if odd := sorted(names - set(_HARMLESS)):
        raise RequestError(
            f"{shown}: {architecture}.{odd[0]} is {keys[f'{architecture}.{odd[0]}']}, which is not supported; choose another model."
        )
    if odd := sorted(name for name in raw if name != "rope_freqs.weight" and _hf_name(name) is None):
        raise RequestError(f"{shown}: holds the tensor {odd[0]}, which is not supported; choose another model.")


def _scaling(
    architecture: str, keys: dict[str, Any], raw: dict[str, Any], head_dim: int, theta: float, shown: str
) -> RopeScaling | None:
    """Llama 3's stretching stands in a file as the factor of each frequency; the numbers it was made of are found again."""
    kind = keys.get(f"{architecture}.rope.scaling.type", "none")
    if kind == "linear":
        return RopeScaling(rope_type="linear", factor=keys.get(f"{architecture}.rope.scaling.factor", 1.0))
    if kind != "none":
        raise RequestError(
            f"{shown}: rotary positions scaled in the way {kind!r} are not supported; choose another model."
        )
    if "rope_freqs.weight" not in raw:
        return None
    factors = torch.from_numpy(np.array(raw["rope_freqs.weight"].data, dtype=np.float32))
    scaling = RopeScaling(rope_type="llama3", factor=round(float(factors.max()), 4))
    made = rope_frequencies(head_dim, theta, None) / rope_frequencies(head_dim, theta, scaling)
    if factors.shape != made.shape or not torch.allclose(factors, made, rtol=1e-3):
        raise RequestError(
            f"{shown}: rotary positions are scaled in a way that is not Llama 3's; choose another model."
        )
    return scaling


def _rounded(value: float) -> float:
    """The shortest number that is the same in single precision, in which GGUF has it: 1e-05, not 9.999999747378752e-06."""
    return float(str(np.float32(value)))


class GgufTensors:
    """`TensorFiles` of a GGUF file."""

    def __init__(self, file: Path, raw: dict[str, Any], config: DecoderConfig, shown: str):
        self.files, self._config, self._shown = [file], config, shown
        self._raw = {name: tensor for old, tensor in raw.items() if (name := _hf_name(old))}

    def names(self) -> frozenset[str]:
        return frozenset(self._raw)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(int(n) for n in reversed(self._raw[name].shape))

    def read(self, name: str) -> Tensor:
        from gguf.quants import dequantize

        tensor = self._raw[name]
        try:
            values = dequantize(tensor.data, tensor.tensor_type)
        except (NotImplementedError, *_BROKEN) as error:
            raise RequestError(
                f"{self._shown}: {name} is stored as {tensor.tensor_type.name}, which can't be read ({error}); "
                "take the file in another quantisation (Q8_0, Q4_K_M, F16)."
            ) from error
        # A copy, because the file is mapped read-only.
        value = torch.from_numpy(np.array(values, dtype=np.float32)).reshape(self.shape(name))
        match = _PERMUTED.search(name)
        if match and self._config.model_type == "llama":
            heads = self._config.num_attention_heads if match[1] == "q" else self._config.num_key_value_heads
            value = _unpermuted(value, heads)
        return value


def _hf_name(name: str) -> str | None:
    layer = re.fullmatch(r"blk\.(\d+)\.(\w+)\.(weight|bias)", name)
    stem, kind = (layer[2], layer[3]) if layer else name.rpartition(".")[::2]
    if stem not in _NAMES:
        return None
    return f"model.layers.{layer[1]}.{_NAMES[stem]}.{kind}" if layer else f"{_NAMES[stem]}.{kind}"


def _unpermuted(value: Tensor, heads: int) -> Tensor:
    """llama.cpp turns neighbouring pairs (2i, 2i + 1) of a head where Hugging Face turns (i, i + H/2): rows go back to the latter."""
    pairs = value.shape[0] // heads // 2
    return value.reshape(heads, pairs, 2, *value.shape[1:]).transpose(1, 2).reshape(value.shape)
