"""A small text model, rows for it, and the memory that its steps take."""

from __future__ import annotations

import torch

from genwright.families.base import Batch
from genwright.families.transformer.family import Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.training.base import Settings
from genwright.training.rehearsal import memory_of_one_step


def transformer(layers: int = 2, width: int = 32) -> Transformer:
    torch.manual_seed(0)
    config = DecoderConfig(
        vocab_size=50,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=128,
    )
    return Transformer(Decoder(config), 0)


class Rows:
    pass_examples = 64

    def batch(self, position: int, size: int) -> Batch:
        rng = torch.Generator().manual_seed(position)
        return {
            "tokens": torch.randint(50, (size, 129), generator=rng),
            "segments": (torch.arange(128) // 40).expand(size, -1),
        }


def memory_of_steps() -> tuple[int, int]:
    """The most memory there was in a step that computes activations again, and in one that keeps them."""
    settings = Settings(steps=1, batch=32)
    thrifty = settings.model_copy(update={"checkpoint_activations": True})
    # The thrifty one first: where the system does not let a peak be forgotten, peaks only grow.
    cpu = torch.device("cpu")
    _, again, kept = (memory_of_one_step(transformer(8, 64), Rows(), s, cpu) for s in (thrifty, thrifty, settings))
    return again, kept
