"""Small decoders with random weights whose greedy text is not dull, and requests to their sessions."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch

from genwright.engine.engine import Engine
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Controls, Opening
from genwright.families.transformer.session import TextSession
from genwright.networks.decoder import Decoder, DecoderConfig

KINDS: dict[str, dict[str, Any]] = {
    "qwen3": {},
    "llama": {"attention_bias": True, "tie_word_embeddings": False},
    "qwen2": {"attention_bias": True, "num_key_value_heads": 1},
    "mistral": {"sliding_window": 20},
}
PROMPTS = [[1 + i, *((7 * i + k) % 59 + 1 for k in range(5 * i))] for i in range(9)]


def text_family(kind: str = "qwen3", context: int = 128, seed: int = 0, **given: Any) -> Transformer:
    torch.manual_seed(seed)
    config = {
        "vocab_size": 60,
        "hidden_size": 48,
        "intermediate_size": 100,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 12,
        "max_position_embeddings": context,
        "initializer_range": 0.4,
    }
    asked = {"model_type": kind, **config, **KINDS[kind], **given}
    network = Decoder(DecoderConfig.model_validate(asked)).eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter, 0.0 if name.endswith("bias") else 1.0, 0.2)
    return Transformer(network, 0)


def request(
    session: TextSession, engine: Engine, prompt: list[int], count: int = 40, seed: int = 0, **controls: Any
) -> Generator[int, None, str]:
    asked = Controls.model_validate({"temperature": 0, "max_tokens": count, **controls})
    return engine.submit(session, lambda s: s.start(prompt, torch.Generator().manual_seed(seed), asked))


def alone(model: Transformer, prompt: list[int], count: int = 40, seed: int = 0, **controls: Any) -> list[int]:
    return list(request(model.open(1, Opening(speculate=False)), Engine(), prompt, count, seed, **controls))
