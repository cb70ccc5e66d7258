"""The network of a two-sample discriminator: the residual trunk of the picture networks, then one logit. No loss stands here.

Shapes: B batch, C channels, H W pixels. image_BCHW in [-1, 1].
"""

from __future__ import annotations

from torch import Tensor, nn

from genwright.networks.resnet import Trunk, stage_widths


class JudgeNetwork(nn.Module):
    """Large pictures are gathered in larger patches, so that a judge of any picture size costs about the same."""

    def __init__(self, size: int, width: int = 64, most: int = 128, dropout: float = 0.3):
        super().__init__()
        patch = max(1, size // 16)
        widths = stage_widths(size, patch, width, most)
        self.trunk = Trunk(widths, [1] * len(widths), patch)
        self.dropout = nn.Dropout(dropout)
        self.logit = nn.Linear(widths[-1], 1)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """-> logit_B."""
        return self.logit(self.dropout(self.trunk(image_BCHW)))[:, 0]
