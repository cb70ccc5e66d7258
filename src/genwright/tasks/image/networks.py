"""Which networks each family of `draw` is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from genwright.networks import resnet
from genwright.networks.text_encoder import condition_encoder


@dataclass(frozen=True)
class NetworkPlan:
    """Everything that fixes the networks' shapes. The fields behind `condition_count` are `ModelConfig.network`.

    `width` is the generator's number of channels at its finest stage, which has no residual block; each coarser stage has
    twice as many, up to `most`, and `blocks` blocks. A discriminator has half the generator's width: in adversarial training
    it works three times as much.
    """

    size: int
    condition: str
    condition_count: int
    width: int
    most: int
    blocks: int
    patch: int
    latent: int
    condition_width: int

    def encoder(self) -> nn.Module:
        return condition_encoder(self.condition, self.condition_count, self.condition_width)

    @property
    def blocks_by_stage(self) -> list[int]:
        return [0] + [self.blocks] * (resnet.stage_count(self.size, self.patch) - 1)

    def widths(self, width: int, most: int) -> list[int]:
        return [min(width * 2**i, most) for i in range(len(self.blocks_by_stage))]

    def generator(self, channels: int = 3) -> resnet.Generator:
        widths = self.widths(self.width, self.most)
        return resnet.Generator(self.encoder(), widths, self.blocks_by_stage, self.latent, self.patch, channels)


def gan_networks(plan: NetworkPlan) -> dict[str, nn.Module]:
    widths = plan.widths(plan.width // 2, plan.most // 2)
    return {
        "generator": plan.generator(),
        "discriminator": resnet.Discriminator(plan.encoder(), widths, plan.blocks_by_stage, plan.patch),
    }


def vae_networks(plan: NetworkPlan) -> dict[str, nn.Module]:
    widths = plan.widths(plan.width, plan.most)
    return {
        "encoder": resnet.Posterior(plan.encoder(), widths, plan.blocks_by_stage, plan.latent, plan.patch),
        "decoder": resnet.PixelDistributions(plan.generator(channels=6)),
        "prior": resnet.Prior(plan.encoder(), plan.latent),
    }


NETWORKS: dict[str, Callable[[NetworkPlan], dict[str, nn.Module]]] = {"gan": gan_networks, "vae": vae_networks}
"""By family; another package that adds a family to `draw` adds its networks here."""
