"""Small text models with random weights, of each architecture, saved as model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from genwright.families.transformer.family import Transformer
from genwright.model import Model, ModelConfig
from genwright.model_folder import save
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.recipe import recipe_class
from genwright.registry import TASKS
from genwright.tokens.tokenizer import Tokenizer, build_characters, train_bpe

TEXT = (
    "Once upon a time there was a small model that could read: it read 3 books, 14 letters and 2026 lines of code.\n"
    "ROMEO: But, soft! what light through yonder window breaks?\n\n    def main(argv):\n        return [x for x in argv]\n"
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。 Naïve café — «déjà vu» 🙂 العربية\n"
) * 4

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen3": {"head_dim": 24},
    "llama": {
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 4.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
        "tie_word_embeddings": False,
    },
    "qwen2": {"attention_bias": True},
    "mistral": {"tie_word_embeddings": False, "num_attention_heads": 6, "num_key_value_heads": 3},
}
"""What differs from the rest, chosen so that each way a weight is stored occurs."""


def tokenizer(kind: str = "bpe", special: tuple[str, ...] = ()) -> Tokenizer:
    return train_bpe([TEXT], 500, special) if kind == "bpe" else build_characters([TEXT], special)


def text_model(
    architecture: str = "qwen3", facts: Tokenizer | None = None, task: str = "write", **network: Any
) -> Model:
    """A model in memory. Weights are large enough for greedy output to change from token to token."""
    facts = facts or tokenizer()
    torch.manual_seed(0)
    settings = {
        "vocab_size": facts.size,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 128,
        "initializer_range": 0.3,
        "model_type": architecture,
    }
    config = DecoderConfig.model_validate({**settings, **ARCHITECTURES[architecture], **network})
    decoder = Decoder(config).eval()
    for parameter in decoder.parameters():
        if parameter.ndim == 1:
            nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.2)
    schema = recipe_class(task, "transformer")
    sections = [schema.model_fields[name].annotation() for name in ("prepare", "model")]  # type: ignore[misc]
    made = TASKS[task].load()(*sections, "transformer")
    chosen = ModelConfig(family="transformer", network=config.model_dump(), batches={"model": 1}, title="2 layers")
    return Model(made, chosen, facts, {"model": Transformer(decoder, facts.end_token)}, torch.device("cpu"))


def text_folder(place: Path, architecture: str = "qwen3", facts: Tokenizer | None = None, **network: Any) -> Path:
    """`place`/model, as the export stage writes it, with a card."""
    folder = place / "model"
    save(text_model(architecture, facts, **network), folder)
    card = (
        "---\nlicense: other\nlicense_name: not-declared\ntags: [genwright, write]\n---\n\n# small\n\nA small model.\n"
    )
    (folder / "README.md").write_text(card)
    return folder
