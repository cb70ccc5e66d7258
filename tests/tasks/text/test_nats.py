"""What held-out documents cost does not depend on how they are put into batches."""

import numpy as np
import pytest
import torch

from genwright.tasks.text import nats
from helpers.text_families import text_family


@pytest.mark.parametrize("tokens", [1, 50, 100_000])
def test_batches_of_any_size_cost_the_same(tokens, monkeypatch):
    family = text_family(context=32, initializer_range=0.2)
    rng = np.random.default_rng(0)
    documents = [rng.integers(1, 60, length) for length in (1, 5, 31, 32, 33, 100, 64, 2)]
    cpu = torch.device("cpu")
    alone = [nats.document_nats(family, [document], 0, cpu)[0] for document in documents]
    monkeypatch.setattr(nats, "_TOKENS_AT_ONCE", {"cpu": tokens})
    for found, expected in zip(nats.document_nats(family, documents, 0, cpu), alone, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.gpu
def test_a_card_finds_what_a_processor_finds():
    family = text_family(context=32, initializer_range=0.2)
    documents = [np.arange(1, 50), np.arange(20, 40)]
    on_cpu = nats.document_nats(family, documents, 0, torch.device("cpu"))
    family.modules.to("cuda")
    for found, expected in zip(nats.document_nats(family, documents, 0, torch.device("cuda")), on_cpu, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4)
