"""A transformer over patches that finds the clean picture in a noisy one, in the layout of diffusers' `PRXTransformer2DModel`.

One stream of patches; the caption's tokens stand as further keys and values in every layer; the time scales, shifts and gates what each
block does (adaLN, arXiv:2212.09748); queries and keys are normed and turned by their place in the picture (arXiv:2104.09864 in two axes).
Names and shapes of the weights are diffusers' own, but for two that it lacks: `leap_in`, which is zero for steps of no length, and the
encoder of captions, which it takes as a model of its own. diffusers counts time from picture (0) to noise (1), so `time_in` is told 1 - t.

Shapes: B batch, C channels, H W pixels, T patches, L tokens of a caption, D width, N heads, K head width. image_BCHW in [-1, 1].
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.elementwise import RMSNorm
from genwright.networks.roles import Role, default_roles
from genwright.networks.told import Embedder, Leap, time_features, token_shares

_HEAD = 32
_FEATURES = 256
_MLP = 3
"""Times as wide as the stream is the gated part of a block."""
_THETA = 10_000


class Attention(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.heads = width // _HEAD
        self.img_qkv_proj = nn.Linear(width, 3 * width, bias=False)
        self.txt_kv_proj = nn.Linear(width, 2 * width, bias=False)
        self.norm_q, self.norm_k, self.norm_added_k = (RMSNorm(_HEAD, eps=1e-6) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width, bias=False)])  # a list, as diffusers has it

    def forward(self, x_BTD: Tensor, token_BLD: Tensor, seen: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        q, k, v = self._parts(x_BTD, token_BLD, turn)
        mixed_BTD = F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)
        return self.to_out[0](mixed_BTD)

    def looked_at(self, x_BTD: Tensor, token_BLD: Tensor, seen: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        """How much of its attention each patch pays to each token, the mean over heads: [B, L, H, W] of a square of patches."""
        q, k, _ = self._parts(x_BTD, token_BLD, turn)
        share_BTL = token_shares(q, k, seen, token_BLD.shape[1])
        return share_BTL.transpose(1, 2).unflatten(2, (math.isqrt(x_BTD.shape[1]), -1))

    def _parts(self, x_BTD: Tensor, token_BLD: Tensor, turn: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values by head."""
        q, k, v = (self._heads(part) for part in self.img_qkv_proj(x_BTD).chunk(3, -1))
        token_k, token_v = (self._heads(part) for part in self.txt_kv_proj(token_BLD).chunk(2, -1))
        q, k = rotate(self.norm_q(q), turn), rotate(self.norm_k(k), turn)
        return q, torch.cat([self.norm_added_k(token_k), k], 2), torch.cat([token_v, v], 2)

    def _heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Modulation(nn.Module):
    """Shift, scale and gate of attention and of the feed-forward part; starts at zero, so that a block begins as nothing."""

    def __init__(self, width: int):
        super().__init__()
        self.lin = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.lin.weight)
        nn.init.zeros_(self.lin.bias)

    def forward(self, time_BD: Tensor) -> tuple[Tensor, ...]:
        return self.lin(F.silu(time_BD))[:, None].chunk(6, -1)


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.attention = Attention(width)
        self.gate_proj, self.up_proj = (nn.Linear(width, _MLP * width, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(_MLP * width, width, bias=False)
        self.modulation = Modulation(width)

    def forward(
        self, x_BTD: Tensor, token_BLD: Tensor, seen: Tensor, time_BD: Tensor, turn: tuple[Tensor, Tensor]
    ) -> Tensor:
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(time_BD)
        x_BTD = x_BTD + gate * self.attention((1 + scale) * _norm(x_BTD) + shift, token_BLD, seen, turn)
        h_BTD = (1 + mlp_scale) * _norm(x_BTD) + mlp_shift
        fed_BTD = self.down_proj(F.gelu(self.gate_proj(h_BTD), approximate="tanh") * self.up_proj(h_BTD))
        return x_BTD + mlp_gate * fed_BTD

    def parameter_roles(self) -> dict[str, Role]:
        width = self.gate_proj.in_features
        return default_roles(self) | {
            "attention.img_qkv_proj.weight": Role("matrix", (width,) * 3),
            "attention.txt_kv_proj.weight": Role("matrix", (width,) * 2),
            "modulation.lin.weight": Role("rest"),
        }


class FinalLayer(nn.Module):
    """A patch's pixels from its vector; starts at zero."""

    def __init__(self, width: int, pixels: int):
        super().__init__()
        self.linear = nn.Linear(width, pixels)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        for layer in (self.linear, self.adaLN_modulation[1]):
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x_BTD: Tensor, time_BD: Tensor) -> Tensor:
        shift_BD, scale_BD = self.adaLN_modulation(time_BD).chunk(2, 1)
        return self.linear((1 + scale_BD[:, None]) * _norm(x_BTD) + shift_BD[:, None])

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | dict.fromkeys(("linear.weight", "adaLN_modulation.1.weight"), Role("rest"))


class DiT(nn.Module):
    """Noisy picture, times and what is given -> the clean picture. `bottleneck` is the rank at which a patch is read. `beside`: channels of another
    picture, `given["beside"]` of the same height and width, that is seen beside the noisy one (arXiv:2111.05826); its first channels are like
    the picture's, and what is found is the difference to them."""

    turn_cos: Tensor
    turn_sin: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        size: int,
        width: int,
        layers: int,
        patch: int,
        bottleneck: int,
        conditional: bool = True,
        channels: int = 3,
        beside: int = 0,
    ):
        super().__init__()
        tokens: int = encoder.width  # type: ignore[assignment]
        self.shape, self.patch, self.conditional = (channels, size, size), patch, conditional
        self.encoder = encoder
        pixels = channels * patch**2
        self.beside = beside
        self.img_in = nn.Sequential(nn.Linear(pixels + beside * patch**2, bottleneck), nn.Linear(bottleneck, width))
        self.time_in, self.leap_in = Embedder(_FEATURES, width), Leap(width)
        self.txt_in = nn.Linear(tokens, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(layers))
        self.final_layer = FinalLayer(width, pixels)
        cos_TK, sin_TK = turns(size // patch, _HEAD)
        self.register_buffer("turn_cos", cos_TK, persistent=False)
        self.register_buffer("turn_sin", sin_TK, persistent=False)

    def forward(
        self, noisy_BCHW: Tensor, time_B: Tensor, until_B: Tensor, given: dict[str, Tensor], told_B: Tensor
    ) -> Tensor:
        """-> image_BCHW, not clamped. `told_B`: whether a row is told what is given."""
        token_BLD, real_BL = self.encoder(given["condition"], told_B)
        token_BLD = self.txt_in(token_BLD)
        time_BD = self.time_in(time_features(1 - time_B, _FEATURES)) + self.leap_in(time_B, until_B)
        x_BCHW = torch.cat([noisy_BCHW, given["beside"]], 1) if self.beside else noisy_BCHW
        x_BTD = self.img_in(F.pixel_unshuffle(x_BCHW, self.patch).flatten(2).transpose(1, 2))
        seen = F.pad(real_BL, (0, x_BTD.shape[1]), value=True)[:, None, None]
        for block in self.blocks:
            x_BTD = block(x_BTD, token_BLD, seen, time_BD, (self.turn_cos, self.turn_sin))
        patches_BCHW = (
            self.final_layer(x_BTD, time_BD).transpose(1, 2).unflatten(2, (noisy_BCHW.shape[2] // self.patch, -1))
        )
        found_BCHW = F.pixel_shuffle(patches_BCHW, self.patch)
        return found_BCHW + given["beside"][:, : found_BCHW.shape[1]] if self.beside else found_BCHW

    def compile_regions(self) -> list[nn.Module]:
        """What torch.compile should compile: the blocks, which share one compilation."""
        return list(self.blocks)

    def parameter_roles(self) -> dict[str, Role]:
        """The first layer reads raw pixels."""
        return default_roles(self) | {"img_in.0.weight": Role("rest")}


def turns(side: int, head: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every patch's angles, [T, head / 2]: its row turns the first half of the pairs, its column the second."""
    frequency = _THETA ** (-torch.arange(0, head // 2, 2, dtype=torch.float64) / (head // 2))
    place = torch.arange(side, dtype=torch.float64)[:, None] * frequency
    rows, columns = place[:, None].expand(-1, side, -1), place[None].expand(side, -1, -1)
    angle_TK = torch.cat([rows, columns], -1).flatten(0, 1)
    return angle_TK.cos().float(), angle_TK.sin().float()


def rotate(x_BNTK: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the neighbouring pairs of each head: diffusers' convention, where Hugging Face's decoders turn its halves."""
    cos_TK, sin_TK = (part.to(x_BNTK.dtype) for part in turn)
    even, odd = x_BNTK.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos_TK - odd * sin_TK, even * sin_TK + odd * cos_TK], -1).flatten(-2)


def _norm(x_BTD: Tensor) -> Tensor:
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], eps=1e-6)
