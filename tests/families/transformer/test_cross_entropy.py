"""The chunked cross-entropy is the plain one, in value and in gradient, with a fraction of the logits standing."""

import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.utils import counters

from genwright.families.base import Moment
from genwright.families.transformer import cross_entropy
from genwright.families.transformer.cross_entropy import chunked_nats, is_large, weighted_nats
from genwright.families.transformer.family import Transformer
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.nats import NatsAndGradient, by_hand, fused
from genwright.training import compilation

KERNEL = NatsAndGradient()


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr(cross_entropy, "_CHUNK_BYTES", {"cpu": 4 * 50 * 7})
    monkeypatch.setattr(cross_entropy, "_LEAST_ROWS", 1)
    monkeypatch.setattr(cross_entropy, "_WORTH_BYTES", 4 * 50 * 3)


def rows(count: int = 40, width: int = 12, vocabulary: int = 50):
    torch.manual_seed(0)
    hidden = torch.randn(count, width, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(vocabulary, width, dtype=torch.float64, requires_grad=True)
    return hidden, matrix, torch.randint(vocabulary, (count,))


@pytest.mark.parametrize("share", [1.0, 0.3, 0.0])
def test_equal_to_the_plain_one(small_chunks, share):
    hidden, matrix, target = rows()
    weight = torch.rand(len(target)) * (torch.rand(len(target)) < share)
    chunked = weighted_nats(hidden, matrix, target, weight, KERNEL)
    found = torch.autograd.grad(3 * chunked, (hidden, matrix))
    plain = (F.cross_entropy(hidden @ matrix.T, target, reduction="none") * weight).sum()
    expected = torch.autograd.grad(3 * plain, (hidden, matrix))
    torch.testing.assert_close(chunked.double(), plain, rtol=1e-5, atol=1e-6)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(
            weighted_nats(hidden, matrix, target, weight, KERNEL).double(), plain, rtol=1e-5, atol=1e-6
        )


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
    weighted_nats(hidden, matrix.detach(), target, torch.ones(len(target)), KERNEL).backward()
    assert hidden.grad is not None
    assert matrix.grad is None


def test_autocast_rounds_the_products_only(small_chunks):
    hidden, matrix, target = (t.detach().float() if t.is_floating_point() else t for t in rows())
    hidden, matrix = hidden.requires_grad_(), matrix.requires_grad_()
    weight = torch.ones(len(target))
    exact = weighted_nats(hidden, matrix, target, weight, KERNEL)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = weighted_nats(hidden, matrix, target, weight, KERNEL)
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


def logits_and_more(dtype: torch.dtype):
    torch.manual_seed(1)
    logits = 8 * torch.randn(40, 300, dtype=torch.float64)
    return logits.to(dtype), torch.randint(300, (40,)), torch.rand(40)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_both_ways_to_a_chunks_gradient_are_that_of_fp64(dtype, tolerance):
    logits, target, weight = logits_and_more(dtype)
    exact = logits.double().requires_grad_()
    nats = F.cross_entropy(exact, target, reduction="none") * weight
    (gradient,) = torch.autograd.grad(nats.sum(), exact)
    for way in (by_hand, fused):
        found, found_gradient = way(logits.clone(), target, weight)
        assert found_gradient.dtype == dtype
        torch.testing.assert_close(found.double(), nats, rtol=1e-5, atol=1e-5, check_dtype=False)
        torch.testing.assert_close(found_gradient.double(), gradient, rtol=tolerance, atol=tolerance / 10)


@pytest.mark.filterwarnings("ignore")  # torch.compile itself uses what torch deprecates
def test_compiled_it_is_the_same_and_one_compilation_does_for_any_number_of_rows():
    if not compilation.possible(torch.device("cpu")):
        pytest.skip("no C++ compiler")
    logits, target, weight = logits_and_more(torch.bfloat16)
    kernel = NatsAndGradient()
    kernel.compile()
    before = counters["stats"]["unique_graphs"]
    for rows in (40, 23):
        found = kernel.for_any_number(logits[:rows].clone(), target[:rows], weight[:rows])
        for a, b in zip(found, by_hand(logits[:rows].clone(), target[:rows], weight[:rows]), strict=True):
            torch.testing.assert_close(a, b)
    assert counters["stats"]["unique_graphs"] == before + 1


@pytest.mark.parametrize("counts", [0.3, 1.0])
def test_rows_that_are_known_to_count_are_those_that_would_be_found(small_chunks, counts):
    hidden, matrix, target = rows()
    weight = torch.rand(len(target)) * (torch.rand(len(target)) < counts)
    found = weighted_nats(hidden, matrix, target, weight, KERNEL)
    known = weighted_nats(hidden, matrix, target, weight, KERNEL, weight.nonzero().squeeze(1))
    assert torch.equal(found, known)
    all_of_them = weighted_nats(hidden, matrix, target, weight, KERNEL, torch.arange(len(target)))
    torch.testing.assert_close(all_of_them, found)


@pytest.mark.parametrize(("count", "most"), [(32768, 6600), (32768, 8192), (100, 6600), (7000, 6600), (1, 64)])
def test_chunks_of_a_card_are_few_and_alike(count, most):
    each = cross_entropy.even_rows(count, most)
    assert 0 < each <= most
    assert -(-count // each) == -(-count // most)
