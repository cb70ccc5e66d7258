"""The sizes of text models that a budget may be spent on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from genwright.errors import RequestError
from genwright.families.base import OptimizerSpec
from genwright.families.transformer.family import OPTIMIZER
from genwright.model import ModelConfig
from genwright.networks.decoder import DecoderConfig

_SIZES = (
    # layers, width, context, windows a step
    (2, 64, 128, 8),
    (3, 96, 128, 8),
    (4, 128, 128, 8),
    (4, 192, 256, 8),
    (6, 256, 256, 16),
    (6, 384, 256, 16),
    (8, 384, 512, 16),
    (8, 512, 512, 16),
)
"""Few windows a step: Muon learns from small batches, and a short budget is better spent on more steps. A card takes more where the
data bears it (`most_batch`)."""

_LARGE = ((10, 640, 1024, 8), (12, 768, 1024, 8), (16, 896, 1024, 8), (16, 1024, 1024, 8), (24, 1024, 1024, 8))
"""For cards: up to 350 million parameters."""
_LONG_FROM_WIDTH = 192
"""A card sees up to 1,024 tokens at once from this width on, where the texts are as long."""
_CRITICAL, _CRITICAL_POWER = 22.91 * 512, 0.47
"""Tokens of a step beyond which more of them begin to be wasted, for a million tokens that are seen, and how that grows with them: the
critical batch of arXiv:2410.21676, where it follows from the data and hardly from the model's size."""
_PASSES = 16
"""Passes after which more of the same tokens count as no more data (arXiv:2305.16264)."""

_CARRIED_WIDTH, _CARRIED_TOKENS = 256, 8192
"""Up to this width and so many tokens a step the family's rates are as they were found."""
_MOST_MORE = 4.0

_SENSIBLE_CONTEXT = 1024
"""A context that may be asked for however short the texts are: they share its rows."""

_PARAMETERS_A_TOKEN = 20
"""Models with more parameters than this for each token of the data only learn it by heart."""


def candidates(settings: Any, vocabulary: int, data_tokens: int, longest: int | None = None) -> list[ModelConfig]:
    """From small to large; `layers`, `width` and `context` of the recipe are fixed in all, and duplicates fall away. `longest`: tokens of
    the longer texts, on a card; None on any other device."""
    found: list[ModelConfig] = []
    for layers, width, context, batch in _SIZES if longest is None else _SIZES + _LARGE:
        tokens_a_step = context * batch
        layers, width = settings.layers or layers, settings.width or width
        if longest is not None and width >= _LONG_FROM_WIDTH:
            context = max(context, min(1024, 1 << (longest - 1).bit_length()))
        context = settings.context or context
        network = network_for(layers, width, context, vocabulary)
        config = ModelConfig(
            family="transformer",
            network=network.model_dump(),
            batches={"model": max(tokens_a_step // context, 1)},
            title=f"{layers} layers, {width} wide, context {context}",
        )
        fits = parameters(network) <= _PARAMETERS_A_TOKEN * data_tokens
        if not found or (fits and network.model_dump() != found[-1].network):
            found.append(config)
    return found


def most_batch(context: int, data_tokens: int) -> int:
    """Windows of a step that so much data bears."""
    tokens = _CRITICAL * (_PASSES * data_tokens / 1e6) ** _CRITICAL_POWER
    return max(round(tokens / context), 1)


def optimizer_for(network: DecoderConfig, windows: int) -> OptimizerSpec:
    """The family's rates, for this width and this many windows a step.

    By benchmarks/results/rates.txt the best rate of matrices is the same from 128 to 512 wide, as Muon's scaled updates have it. That of
    AdamW falls from 256 on: the output matrix is the embedding, and a wider one moves a logit further (arXiv:2203.03466 has it fall with
    the width). Four times the batch bears twice either rate.
    """
    wider = max(network.hidden_size / _CARRIED_WIDTH, 1.0)
    more = max(windows * network.max_position_embeddings / _CARRIED_TOKENS, 1.0) ** 0.5
    more = min(more, _MOST_MORE)
    assert OPTIMIZER.matrix_learning_rate is not None
    return replace(
        OPTIMIZER,
        learning_rate=OPTIMIZER.learning_rate * more / wider,
        matrix_learning_rate=OPTIMIZER.matrix_learning_rate * more,
    )


def check_context(context: int | None, longest: int) -> None:
    """Refuse a context that reaches far beyond the longest training text: nothing can be learned there, and each step would cost its
    square. Raises RequestError."""
    fits = max(_SENSIBLE_CONTEXT, 1 << (longest - 1).bit_length())
    if context is not None and context > fits:
        raise RequestError(
            f"model.context: {context:,} tokens, and the longest training text has {longest:,}, so that the rest would learn nothing; "
            f"set {fits:,} or less, or leave it out."
        )


def network_for(layers: int, width: int, context: int, vocabulary: int) -> DecoderConfig:
    """Heads of 32 below a width of 256, of 64 from there on; a feed-forward layer 8/3 as wide, as SwiGLU has it."""
    head_dim = 32 if width < 256 else 64
    heads = max(width // head_dim, 1)
    return DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=-(-width * 8 // 3 // 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=head_dim,
        max_position_embeddings=context,
    )


def parameters(network: DecoderConfig) -> int:
    attention = network.hidden_size * network.head_dim * 2 * (network.num_attention_heads + network.num_key_value_heads)
    feed_forward = 3 * network.hidden_size * network.intermediate_size
    return network.num_hidden_layers * (attention + feed_forward) + network.vocab_size * network.hidden_size
