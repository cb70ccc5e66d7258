"""The decoder equals transformers' Qwen3 and its cached path equals its plain one."""

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen3Config, Qwen3ForCausalLM

from genwright.networks.decoder import (
    Decoder,
    DecoderConfig,
    from_hf_config,
    from_hf_state,
    matmul_flops,
    to_hf_config,
    to_hf_state,
)
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


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_logits_equal_transformers_qwen3(tied, kv_heads):
    torch.manual_seed(0)
    ours_config = config(tie_word_embeddings=tied, num_key_value_heads=kv_heads)
    ours = loud(Decoder(ours_config))
    theirs = Qwen3ForCausalLM(Qwen3Config(**to_hf_config(ours_config))).eval()
    state = to_hf_state(ours_config, ours.state_dict())
    missing, unexpected = theirs.load_state_dict(state, strict=False)
    assert not unexpected
    assert missing == (["lm_head.weight"] if tied else [])
    theirs.tie_weights()
    tokens = torch.randint(0, 37, (2, 64))
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.5
        torch.testing.assert_close(ours(tokens), expected, atol=1e-4, rtol=1e-4)


def test_gradients_equal_transformers_qwen3():
    torch.manual_seed(1)
    ours = loud(Decoder(config()))
    theirs = Qwen3ForCausalLM(Qwen3Config(**to_hf_config(ours.config)))
    theirs.load_state_dict(to_hf_state(ours.config, ours.state_dict()), strict=False)
    theirs.tie_weights()
    tokens = torch.randint(0, 37, (2, 20))
    for logits in (ours(tokens), theirs(tokens).logits):
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    ours_gradient = to_hf_state(ours.config, {n: p.grad for n, p in ours.named_parameters() if p.grad is not None})
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours_gradient[name], parameter.grad, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("tied", [True, False])
def test_state_goes_to_hugging_face_and_back(tied):
    ours = Decoder(config(tie_word_embeddings=tied))
    there_and_back = from_hf_state(ours.config, to_hf_state(ours.config, ours.state_dict()))
    assert there_and_back.keys() == ours.state_dict().keys()
    assert all(torch.equal(there_and_back[name], value) for name, value in ours.state_dict().items())


def test_config_goes_to_hugging_face_and_back():
    ours = config(tie_word_embeddings=False, rms_norm_eps=1e-5)
    theirs = Qwen3Config(**to_hf_config(ours))
    assert theirs.to_dict()["rope_parameters"]["rope_theta"] == 5000.0
    assert from_hf_config(theirs.to_dict()) == ours
    with pytest.raises(ValueError, match="llama"):
        from_hf_config({"model_type": "llama"})
    with pytest.raises(ValueError, match="yarn"):
        from_hf_config(to_hf_config(ours) | {"rope_parameters": {"rope_type": "yarn"}})


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
