"""A causal decoder over a caption's tokens and then a picture's codes, row by row: the network of DALL-E (arXiv:2102.12092).

The blocks are those of decoder.py. Words and codes have rows of one embedding, the codes behind the words; each kind is foretold among
its own. Where a code is foretold its place in the picture is told by two vectors, its row's and its column's, for among few pictures
that is not learned from the order alone.

B batch, L tokens of a caption, T codes of a picture, P = L + T positions, S tokens attended to, D width, V vocabulary
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.networks.decoder import Block, DecoderConfig, KeyValueCache
from genwright.networks.elementwise import RMSNorm
from genwright.networks.roles import Role, default_roles
from genwright.networks.rope import rope_tables
from genwright.networks.text_encoder import PAD

_THETA = 10_000.0


def config_of(width: int, layers: int, vocabulary: int, positions: int) -> DecoderConfig:
    """Heads of 32; a feed-forward layer 8/3 as wide, as SwiGLU has it."""
    heads = max(width // 32, 1)
    return DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=-(-width * 8 // 3 // 32) * 32,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=min(width, 32),
        max_position_embeddings=positions,
    )


class CodePrior(nn.Module):
    """`words` different tokens of captions, `caption` of which are read, of `codes` different codes a picture of `side` times `side`.

    `conditional`: whether captions tell anything. A row that is not told its caption reads a token of its own in each place of it.
    """

    rope_cos: Tensor
    rope_sin: Tensor

    def __init__(
        self,
        words: int,
        caption: int,
        codes: int,
        side: int,
        width: int,
        layers: int,
        dropout: float = 0.0,
        conditional: bool = True,
    ):
        super().__init__()
        self.words, self.caption, self.codes, self.side = words + 1, caption, codes, side
        self.dropout, self.conditional = dropout, conditional
        config = self.config = config_of(width, layers, self.words + codes, caption + side**2)
        self.embed_tokens = nn.Embedding(config.vocab_size, width)
        self.rows, self.columns = nn.Embedding(side, width), nn.Embedding(side, width)
        self.layers = nn.ModuleList(Block(config) for _ in range(layers))
        self.norm = RMSNorm(width, eps=config.rms_norm_eps)
        cos_PH, sin_PH = rope_tables(config.head_dim, _THETA, None, config.max_position_embeddings)
        self.register_buffer("rope_cos", cos_PH, persistent=False)
        self.register_buffer("rope_sin", sin_PH, persistent=False)
        self._reset()

    def _reset(self) -> None:
        """As in decoder.py: normal weights, those that write into the residual stream smaller the more layers there are."""
        std = self.config.initializer_range
        into_residual = std / (2 * len(self.layers)) ** 0.5
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                small = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(parameter, std=into_residual if small else std)

    @property
    def length(self) -> int:
        """Codes of a picture."""
        return self.side**2

    def read_as(self, caption_BL: Tensor, told_B: Tensor) -> Tensor:
        """Captions as they are read: tokens that were left out (`PAD`) closed up, rows that are not told without any."""
        if caption_BL.shape[1] > 1:  # of a label, PAD's number is a label too
            caption_BL = caption_BL.gather(1, (caption_BL == PAD).byte().argsort(dim=1, stable=True))
        return torch.where(told_B[:, None], caption_BL, self.words - 1)

    def as_tokens(self, code_BT: Tensor) -> Tensor:
        return code_BT + self.words

    def forward(self, token_BP: Tensor) -> Tensor:
        """The last hidden state of a whole row from its beginning on, B,P,D."""
        length = token_BP.shape[1]
        rope = self.rope_cos[:length, None], self.rope_sin[:length, None]
        return self._through(self.embed_tokens(token_BP) + self.places()[:length], rope, None)

    def following(self, token_BP: Tensor, position_BP: Tensor, cache: KeyValueCache) -> Tensor:
        """The same of new tokens at their positions, behind what the cache holds."""
        rope = self.rope_cos[position_BP].unsqueeze(-2), self.rope_sin[position_BP].unsqueeze(-2)
        return self._through(self.embed_tokens(token_BP) + self.places()[position_BP], rope, cache)

    def places(self) -> Tensor:
        """What is told of the place of the code that each position foretells: the last one of a caption the first code. P,D."""
        place_TD = (self.rows.weight[:, None] + self.columns.weight).flatten(0, 1)
        return F.pad(place_TD, (0, 0, self.caption - 1, 1))

    def _through(self, x_BPD: Tensor, rope: tuple[Tensor, Tensor], cache: KeyValueCache | None) -> Tensor:
        x_BPD = F.dropout(x_BPD, self.dropout, self.training)
        for index, layer in enumerate(self.layers):
            added_BPD = layer(x_BPD, rope, None if cache is None else partial(cache.update, index)) - x_BPD
            x_BPD = x_BPD + F.dropout(added_BPD, self.dropout, self.training)
        return self.norm(x_BPD)

    def word_logits(self, hidden_BPD: Tensor) -> Tensor:
        return F.linear(hidden_BPD, self.embed_tokens.weight[: self.words])

    def code_logits(self, hidden_BPD: Tensor) -> Tensor:
        return F.linear(hidden_BPD, self.embed_tokens.weight[self.words :])

    def compile_regions(self) -> list[nn.Module]:
        """What torch.compile should compile: the blocks, which share one compilation."""
        return list(self.layers)

    def parameter_roles(self) -> dict[str, Role]:
        """Fused weights name their blocks."""
        roles, config = default_roles(self), self.config
        across = config.num_attention_heads * config.head_dim
        for index in range(len(self.layers)):
            roles[f"layers.{index}.self_attn.qkv_proj.weight"] = Role("matrix", (across,) * 3)
            roles[f"layers.{index}.mlp.gate_up_proj.weight"] = Role("matrix", (config.intermediate_size,) * 2)
        return roles
