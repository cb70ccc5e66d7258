"""Colours matched: what can be had of another hand without learning its lines. Each channel's values are mapped so that over all training
pictures they are spread as those of the other hand (histogram matching); what is white in both stays white.

Shapes: N pictures, C channels. images_NHWC 8 bits.
"""

from __future__ import annotations

import numpy as np

from genwright.tasks.image.pixels import Pictures


def matching(source_NHWC: Pictures, drawing_NHWC: Pictures) -> np.ndarray:
    """-> uint8[C, 256]: for each value of a channel the one with the same rank among the drawings."""
    ranks = [_ranks(images) for images in (source_NHWC, drawing_NHWC)]
    found = [np.searchsorted(other, own - 1e-9) for own, other in zip(*ranks, strict=True)]
    return np.stack(found).clip(0, 255).astype(np.uint8)


def _ranks(images_NHWC: Pictures) -> np.ndarray:
    """-> [C, 256]: the share of a channel's values that are no larger."""
    counts = [np.bincount(images_NHWC[..., c].ravel(), minlength=256) for c in range(images_NHWC.shape[-1])]
    return np.cumsum(counts, axis=1) / max(images_NHWC[..., 0].size, 1)


def matched(images_NHWC: Pictures, table_C256: np.ndarray) -> Pictures:
    return np.stack([table_C256[c][images_NHWC[..., c]] for c in range(images_NHWC.shape[-1])], axis=-1)
