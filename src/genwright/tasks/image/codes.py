"""Pictures drawn code by code: the two parts of `family: transformer`, their sizes, and the examples that the second learns from.

The part `codec` learns to turn a picture into a grid of codes and back; the part `prior` which codes follow on a caption and on one
another. An example of the prior is {"codes": uint16[T], "condition": int32[L]}, with "long" where the picture has one, and "mirrored":
uint16[T], the codes of its mirror image, where the recipe asks for those too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from genwright.families.base import Batch, Family
from genwright.families.codec.family import Codec
from genwright.families.codes.family import Codes
from genwright.model import ModelConfig
from genwright.networks.codes.codec import Decoder, Encoder, PatchJudge, Quantiser
from genwright.networks.codes.prior import CodePrior
from genwright.shards import Example
from genwright.tasks.base import Part
from genwright.tasks.image.facts import DrawFacts
from genwright.tasks.image.pixels import given_of, to_network

FAMILY = "transformer"
"""What users call it."""
_LEAST_SHRINK = 4
_MOST_SIDE = 16
"""Codes a side, where the recipe does not say how much one stands for: the prior's work grows with their square, and more."""
_BLOCKS = 1
"""Residual blocks at each resolution of the codec."""
_BATCH, _CARD_BATCH = 16, 64
"""Examples of a step: few, for a short budget is better spent on more steps; on a card as many as keep it busy."""
_CODEC_SHARE = 0.4
_SIZES = ((3, 96), (3, 128), (4, 192), (6, 256))
_LARGE = ((8, 384), (12, 512))
"""Layers and width of the prior; the large ones for cards."""
_LEAST_STEPS = 800


def candidates(model: Any, device: torch.device) -> list[ModelConfig]:
    """Sizes of the prior from small to large; the codec is the same in all, as the recipe has it, so that one may be taken from elsewhere."""
    found: list[ModelConfig] = []
    card = device.type == "cuda"
    batch = _CARD_BATCH if card else _BATCH
    for layers, width in _SIZES + _LARGE if card else _SIZES:
        network = {"layers": model.prior.layers or layers, "width": model.prior.width or width}
        title = f"a codec of {model.codec.width} channels, and {network['layers']} layers, {network['width']} wide"
        config = ModelConfig(
            family=FAMILY,
            network=network,
            batches={"codec": batch, "prior": batch},
            title=title,
            least_steps=_LEAST_STEPS,
        )
        if not found or found[-1].network != network:
            found.append(config)
    return found


def shrink_of(model: Any) -> int:
    """Pixels a side that a code stands for."""
    return model.codec.shrink or max(_LEAST_SHRINK, model.size // _MOST_SIDE)


def side_of(model: Any) -> int:
    """Codes a side."""
    return model.size // shrink_of(model)


def parts(model: Any, config: ModelConfig, facts: DrawFacts, flip: bool) -> list[Part]:
    """`model`: the recipe's section. `flip`: whether mirror images are learned from too."""

    def derive(trained: Mapping[str, Family], examples: Sequence[Example]) -> Iterator[Example]:
        return derived(codec_of(trained), examples, flip)

    return [
        Part(
            "codec",
            lambda trained: codec(model),
            batch=config.batches["codec"],
            share=_CODEC_SHARE,
            source=model.codec.from_,
            alike=("size",),
        ),
        Part(
            "prior",
            lambda trained: prior(model, config, facts, codec_of(trained)),
            batch=config.batches["prior"],
            derive=derive,
            share=1 - _CODEC_SHARE,
            main=True,
        ),
    ]


def codec(model: Any) -> Codec:
    settings, shrink = model.codec, shrink_of(model)
    shape = settings.width, shrink, _BLOCKS, len(settings.levels)
    return Codec(Encoder(*shape), Quantiser(settings.levels), Decoder(*shape), PatchJudge(), settings)


def prior(model: Any, config: ModelConfig, facts: DrawFacts, translator: Codec) -> Codes:
    network = CodePrior(
        words=facts.condition_count,
        caption=facts.tokens if facts.condition == "text" else 1,
        codes=translator.count,
        side=side_of(model),
        width=config.network["width"],
        layers=config.network["layers"],
        dropout=model.prior.dropout,
        conditional=facts.condition != "none",
    )
    return Codes(network, translator, model.prior)


def codec_of(trained: Mapping[str, Family]) -> Codec:
    found = trained["codec"]
    assert isinstance(found, Codec)
    return found


def derived(codec: Codec, examples: Sequence[Example], flip: bool) -> Iterator[Example]:
    """Pictures as their codes, with what they are drawn from."""
    device = next(codec.modules.parameters()).device
    image_BCHW = to_network(np.stack([example["image"] for example in examples])).to(device)
    found = {"codes": codec.encode(image_BCHW)}
    if flip:
        found["mirrored"] = codec.encode(image_BCHW.flip(3))
    codes = {name: code_BT.cpu().numpy().astype(np.uint16) for name, code_BT in found.items()}
    for row, example in enumerate(examples):
        told = {name: example[name] for name in ("condition", "long") if name in example}
        yield told | {name: code_BT[row] for name, code_BT in codes.items()}


def mirrored(example: Example) -> Example:
    """The codes of its mirror image in place of its own."""
    return {"codes": example["mirrored"]}


def collate(examples: Sequence[Example]) -> Batch:
    """{"codes": int64[B, T], "condition": int64[B, L]}."""
    code_BT = torch.from_numpy(np.stack([example["codes"] for example in examples]).astype(np.int64))
    return {"codes": code_BT, **given_of(np.stack([example["condition"] for example in examples]))}
