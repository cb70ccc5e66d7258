"""Causal attention block by block is torch's own, value and gradient, also where it is compiled."""

import pytest
import torch
import torch.nn.functional as F

from genwright.families.transformer.family import Transformer
from genwright.networks import block_attention
from genwright.networks.block_attention import causal_attention
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.training.base import Settings
from genwright.training.trainer import Trainer


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


@pytest.mark.parametrize("has_bf16", [True, False])
def test_inside_autocast_it_is_torchs_own_within_bf16(has_bf16, monkeypatch):
    monkeypatch.setattr(block_attention, "has_bf16", lambda device: has_bf16)
    wide = three(2, 140, 2, 16, dtype=torch.float32)
    expected = by_torch(*wide)
    direction = torch.randn_like(expected)
    narrow = [x.detach().bfloat16().requires_grad_() for x in wide]
    with torch.autocast("cpu", torch.bfloat16):
        found = causal_attention(*narrow)
    assert found.dtype == (torch.bfloat16 if has_bf16 else torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=0.03, atol=0.03)
    gradients = torch.autograd.grad(found, narrow, direction.to(found.dtype))
    for a, b in zip(gradients, torch.autograd.grad(expected, wide, direction), strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a.float(), b, rtol=0.05, atol=0.06)


def test_inside_autocast_a_layer_takes_it(monkeypatch):
    """Its loss falls as it does in fp32."""
    taken = []
    attend = block_attention._attend
    monkeypatch.setattr(block_attention, "_attend", lambda *x: taken.append(x[0].dtype) or attend(*x))
    config = {"vocab_size": 20, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "head_dim": 16}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 128}
    losses = []
    for precision in ("fp32", "bf16"):
        torch.manual_seed(0)
        family = Transformer(Decoder(DecoderConfig(**config, **heads)), None)
        made = Trainer(family, Repeated(), Settings(steps=8, batch=2, precision=precision), torch.device("cpu"))
        for _ in range(8):
            made.take_step()
        losses.append(made.window.take()["model/loss"])
    assert len(taken) == 16
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


class Repeated:
    pass_examples = 2

    def batch(self, position, size):
        return {"tokens": (torch.arange(129) % 20).repeat(size, 1)}


def test_only_where_it_gains():
    q = three(1, 512, 1, 8)[0]
    assert block_attention.fits(q)
    assert not block_attention.fits(q.to(torch.bfloat16))
    with torch.autocast("cpu", torch.bfloat16):
        assert block_attention.fits(q.to(torch.bfloat16))
    assert not block_attention.fits(torch.empty(1, 513, 1, 8)) and not block_attention.fits(torch.empty(1, 127, 1, 8))
    with torch.no_grad():
        assert not block_attention.fits(q)
