"""What a network of several steps is told beside its input: how far the noise is gone, and what is wanted, token by token.

Shapes: B batch, L tokens of a caption, D width, F features of a time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.roles import Role, default_roles
from genwright.networks.text_encoder import PAD

_HEAD = 32
_LONGEST = 512
"""Tokens of a caption, at most."""
_FEATURES = 128


def time_features(time_B: Tensor, features: int, scale: float = 1000.0, longest: float = 10_000.0) -> Tensor:
    """Cosines, then sines of a time times `scale`, at frequencies from 1 down to 1 / `longest`: [B, features]."""
    half = features // 2
    frequency_F = torch.exp(-math.log(longest) / half * torch.arange(half, device=time_B.device, dtype=torch.float32))
    angle_BF = time_B[:, None].float() * scale * frequency_F
    return torch.cat([angle_BF.cos(), angle_BF.sin()], 1).to(time_B.dtype)


class Embedder(nn.Module):
    """Features of a time -> a vector, by two layers."""

    def __init__(self, features: int, width: int):
        super().__init__()
        self.in_layer = nn.Linear(features, width)
        self.out_layer = nn.Linear(width, width)

    def forward(self, feature_BF: Tensor) -> Tensor:
        return self.out_layer(F.silu(self.in_layer(feature_BF)))

    def parameter_roles(self) -> dict[str, Role]:
        """Reads raw numbers: not for Muon, which is made for the layers between."""
        return dict.fromkeys(default_roles(self), Role("rest"))


class Leap(nn.Module):
    """How far a step is to go, as a vector that is zero for a step of no length."""

    def __init__(self, width: int):
        super().__init__()
        self.embedder = Embedder(_FEATURES, width)

    def forward(self, time_B: Tensor, until_B: Tensor) -> Tensor:
        length_B = until_B - time_B
        return length_B[:, None] * self.embedder(time_features(length_B, _FEATURES))


class TimeOfStep(nn.Module):
    """When a step begins and until when it goes -> a vector; for `until` = `time` that of the time alone."""

    def __init__(self, width: int):
        super().__init__()
        self.time_in = Embedder(_FEATURES, width)
        self.leap_in = Leap(width)

    def forward(self, time_B: Tensor, until_B: Tensor) -> Tensor:
        return self.time_in(time_features(time_B, _FEATURES)) + self.leap_in(time_B, until_B)


class CaptionTokens(nn.Module):
    """A small text encoder, trained along with the model that it serves: Qwen3's layout, the last hidden state of every token.

    Where nothing is to be told, only the token that opens every caption is left: what an empty caption is.
    """

    def __init__(self, vocabulary: int, width: int, layers: int):
        super().__init__()
        self.width = width
        self.decoder = Decoder(
            DecoderConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                intermediate_size=2 * width,
                num_hidden_layers=layers,
                num_attention_heads=max(1, width // _HEAD),
                num_key_value_heads=max(1, width // _HEAD),
                head_dim=min(_HEAD, width),
                max_position_embeddings=_LONGEST,
            )
        )

    def forward(self, token_BL: Tensor, told_B: Tensor) -> tuple[Tensor, Tensor]:
        """Token ids and whether each row is told -> token_BLD, and which of them are there: bool_BL.

        Tokens that were left out (`PAD`) are closed up, so that what is left reads as a caption of its own.
        """
        first = torch.arange(token_BL.shape[1], device=token_BL.device) == 0
        token_BL = torch.where(told_B[:, None] | first, token_BL, PAD)
        token_BL = token_BL.gather(1, (token_BL == PAD).byte().argsort(dim=1, stable=True))
        return self.decoder.hidden(token_BL), token_BL != PAD


class LabelToken(nn.Module):
    """A vector for each class, and one for "none is told", of unit root mean square."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.width, self.classes = width, classes
        self.labels = nn.Embedding(classes + 1, width)

    def forward(self, label_B1: Tensor, told_B: Tensor) -> tuple[Tensor, Tensor]:
        label_B1 = torch.where(told_B[:, None], label_B1, self.classes)
        return F.rms_norm(self.labels(label_B1), (self.width,), eps=1e-6), torch.ones_like(label_B1, dtype=torch.bool)


def condition_tokens(kind: str, count: int, width: int, layers: int) -> CaptionTokens | LabelToken:
    """The tokens of a condition: "text" (`count` token ids), "label" (`count` classes) or "none"."""
    if kind == "text":
        return CaptionTokens(count, width, layers)
    return LabelToken(count if kind == "label" else 1, width)


def token_shares(q: Tensor, k: Tensor, seen: Tensor, tokens: int) -> Tensor:
    """Queries [B, N, P, K] and keys [B, N, L + P, K], the tokens' first -> the share of attention that goes to each token, the mean over
    heads: [B, P, L]."""
    score = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    return score.masked_fill(~seen, -math.inf).softmax(-1)[..., :tokens].mean(1)


class Gist(nn.Module):
    """The tokens of a condition as one vector: a weighted sum of them, of unit root mean square, then a layer."""

    def __init__(self, into: int, width: int):
        super().__init__()
        self.weigh, self.out = nn.Linear(into, 1), nn.Linear(into, width)
        nn.init.zeros_(self.weigh.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, token_BLD: Tensor, real_BL: Tensor) -> Tensor:
        weight_BL1 = torch.sigmoid(self.weigh(token_BLD)) * real_BL[..., None]
        return self.out(F.rms_norm((token_BLD * weight_BL1).sum(1), token_BLD.shape[-1:], eps=1e-6))

    def parameter_roles(self) -> dict[str, Role]:
        return default_roles(self) | {"weigh.weight": Role("rest")}
