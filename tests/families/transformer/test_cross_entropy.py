"""The chunked cross-entropy is the plain one, in value and in gradient, with a fraction of the logits standing."""

import pytest
import torch
import torch.nn.functional as F

from genwright.families.base import Moment
from genwright.families.transformer import cross_entropy
from genwright.families.transformer.cross_entropy import chunked_nats, is_large, weighted_nats
from genwright.families.transformer.family import Transformer
from genwright.networks.decoder import Decoder, DecoderConfig


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(cross_entropy, "_CHUNK_BYTES", {"cpu": 4 * 50 * 7})
    monkeypatch.setattr(cross_entropy, "_LEAST_ROWS", 1)


def rows(count: int = 40, width: int = 12, vocabulary: int = 50):
    torch.manual_seed(0)
    hidden = torch.randn(count, width, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(vocabulary, width, dtype=torch.float64, requires_grad=True)
    return hidden, matrix, torch.randint(vocabulary, (count,))


@pytest.mark.parametrize("share", [1.0, 0.3, 0.0])
def test_equal_to_the_plain_one(small_chunks, share):
    hidden, matrix, target = rows()
    weight = torch.rand(len(target)) * (torch.rand(len(target)) < share)
    chunked = weighted_nats(hidden, matrix, target, weight)
    found = torch.autograd.grad(3 * chunked, (hidden, matrix))
    plain = (F.cross_entropy(hidden @ matrix.T, target, reduction="none") * weight).sum()
    expected = torch.autograd.grad(3 * plain, (hidden, matrix))
    torch.testing.assert_close(chunked.double(), plain, rtol=1e-5, atol=1e-6)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(weighted_nats(hidden, matrix, target, weight).double(), plain, rtol=1e-5, atol=1e-6)


def test_each_rows_nats_and_their_gradient(small_chunks):
    hidden, matrix, target = rows()
    nats, weight = chunked_nats(hidden, matrix, target), torch.rand(len(target))
    plain = F.cross_entropy(hidden @ matrix.T, target, reduction="none")
    torch.testing.assert_close(nats.double(), plain, rtol=1e-5, atol=1e-5)
    found = torch.autograd.grad((nats * weight).sum(), (hidden, matrix))
    expected = torch.autograd.grad((plain * weight).sum(), (hidden, matrix))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        assert torch.equal(chunked_nats(hidden, matrix, target), nats)


def test_a_frozen_output_matrix_gets_no_gradient(small_chunks):
    hidden, matrix, target = rows()
    weighted_nats(hidden, matrix.detach(), target, torch.ones(len(target))).backward()
    assert hidden.grad is not None
    assert matrix.grad is None


def test_autocast_rounds_the_products_only(small_chunks):
    hidden, matrix, target = (t.detach().float() if t.is_floating_point() else t for t in rows())
    hidden, matrix = hidden.requires_grad_(), matrix.requires_grad_()
    weight = torch.ones(len(target))
    exact = weighted_nats(hidden, matrix, target, weight)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = weighted_nats(hidden, matrix, target, weight)
    assert rounded.dtype == torch.float32
    assert rounded.item() != exact.item()
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    rounded.backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32


def test_a_family_takes_it_where_logits_are_many(small_chunks, monkeypatch):
    torch.manual_seed(0)
    config = DecoderConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=16,
        initializer_range=0.4,
    )
    family = Transformer(Decoder(config), 0)
    tokens = torch.randint(50, (3, 17))
    batch = {
        "tokens": tokens,
        "mask": (torch.rand(3, 16) < 0.4).float(),
        "segments": torch.arange(16).expand(3, -1) // 6,
    }
    assert is_large(48, 50, tokens.device)
    monkeypatch.setattr(Decoder, "logits", None)  # the chunked way never makes all logits
    found = family.loss("model", batch, torch.Generator(), Moment())
    gradients = torch.autograd.grad(found.value, tuple(family.network.parameters()))
    nats = family.nats(tokens, batch["segments"])
    monkeypatch.undo()
    assert not is_large(48, 50, tokens.device)
    expected = family.loss("model", batch, torch.Generator(), Moment())
    torch.testing.assert_close(found.value, expected.value)
    assert float(found.weight) == float(expected.weight)
    for a, b in zip(gradients, torch.autograd.grad(expected.value, tuple(family.network.parameters())), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(nats, family.nats(tokens, batch["segments"]))
