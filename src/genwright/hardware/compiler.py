"""torch.compile's own remarks: those that no user can act on are not passed on."""

from __future__ import annotations

import warnings


def hush() -> None:
    """Say nothing of which form of softmax it takes, which it tells at every large vocabulary."""
    warnings.filterwarnings("ignore", r"\s*Online softmax is disabled", UserWarning)
