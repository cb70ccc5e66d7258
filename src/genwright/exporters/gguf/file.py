"""A text model as a GGUF file: what llama.cpp, Ollama, LM Studio and the like load.

Keys and tensor names as llama.cpp's own converter writes them for the architectures llama (Mistral's too), qwen2 and qwen3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import MODEL_ARCH, GGMLQuantizationType, GGUFWriter, LlamaFileType, get_tensor_name_map, quants
from torch import Tensor

from genwright.console import progress
from genwright.errors import RequestError
from genwright.exporters.gguf.tokenizer import Vocabulary, add_vocabulary
from genwright.exporters.source import Source
from genwright.networks.decoder import DecoderConfig
from genwright.networks.hugging_face import from_hf_config
from genwright.networks.rope import rope_frequencies

ARCHITECTURES = {
    "llama": MODEL_ARCH.LLAMA,
    "mistral": MODEL_ARCH.LLAMA,
    "qwen2": MODEL_ARCH.QWEN2,
    "qwen3": MODEL_ARCH.QWEN3,
}
"""llama.cpp's architecture for each `model_type`."""

TYPES = {
    "f32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    "f16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
    "q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
}
"""How matrices are stored; norms and biases stay in f32."""


def config_of(source: Source) -> DecoderConfig:
    """Raises RequestError where the architecture is none that llama.cpp would get from us."""
    try:
        config = from_hf_config(source.config)
    except ValueError as error:
        raise RequestError(f"{source.folder / 'config.json'}: {error}; it can't be written as gguf.") from error
    return config


def context_of(config: DecoderConfig) -> int:
    """Tokens that the file promises. llama.cpp attends to all of them, so a sliding window ends the promise."""
    return min(config.max_position_embeddings, config.sliding_window or config.max_position_embeddings)


def write_gguf(source: Source, vocabulary: Vocabulary, kind: str, file: Path) -> None:
    """Write one file. `kind` is a key of `TYPES`. Raises RequestError for an architecture that has no place in GGUF."""
    config = config_of(source)
    arch = ARCHITECTURES[config.model_type]
    stored, file_type = TYPES[kind]
    writer = GGUFWriter(file, _arch_name(arch))
    _add_about(writer, source)
    _add_sizes(writer, config)
    writer.add_file_type(file_type)
    writer.add_quantization_version(2)
    add_vocabulary(writer, vocabulary)
    tensors = list(_tensors(source, config, arch))
    for name, tensor in tensors:
        kept = type_of(tuple(tensor.shape), stored)
        writer.add_tensor_info(name, *_stored_shape(tensor, kept), raw_dtype=kept)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    total = sum(tensor.numel() for _, tensor in tensors)
    with progress(f"write {file.name}", total) as line:
        done = 0
        for _, tensor in tensors:
            # One at a time, so that no second copy of the model is ever in memory.
            writer.write_tensor_data(_stored(tensor, type_of(tuple(tensor.shape), stored)))
            done += tensor.numel()
            line.update(done)
    writer.close()


def type_of(shape: tuple[int, ...], wanted: GGMLQuantizationType) -> GGMLQuantizationType:
    """How a tensor is stored: vectors in f32, and in f16 a matrix whose rows do not divide into blocks of 32."""
    if len(shape) < 2:
        return GGMLQuantizationType.F32
    if wanted == GGMLQuantizationType.Q8_0 and shape[-1] % 32:
        return GGMLQuantizationType.F16
    return wanted


def permute(rows: Tensor, heads: int) -> Tensor:
    """Rows of query or key from Hugging Face's order, in which a head's pairs lie half a head apart, to neighbours.

    llama.cpp's `llama` architecture turns neighbours, as Meta's release did; its qwen ones turn halves, as Hugging Face does.
    """
    return rows.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _arch_name(arch: MODEL_ARCH) -> str:
    from gguf import MODEL_ARCH_NAMES

    return MODEL_ARCH_NAMES[arch]


def _add_about(writer: GGUFWriter, source: Source) -> None:
    writer.add_type("model")
    writer.add_name(source.name)
    card = source.card
    if card.licence:
        writer.add_license(card.licence)
    if card.licence_name:
        writer.add_license_name(card.licence_name)
    if card.description:
        writer.add_description(card.description)
    if card.tags:
        writer.add_tags(card.tags)


def _add_sizes(writer: GGUFWriter, config: DecoderConfig) -> None:
    writer.add_vocab_size(config.vocab_size)
    writer.add_context_length(context_of(config))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if config.rope_scaling and config.rope_scaling.rope_type == "linear":
        from gguf import RopeScalingType

        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(config.rope_scaling.factor)


def _tensors(source: Source, config: DecoderConfig, arch: MODEL_ARCH) -> Iterator[tuple[str, Tensor]]:
    """Tensors under llama.cpp's names, still in the type they were trained in."""
    names = get_tensor_name_map(arch, config.num_hidden_layers)
    if config.rope_scaling and config.rope_scaling.rope_type == "llama3":
        plain = rope_frequencies(config.head_dim, config.rope_theta, None)
        yield "rope_freqs.weight", plain / rope_frequencies(config.head_dim, config.rope_theta, config.rope_scaling)
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for theirs, tensor in source.tensors.items():
        name = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise RequestError(f"{source.folder / 'model.safetensors'}: llama.cpp has no place for {theirs}.")
        part = theirs.split(".")[-2]
        if arch == MODEL_ARCH.LLAMA and part in heads:
            tensor = permute(tensor, heads[part])
        yield name, tensor.detach().cpu()


def _stored_shape(tensor: Tensor, kept: GGMLQuantizationType) -> tuple[Any, Any, int]:
    """Shape, numpy type and bytes of a tensor as it will be stored."""
    if kept == GGMLQuantizationType.Q8_0:
        shape = quants.quant_shape_to_byte_shape(tuple(tensor.shape), kept)
        return shape, np.dtype(np.uint8), int(np.prod(shape))
    dtype = np.dtype(np.float16 if kept == GGMLQuantizationType.F16 else np.float32)
    return tuple(tensor.shape), dtype, tensor.numel() * dtype.itemsize


def _stored(tensor: Tensor, kept: GGMLQuantizationType) -> np.ndarray:
    return quants.quantize(np.ascontiguousarray(tensor.to(torch.float32).numpy()), kept)
