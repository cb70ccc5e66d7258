"""What pictures and sound are drawn from: words, a class label, or nothing, each turned into one vector.

Shapes: B batch, L tokens of a caption, D width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PAD = 0
"""Token id that stands for "no token here"."""
START = 1
"""Token id that opens every caption, so that an empty one still has something to attend to."""


class TextEncoder(nn.Module):
    """A small caption encoder that is trained along with the model it serves.

    One pre-norm attention block over the tokens, then a weighted sum of them, normalised to unit root mean square. Token
    vectors start close to zero and are summed, not averaged: a word that the captions never taught stays close to zero and
    hardly moves the result, so "a red heart" means what "red heart" means. Padding changes nothing, exactly.
    """

    def __init__(self, vocabulary: int, width: int, heads: int = 4):
        super().__init__()
        self.width = width
        self.heads = heads
        self.tokens = nn.Embedding(vocabulary, width, padding_idx=PAD)
        self.attention_norm = nn.RMSNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_out = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.RMSNorm(width)
        self.mlp_in = nn.Linear(width, 2 * width)
        self.mlp_out = nn.Linear(2 * width, width, bias=False)
        self.weigh = nn.Linear(width, 1)
        nn.init.normal_(self.tokens.weight, std=0.02)
        with torch.no_grad():
            self.tokens.weight[PAD].zero_()
        for layer in (self.attention_out, self.mlp_out, self.weigh):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.weigh.bias)

    def forward(self, token_BL: Tensor) -> Tensor:
        """Token ids, padded at the end with `PAD` -> condition_BD of unit root mean square."""
        real_BL = token_BL != PAD
        x_BLD = self.tokens(token_BL)
        x_BLD = x_BLD + self.attention_out(self._attend(self.attention_norm(x_BLD), real_BL))
        x_BLD = x_BLD + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x_BLD))))
        weight_BL1 = torch.sigmoid(self.weigh(x_BLD)) * real_BL[..., None]
        return F.rms_norm((x_BLD * weight_BL1).sum(1), (self.width,), eps=1e-6)

    def _attend(self, x_BLD: Tensor, real_BL: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x_BLD).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=real_BL[:, None, None, :])
        return mixed.transpose(1, 2).flatten(2)


class LabelEncoder(nn.Module):
    """A vector for each class, of unit root mean square; with one class it is the condition "none"."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.width = width
        self.labels = nn.Embedding(classes, width)

    def forward(self, label_B1: Tensor) -> Tensor:
        """Class ids -> condition_BD."""
        return F.rms_norm(self.labels(label_B1[:, 0]), (self.width,), eps=1e-6)


def condition_encoder(kind: str, count: int, width: int) -> TextEncoder | LabelEncoder:
    """The encoder of a condition: "text" (`count` token ids), "label" (`count` classes) or "none"."""
    if kind == "text":
        return TextEncoder(count, width)
    return LabelEncoder(count if kind == "label" else 1, width)
