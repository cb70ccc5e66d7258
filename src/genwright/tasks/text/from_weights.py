"""A text task that starts from somebody's weights (`model.from`): their tokenizer, their one size, all of them or a low-rank change.

`model` is the recipe's section everywhere below.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.families.transformer.family import FINE_TUNING, LORA, Transformer
from genwright.families.transformer.options import is_path
from genwright.model import ModelConfig
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.lora import add_lora
from genwright.tasks.base import Part, Splits
from genwright.tasks.text.sizes import parameters
from genwright.tokens.tokenizer import Tokenizer
from genwright.weights import Weights, identify, open_weights
from genwright.weights.tokenizers import with_origin, with_special

_LONGEST = {"cpu": 512}
"""Tokens of a row where neither the recipe nor the data ask for fewer; on anything but a CPU 2,048."""
_TOKENS_A_STEP = {"cpu": 1024}
"""On anything but a CPU 16,384."""


def check(model: Any, prepare: Any, context: int | None) -> None:
    """Raises RequestError when `model.from` can't be opened, or the recipe asks for what does not go with it."""
    if model.from_ is None:
        if model.lora is not None:
            raise RequestError(
                "`model.lora` is a change of weights to start from; name them in `model.from`, or leave it out."
            )
        return
    for key in ("layers", "width"):
        if getattr(model, key) is not None:
            raise RequestError(f"`model.{key}` is fixed by the weights of `model.from`; leave it out.")
    if prepare.tokenizer != "auto" or prepare.vocabulary is not None:
        raise RequestError(
            "`prepare.tokenizer` and `prepare.vocabulary` are fixed by the weights of `model.from`; leave them out."
        )
    weights = open_weights(model.from_)
    _refuse_too_long(context, weights.config.max_position_embeddings)
    _refuse_tied_change(model, weights)


def _refuse_tied_change(model: Any, weights: Weights) -> None:
    if weights.untied and model.lora is not None and not model.lora.merge:
        raise RequestError(
            f"{weights.shown}: set `tie_word_embeddings` to false in its config.json for a change of it (`lora: {{merge: false}}`): PEFT "
            "would tie the output matrix, which is another than the embedding."
        )


def _refuse_too_long(context: int | None, known: int) -> None:
    if context is not None and context > known:
        raise RequestError(
            f"`model.context` is {context:,}, and the weights of `model.from` know {known:,} positions; ask for no more than that."
        )


def positions(model: Any) -> int | None:
    """How many tokens the weights that are started from can see at once."""
    return None if model.from_ is None else open_weights(model.from_).config.max_position_embeddings


def encoding_settings(model: Any) -> dict[str, Any]:
    """What the examples follow beside the task's own settings: other weights under the same name have another hash."""
    return {} if model.from_ is None else {"from": identify(model.from_)}


def exported_settings(model: Any) -> dict[str, Any]:
    """Where the weights lay is nobody else's business, unless what is exported is a change that needs them."""
    settings = model.model_dump(mode="json")
    if isinstance(settings["from"], str) and is_path(settings["from"]) and (model.lora is None or model.lora.merge):
        settings["from"] = Path(settings["from"]).name
    return settings


def tokenizer(model: Any, missing: Callable[[Tokenizer], tuple[str, ...]]) -> Tokenizer:
    """The weights' own, with the special tokens that the task needs, and where it comes from."""
    weights = open_weights(model.from_)
    _refuse_tied_change(model, weights)
    return with_origin(with_special(weights.tokenizer, missing(weights.tokenizer)), weights.origin)


def candidate(model: Any, asked: int | None, facts: Tokenizer, splits: Splits, device: torch.device) -> ModelConfig:
    """The one size there is, with rows as long as the recipe asks for (`asked`) or the data needs."""
    weights = open_weights(model.from_)
    known = weights.config.max_position_embeddings
    _refuse_too_long(asked, known)
    context = min(asked or _context(splits, device), known)
    network = weights.config.model_copy(
        update={"vocab_size": facts.size, "max_position_embeddings": context, "native_positions": known}
    )
    how = f"low-rank change of rank {model.lora.rank}" if model.lora else "all weights"
    return ModelConfig(
        family="transformer",
        network=network.model_dump(),
        batches={"model": max(_TOKENS_A_STEP.get(device.type, 16_384) // context, 1)},
        title=f"{weights.origin.title}, {parameters(network):,} parameters, {how}, context {context}",
    )


def _context(splits: Splits, device: torch.device) -> int:
    """Room for nineteen of twenty examples whole, in steps of 64 tokens."""
    lengths = splits["train"].lengths("tokens")
    wanted = int(np.quantile(lengths, 0.95)) if len(lengths) else 64
    return min(max(-(-wanted // 64) * 64, 64), _LONGEST.get(device.type, 2048))


def part(model: Any, config: ModelConfig, facts: Tokenizer) -> Part:
    network = DecoderConfig(**config.network)
    return Part(
        "model",
        lambda trained: family(model, network, facts),
        batch=config.batches["model"],
        initial=lambda built: load(model, built),
    )


def family(model: Any, network: DecoderConfig, facts: Tokenizer) -> Transformer:
    """A family whose weights are not loaded yet: see `load`."""
    decoder, lora, own_rows = Decoder.empty(network), model.lora, 0
    if lora is not None:
        add_lora(decoder, lora.rank, lora.alpha)
        if not lora.merge:
            own_rows = network.vocab_size - open_weights(model.from_).config.vocab_size
    return Transformer(
        decoder,
        facts.end_token,
        FINE_TUNING if lora is None else LORA,
        end_tokens=facts.end_tokens,
        token_ids=facts.token_ids,
        merge=lora is None or lora.merge,
        base=lambda decoder: weights_for(model, facts).load_into(decoder),
        own_rows=own_rows,
    )


def load(model: Any, built: Family) -> None:
    """Put the weights of `model.from` into a family made by `family`."""
    assert isinstance(built, Transformer)
    open_weights(model.from_).load_into(built.network)


def weights_for(model: Any, facts: Tokenizer) -> Weights:
    """The weights that a change belongs to. Raises RequestError when those of that name are others now."""
    weights = open_weights(model.from_)
    origin = facts.foreign.origin if facts.foreign else {}
    if origin.get("hash") not in (None, weights.origin.hash):
        raise RequestError(
            f"{weights.shown}: not the weights that this change was trained on ({origin['title']}, hash {origin['hash']}); "
            "put those back in their place."
        )
    return weights
