"""The decoder's cached path equals its plain one. That it equals transformers stands in test_networks_hugging_face.py."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from genwright.networks.decoder import Decoder, DecoderConfig, matmul_flops
from genwright.networks.roles import Role, parameter_roles


def config(**changes) -> DecoderConfig:
    fields = {
        "vocab_size": 37,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 64,
        "rope_theta": 5000.0,
    }
    return DecoderConfig(**(fields | changes))


def loud(decoder: Decoder) -> Decoder:
    """Weights large enough that a slip in norm, position or head order shows in the logits."""
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4, mean=1.0 if parameter.ndim == 1 else 0.0)
    return decoder


class GrowingCache:
    """Keys and values of all tokens so far, causal: the protocol at its smallest."""

    def __init__(self):
        self.kept = {}

    def update(self, layer, k_BKTH, v_BKTH):
        if layer in self.kept:
            k_BKTH, v_BKTH = (torch.cat(pair, dim=2) for pair in zip(self.kept[layer], (k_BKTH, v_BKTH), strict=True))
        old = self.kept[layer][0].shape[2] if layer in self.kept else 0
        self.kept[layer] = (k_BKTH, v_BKTH)
        total = k_BKTH.shape[2]
        mask = torch.arange(old, total)[:, None] >= torch.arange(total)
        return k_BKTH, v_BKTH, mask


def test_cached_chunks_equal_the_whole():
    torch.manual_seed(2)
    decoder = loud(Decoder(config()))
    tokens = torch.randint(0, 37, (3, 23))
    cache, pieces = GrowingCache(), []
    with torch.no_grad():
        for start, stop in ((0, 9), (9, 10), (10, 11), (11, 23)):
            position = torch.arange(start, stop).expand(3, -1)
            pieces.append(decoder(tokens[:, start:stop], position, cache))
        torch.testing.assert_close(torch.cat(pieces, dim=1), decoder(tokens), atol=1e-4, rtol=1e-4)


def test_no_token_sees_the_next():
    torch.manual_seed(3)
    decoder = loud(Decoder(config()))
    tokens = torch.randint(0, 37, (1, 12))
    changed = tokens.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 37
    with torch.no_grad():
        before, after = decoder(tokens), decoder(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:], atol=1e-2)


def test_roles_cover_every_parameter_and_name_fused_blocks():
    decoder = Decoder(config(tie_word_embeddings=False))
    roles = parameter_roles(decoder)
    assert roles.keys() == {name for name, _ in decoder.named_parameters()}
    assert roles["layers.1.self_attn.qkv_proj.weight"] == Role("matrix", (64, 32, 32))
    assert roles["layers.1.mlp.gate_up_proj.weight"] == Role("matrix", (48, 48))
    assert roles["layers.1.mlp.down_proj.weight"] == Role("matrix")
    assert roles["embed_tokens.weight"] == roles["lm_head.weight"] == Role("embedding")
    assert roles["layers.0.self_attn.q_norm.weight"] == roles["norm.weight"] == Role("rest")


def test_flops_count_what_torch_counts():
    decoder = Decoder(config(num_key_value_heads=4))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        decoder(torch.zeros(2, 16, dtype=torch.long))
    assert counter.get_total_flops() == matmul_flops(decoder.config, 2, 16)


def test_odd_shapes_are_refused():
    with pytest.raises(ValueError, match="multiple"):
        config(num_key_value_heads=3)
    with pytest.raises(ValueError, match="even"):
        config(head_dim=7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.compile hides warnings of its own, unless they are errors
def test_layers_share_one_compilation_that_changes_no_logit():
    decoder = loud(Decoder(config()))
    tokens = torch.randint(0, 37, (2, 16))
    eager = decoder(tokens)
    torch._dynamo.utils.counters.clear()
    for region in decoder.compile_regions():
        region.compile()
    compiled = decoder(tokens)
    compiled.sum().backward()
    torch.testing.assert_close(compiled, eager, atol=1e-4, rtol=1e-4)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
