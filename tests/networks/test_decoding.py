"""One token a row: what is compiled for a card says what the plain operations say."""

from __future__ import annotations

import pytest
import torch

from genwright.networks import decoding
from genwright.networks.decoder import Decoder, DecoderConfig

SHAPE = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 8, "max_position_embeddings": 16}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # torch.compile itself uses what torch deprecates
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_fused_it_is_the_same(kind: str, kv_heads: int) -> None:
    torch.manual_seed(0)
    config = DecoderConfig.model_validate({**SHAPE, "model_type": kind, "num_key_value_heads": kv_heads})
    network = Decoder(config).eval().requires_grad_(False)
    for name, weight in network.named_parameters():
        if "norm" in name:
            weight.uniform_(0.5, 1.5)
    token_TR = torch.randint(40, (6, 3))
    found = []
    for fused in (False, True):
        one, logits_RV = decoding.OneToken(network, fused), torch.zeros(3, 40)
        cache_2LRKSH = torch.zeros(2, 2, 3, kv_heads, 17, 8)
        with torch.inference_mode():
            for position, token_R in enumerate(token_TR):
                one.read(token_R, torch.tensor([position, position, 16]), cache_2LRKSH, 8, logits_RV)
        found.append((logits_RV[:2].clone(), cache_2LRKSH[:, :, :2].clone()))
    with torch.inference_mode():
        whole_BTV = network(token_TR.T)
    (logits, cache), (other, other_cache) = found
    torch.testing.assert_close(logits, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(cache, other_cache, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[0][0], whole_BTV[:2, -1], atol=1e-5, rtol=1e-5)
