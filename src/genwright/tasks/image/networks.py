"""Which networks each family that makes pictures is made of, and in which sizes."""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from genwright.families.base import Family
from genwright.model import ModelConfig
from genwright.networks import resnet
from genwright.networks.dit import DiT
from genwright.networks.text_encoder import condition_encoder
from genwright.networks.told import condition_tokens
from genwright.networks.translator import Translator
from genwright.networks.unet import UNet
from genwright.registry import FAMILIES

_PARAMETERS_A_VALUE = 0.25
"""Networks with more parameters than this for each value (pixel by channel) of the data only learn it by heart: R3GAN's for CIFAR-10 and
FFHQ-64 have 0.1 to 0.25."""


@dataclass(frozen=True)
class Drawn:
    """What networks are to draw: pictures of a side in pixels, from a condition with so many ids, and where a task gives one from another
    picture of so many channels beside."""

    size: int
    condition: str
    condition_count: int
    beside: int = 0

    def encoder(self, width: int) -> nn.Module:
        return condition_encoder(self.condition, self.condition_count, width)

    def tokens(self, width: int, layers: int) -> nn.Module:
        return condition_tokens(self.condition, self.condition_count, width, layers)


@dataclass(frozen=True)
class Networks:
    """A family's own: `candidates` gives sizes from small to large by the recipe's model settings, `build` the networks of one by
    the names that the family's constructor knows them by, from what is drawn and `ModelConfig.network`. `large` goes on where
    `candidates` ends, for cards."""

    candidates: Callable[[Any], list[ModelConfig]]
    build: Callable[[Drawn, dict[str, Any]], dict[str, nn.Module]]
    large: Callable[[Any], list[ModelConfig]] = lambda settings: []

    def for_card(self, settings: Any, drawn: Drawn, pictures: int) -> list[ModelConfig]:
        """Sizes for a card, whose time is no limit for small data: so many pictures are. The smallest is always among them."""
        first, *others = [*self.candidates(settings), *self.large(settings)]
        most = _PARAMETERS_A_VALUE * pictures * 3 * drawn.size**2
        return [first, *(config for config in others if self._parameters(drawn, config) <= most)]

    def _parameters(self, drawn: Drawn, config: ModelConfig) -> int:
        with torch.device("meta"):
            built = self.build(drawn, config.network)
        return sum(parameter.numel() for network in built.values() for parameter in network.parameters())


@dataclass(frozen=True)
class ResNetSize:
    """`ModelConfig.network` of the residual networks.

    `width` is the generator's number of channels at its finest stage, which has no residual block; each coarser stage has
    twice as many, up to `most`, and `blocks` blocks. A discriminator has half the generator's width: in adversarial training
    it works three times as much.
    """

    width: int
    most: int
    blocks: int
    patch: int
    latent: int
    condition_width: int

    def by_stage(self, drawn: Drawn, share: int = 1) -> tuple[list[int], list[int]]:
        """Widths, a part of the generator's, and numbers of blocks from the finest stage to the coarsest."""
        stages = resnet.stage_count(drawn.size, self.patch)
        widths = [min(self.width // share * 2**i, self.most // share) for i in range(stages)]
        return widths, [0] + [self.blocks] * (stages - 1)

    def generator(self, drawn: Drawn, channels: int = 3) -> resnet.Generator:
        encoder = drawn.encoder(self.condition_width)
        return resnet.Generator(encoder, *self.by_stage(drawn), self.latent, self.patch, channels)


_WIDTHS = (32, 48, 64, 96, 128, 192)
_LARGE = (256, 384)
_LEAST_STEPS = 2500
"""Two players that answer each other need many small steps more than they need width: 128 channels in 749 steps of ten minutes came to a
KID of 0.96, 48 channels in 2,574 steps of as long to 0.61."""


def resnet_candidates(settings: Any) -> list[ModelConfig]:
    return [_resnet(settings.family, width) for width in (_WIDTHS if settings.width is None else (settings.width,))]


def resnet_large(settings: Any) -> list[ModelConfig]:
    return [_resnet(settings.family, width) for width in _LARGE] if settings.width is None else []


def _resnet(family: str, width: int) -> ModelConfig:
    network = {"width": width, "most": 4 * width, "blocks": 1, "patch": 2, "latent": 64, "condition_width": 64}
    title = f"{width} to {4 * width} channels"
    return ModelConfig(family=family, network=network, title=title, least_steps=_LEAST_STEPS)


def gan_networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    size = ResNetSize(**network)
    generator, encoder = size.generator(drawn), drawn.encoder(size.condition_width)
    discriminator = resnet.Discriminator(encoder, *size.by_stage(drawn, share=2), size.patch)
    return {"generator": generator, "discriminator": discriminator}


def vae_networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    size = ResNetSize(**network)
    encoder = drawn.encoder(size.condition_width)
    return {
        "encoder": resnet.Posterior(encoder, *size.by_stage(drawn), size.latent, size.patch),
        "decoder": resnet.PixelDistributions(size.generator(drawn, channels=6)),
        "prior": resnet.Prior(drawn.encoder(size.condition_width), size.latent),
    }


def cycle_networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    """Both ways between two hands, with a discriminator for each; no network is told anything."""
    size, alone = ResNetSize(**network), replace(drawn, condition="none")
    widths, blocks = size.by_stage(drawn)
    found: dict[str, nn.Module] = {}
    for way in ("forth", "back"):
        found[way] = Translator(widths, [max(1, count) for count in blocks], size.patch)
    for judge in ("judge_a", "judge_b"):
        encoder = alone.encoder(size.condition_width)
        found[judge] = resnet.Discriminator(encoder, *size.by_stage(drawn, share=2), size.patch)
    return found


@dataclass(frozen=True)
class UNetSize:
    """`ModelConfig.network` of a flow's U-Net. `width` is the number of channels at its finest level; each coarser one has twice
    as many, up to eight times. There is attention where a side has at most `attends` places. Of `told`: see `UNet`."""

    width: int
    blocks: int
    patch: int
    attends: int
    condition_width: int
    condition_layers: int
    told: int | None = None

    def build(self, drawn: Drawn) -> UNet:
        levels = resnet.stage_count(drawn.size, self.patch)
        return UNet(
            drawn.tokens(self.condition_width, self.condition_layers),
            drawn.size,
            [self.width * min(2**level, 8) for level in range(levels)],
            [self.blocks] * levels,
            [drawn.size // self.patch >> level <= self.attends for level in range(levels)],
            self.patch,
            drawn.condition != "none",
            beside=drawn.beside,
            told=self.told,
        )


@dataclass(frozen=True)
class DiTSize:
    """`ModelConfig.network` of a flow's transformer."""

    width: int
    layers: int
    patch: int
    bottleneck: int
    condition_width: int
    condition_layers: int

    def build(self, drawn: Drawn) -> DiT:
        return DiT(
            drawn.tokens(self.condition_width, self.condition_layers),
            drawn.size,
            self.width,
            self.layers,
            self.patch,
            self.bottleneck,
            drawn.condition != "none",
            beside=drawn.beside,
        )


_UNET_WIDTHS = (16, 24, 32, 48, 64, 96, 128)
_DIT_WIDTHS = (128, 192, 256, 384, 512)
_FLOW_STEPS = 2400
"""32 channels in 1,253 steps of ten minutes came to a KID of 0.75, 16 channels in 3,502 to 0.67."""
_FLOW_BATCHES = {"model": 16}
"""Examples of a step: with 16 a U-Net came further than with 32 or 8 in equal seconds (benchmarks/results/flow.txt)."""


def flow_candidates(settings: Any) -> list[ModelConfig]:
    if settings.network == "unet":
        return [_unet(settings.size, width) for width in _chosen(settings.width, _UNET_WIDTHS)]
    return [_dit(settings.size, width) for width in _chosen(settings.width, _DIT_WIDTHS)]


def _chosen(width: int | None, widths: tuple[int, ...]) -> tuple[int, ...]:
    return widths if width is None else (width,)


def _unet(size: int, width: int) -> ModelConfig:
    network = {
        "width": width,
        "blocks": 1,
        "patch": max(1, size // 64),
        "attends": 8,
        "condition_width": 128,
        "condition_layers": 1,
        "told": 256,
    }
    title = f"a U-Net of {width} channels and more"
    return ModelConfig(
        family="flow", network={"unet": network}, batches=_FLOW_BATCHES, title=title, least_steps=_FLOW_STEPS
    )


def _dit(size: int, width: int) -> ModelConfig:
    layers, patch = max(4, width // 32), size // 8
    network = {"width": width, "layers": layers, "patch": patch, "bottleneck": 64, "condition_width": 128}
    title = f"a transformer of {layers} layers, {width} wide, over patches of {patch}"
    return ModelConfig(
        family="flow", network={"transformer": network | {"condition_layers": 2}}, title=title, least_steps=_FLOW_STEPS
    )


def flow_networks(drawn: Drawn, network: dict[str, Any]) -> dict[str, nn.Module]:
    if "unet" in network:
        return {"network": UNetSize(**network["unet"]).build(drawn)}
    return {"network": DiTSize(**network["transformer"]).build(drawn)}


NETWORKS = {
    "cycle": Networks(resnet_candidates, cycle_networks, resnet_large),
    "flow": Networks(flow_candidates, flow_networks),
    "gan": Networks(resnet_candidates, gan_networks, resnet_large),
    "vae": Networks(resnet_candidates, vae_networks, resnet_large),
}
"""By family; another package that adds a family of pictures adds its networks here."""


def networks_of(family: str) -> Networks:
    FAMILIES[family].load()  # one from another package adds its networks when it is imported
    return NETWORKS[family]


def family_of(config: ModelConfig, drawn: Drawn, settings: Any) -> Family:
    """The family of a size with its networks, by the recipe's model settings."""
    entry = FAMILIES[config.family]
    schema = entry.load_options().Settings
    own = schema.model_validate({name: getattr(settings, name) for name in schema.model_fields})
    return entry.load()(**networks_of(config.family).build(drawn, config.network), settings=own)


def sizes_for(family: str, settings: Any, drawn: Drawn, pictures: Sized, device: torch.device) -> list[ModelConfig]:
    """The sizes of a family that a device is offered, from small to large, for as many pictures as there are to learn from."""
    networks = networks_of(family)
    if device.type != "cuda":
        return networks.candidates(settings)
    return networks.for_card(settings, drawn, len(pictures))
