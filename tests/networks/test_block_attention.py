"""Causal attention block by block is torch's own, value and gradient, also where it is compiled."""

import pytest
import torch
import torch.nn.functional as F

from genwright.networks import block_attention
from genwright.networks.block_attention import causal_attention


def three(*shape: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*shape, dtype=dtype, requires_grad=True) for _ in range(3)]


def by_torch(q, k, v):
    return F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True).transpose(1, 2)


@pytest.mark.parametrize("length", [1, 5, 128, 129, 300])
def test_equal_to_torch(length):
    q, k, v = three(2, length, 3, 8)
    found, expected = causal_attention(q, k, v), by_torch(q, k, v)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-10)
    direction = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad(found, (q, k, v), direction),
        torch.autograd.grad(expected, (q, k, v), direction),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=1e-10)


def test_gradients_to_the_last_digit(monkeypatch):
    monkeypatch.setattr(block_attention, "BLOCK", 3)
    assert torch.autograd.gradcheck(causal_attention, three(2, 7, 2, 4))


def test_it_is_an_operator_as_torch_wants_them():
    torch.library.opcheck(torch.ops.genwright.block_attention.default, tuple(three(2, 7, 2, 4)))


def test_compiled_it_is_the_same():
    def loss(q, k, v):
        return causal_attention(q * 1.0, k, v).flatten(2).sin().sum()

    q, k, v = three(2, 140, 2, 8, dtype=torch.float32)
    plain = torch.autograd.grad(loss(q, k, v), (q, k, v))
    compiled = torch.autograd.grad(torch.compile(loss, backend="aot_eager")(q, k, v), (q, k, v))
    for a, b in zip(plain, compiled, strict=True):
        torch.testing.assert_close(a, b)


def test_only_where_it_gains():
    q = three(1, 512, 1, 8)[0]
    assert block_attention.fits(q)
    assert not block_attention.fits(q.to(torch.bfloat16))
    assert not block_attention.fits(torch.empty(1, 513, 1, 8)) and not block_attention.fits(torch.empty(1, 127, 1, 8))
    with torch.no_grad():
        assert not block_attention.fits(q)
