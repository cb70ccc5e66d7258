"""Attention inside documents is the masked one, value and gradient, whichever way computes it."""

import pytest
import torch
import torch.nn.functional as F

from genwright.networks import attention
from genwright.networks.attention import choose, document_attention, document_ends, layout_of, within_segments
from genwright.networks.decoder import Decoder, DecoderConfig


def segments_of(*rows: list[int]) -> torch.Tensor:
    """From the lengths of each row's documents."""
    return torch.stack([torch.repeat_interleave(torch.arange(len(row)), torch.tensor(row)) for row in rows])


RAGGED = segments_of([10, 30], [1, 1, 38], [20, 20], [3, 5, 7, 2, 1, 22], [13, 13, 14])


def masked(q, k, v, segments):
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))
    mask = within_segments(segments)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True).transpose(1, 2)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_equal_to_the_masked_one(kv_heads):
    torch.manual_seed(0)
    rows, length = RAGGED.shape
    q = torch.randn(rows, length, 4, 8, requires_grad=True)
    k, v = (torch.randn(rows, length, kv_heads, 8, requires_grad=True) for _ in range(2))
    mask, ends = choose(RAGGED, torch.float32)
    assert mask is None
    assert ends is not None
    found, expected = document_attention(q, k, v, ends), masked(q, k, v, RAGGED)
    torch.testing.assert_close(found, expected)
    direction = torch.randn_like(found)
    for a, b in zip(
        torch.autograd.grad(found, (q, k, v), direction),
        torch.autograd.grad(expected, (q, k, v), direction),
        strict=True,
    ):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_gradients_to_the_last_digit():
    torch.manual_seed(0)
    segments = segments_of([3, 1, 2], [6])
    q, k, v = (torch.randn(2, 6, 2, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    ends = document_ends(segments)
    assert torch.autograd.gradcheck(lambda q, k, v: document_attention(q, k, v, ends), (q, k, v))


def test_each_token_stands_in_one_place_and_little_is_padding():
    layout = layout_of(document_ends(RAGGED))
    assert torch.equal(layout.places[layout.slots], torch.arange(RAGGED.numel(), dtype=torch.int32))
    real = torch.ones(len(layout.places))
    real[layout.padding] = 0
    assert real.sum() == RAGGED.numel()
    for (_, length), group in zip(layout.groups, real.split([g * n for g, n in layout.groups]), strict=True):
        assert length <= 16 or group.mean() > 0.69


def test_rows_of_one_document_take_the_plain_causal_way():
    assert choose(None, torch.float32) == (None, None)
    assert choose(torch.tensor([[0, 0, 0], [4, 4, 4]]), torch.float32) == (None, None)


def test_a_mask_where_it_costs_least():
    for segments, window in ((RAGGED, 5), (segments_of([37, 3]), None)):
        mask, ends = choose(segments, torch.float32, window)
        assert mask is not None
        assert torch.equal(mask, within_segments(segments))
        assert ends is None


def decoder() -> Decoder:
    torch.manual_seed(0)
    config = DecoderConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=40,
        initializer_range=0.4,
    )
    return Decoder(config)


def test_a_document_in_a_row_is_as_it_is_alone():
    network, token = decoder(), torch.randint(50, RAGGED.shape)
    shared = network(token, segment_BT=RAGGED)
    for row, lengths in enumerate(([10, 30], [1, 1, 38], [20, 20], [3, 5, 7, 2, 1, 22], [13, 13, 14])):
        start = 0
        for length in lengths:
            alone = network(token[row : row + 1, start : start + length])
            torch.testing.assert_close(shared[row, start : start + length], alone[0], atol=2e-5, rtol=1e-4)
            start += length


def test_autocast_computes_in_its_precision():
    network, token = decoder(), torch.randint(50, RAGGED.shape)
    exact = network(token, segment_BT=RAGGED)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(token, segment_BT=RAGGED)
        rounded.float().square().mean().backward()
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, atol=0.3, rtol=0.1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.compile itself uses what torch deprecates
def test_compiled_layers_take_documents_of_any_number():
    network, token = decoder(), torch.randint(50, RAGGED.shape)
    batches = [RAGGED, segments_of([9] * 4 + [4], [39, 1], [20, 20], [10, 30], [1] * 40)]
    expected = [network(token, segment_BT=segments) for segments in batches]
    for layer in network.compile_regions():
        layer.compile(fullgraph=True)
    for segments, eager in zip(batches, expected, strict=True):
        out = network(token, segment_BT=segments)
        torch.testing.assert_close(out, eager, atol=1e-4, rtol=1e-4)
        out.sum().backward()


@pytest.mark.gpu
@pytest.mark.parametrize("grouped", [True, False])
def test_a_card_s_kernels_for_documents_are_a_mask_with_and_without_grouped_heads(grouped, monkeypatch):
    if grouped and not attention._GROUPED:
        pytest.skip("not in this torch")
    monkeypatch.setattr(attention, "_GROUPED", grouped)
    torch.manual_seed(0)
    segments = RAGGED.to("cuda")
    q = torch.randn(*segments.shape, 4, 32, device="cuda", dtype=torch.bfloat16)
    k, v = torch.randn(2, *segments.shape, 2, 32, device="cuda", dtype=torch.bfloat16)
    found = document_attention(q, k, v, document_ends(segments))
    torch.testing.assert_close(found, masked(q, k, v, segments), atol=2e-2, rtol=2e-2)
