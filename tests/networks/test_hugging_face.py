"""Every architecture equals transformers' model of that name: logits with and without a cache, gradients, configs, weights."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from genwright.families.transformer.cache import SlotCache
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import ARCHITECTURES, from_hf_config, from_hf_state, to_hf_config, to_hf_state

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
VARIANTS = {
    "llama2": {"model_type": "llama", "rms_norm_eps": 1e-5, "tie_word_embeddings": False},
    "llama3": {"model_type": "llama", "rope_theta": 500.0, "rope_scaling": LLAMA3},
    "llama-linear": {"model_type": "llama", "rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "llama-biases": {"model_type": "llama", "attention_bias": True},
    "qwen2": {"model_type": "qwen2", "attention_bias": True, "num_key_value_heads": 1},
    "qwen2-window": {"model_type": "qwen2", "attention_bias": True, "sliding_window": 7},
    "qwen3": {"model_type": "qwen3", "head_dim": 12},
    "qwen3-untied": {"model_type": "qwen3", "num_key_value_heads": 4, "tie_word_embeddings": False},
    "qwen3-biases": {"model_type": "qwen3", "attention_bias": True},
    "mistral": {"model_type": "mistral", "tie_word_embeddings": False, "sliding_window": 9},
    "mistral-whole": {"model_type": "mistral", "head_dim": 16},
}


def config(variant: str) -> DecoderConfig:
    fields = {
        "vocab_size": 37,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
        "rope_theta": 5000.0,
    }
    return DecoderConfig.model_validate(fields | VARIANTS[variant])


def pair(variant: str):
    """Ours and theirs with the same weights, large enough that a slip in norm, position or head order shows in the logits."""
    torch.manual_seed(0)
    ours = Decoder(config(variant))
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.4, mean=1.0 if parameter.ndim == 1 else 0.0)
    content = to_hf_config(ours.config)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**content), attn_implementation="eager").eval()
    assert type(theirs).__name__ == content["architectures"][0]
    missing, unexpected = theirs.load_state_dict(to_hf_state(ours.config, ours.state_dict()), strict=False)
    assert not unexpected
    assert missing == (["lm_head.weight"] if ours.config.tie_word_embeddings else [])
    theirs.tie_weights()
    return ours, theirs


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_equal_transformers_with_and_without_a_cache(variant):
    ours, theirs = pair(variant)
    tokens = torch.randint(0, 37, (2, 50))
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.5
        torch.testing.assert_close(ours(tokens), expected, atol=1e-4, rtol=1e-4)
        network = ours.config
        cache = SlotCache(
            network.num_hidden_layers,
            2,
            network.num_key_value_heads,
            network.max_position_embeddings,
            network.head_dim,
            torch.device("cpu"),
            torch.float32,
        )
        slot = cache.take()
        cache.reserve(1, 50)
        pieces = []
        for start, stop in ((0, 20), (20, 45), (45, 46), (46, 47), (47, 50)):
            view = cache.view({slot: range(start, stop)})
            pieces.append(ours(tokens[:1, start:stop], view.rope_positions, view))
        torch.testing.assert_close(torch.cat(pieces, dim=1), expected[:1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variant", ["llama2", "qwen2", "qwen3", "mistral"])
def test_gradients_equal_transformers(variant):
    ours, theirs = pair(variant)
    tokens = torch.randint(0, 37, (2, 20))
    for logits in (ours(tokens), theirs(tokens).logits):
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    gradients = to_hf_state(ours.config, {n: p.grad for n, p in ours.named_parameters() if p.grad is not None})
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad, atol=2e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("variant", VARIANTS)
def test_config_and_state_go_to_hugging_face_and_back(variant):
    ours = Decoder(config(variant))
    content = to_hf_config(ours.config)
    assert content["architectures"] == [ARCHITECTURES[ours.config.model_type]]
    assert from_hf_config(content) == ours.config
    # and as transformers writes it after reading ours
    assert from_hf_config(AutoConfig.for_model(**content).to_dict()) == ours.config
    there_and_back = from_hf_state(ours.config, to_hf_state(ours.config, ours.state_dict()))
    assert there_and_back.keys() == ours.state_dict().keys()
    assert all(torch.equal(there_and_back[name], value) for name, value in ours.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "gpt2"}, "'gpt2' is not known; known are llama, qwen2, qwen3, mistral"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "yarn"),
        ({"hidden_act": "gelu"}, "silu"),
        ({"mlp_bias": True}, "biases"),
        ({"quantization_config": {"quant_method": "gptq"}}, "quantised by gptq"),
        ({"use_sliding_window": True, "sliding_window": 8, "max_window_layers": 1}, "some layers"),
        ({"partial_rotary_factor": 0.5}, "part of each head"),
    ],
)
def test_what_the_network_does_not_have_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        from_hf_config(to_hf_config(config("qwen3")) | change)
