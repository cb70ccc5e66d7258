"""The one rule of randomness: a seed is a hash of what it is for, so that no two purposes share a stream and no draw moves another.

`derive_seed(seed, part, "order", 3)` orders the third pass over the data of a part, whatever else was drawn before it.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import torch

RULE = 2
"""Version of the rule. Under the first, the order and the augmentation of examples did not depend on the part."""


def derive_seed(*path: Any) -> int:
    """A 63-bit seed that is a pure function of its arguments, which JSON can hold."""
    digest = hashlib.blake2b(json.dumps(path).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def stream(*path: Any) -> np.random.Generator:
    """numpy's generator for what `path` names."""
    return np.random.default_rng(derive_seed(*path))


def request_stream(seed: int, index: int) -> torch.Generator:
    """The random stream of one output of a request: its own, whatever else is asked for at the same time. On the CPU, so that every
    device draws the same."""
    state = np.random.SeedSequence([seed % 2**63, index]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)
