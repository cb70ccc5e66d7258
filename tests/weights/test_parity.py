"""Whatever a config.json of a known architecture says or leaves out, the network computes what transformers computes by it."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from genwright.errors import RequestError
from genwright.networks.decoder import Decoder
from genwright.weights import open_weights
from helpers.weights_samples import byte_level, tiny_folder

LLAMA3 = {"factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
ROPES = (
    {},
    {"rope_theta": 300.0},
    {"rope_scaling": None, "rope_theta": 300.0},
    {"rope_scaling": {"type": "linear", "factor": 2.0}},
    {"rope_parameters": {"rope_type": "linear", "factor": 3.0, "rope_theta": 300.0}},
    {
        "rope_parameters": {"rope_type": "default", "rope_theta": 300.0},
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
    {"rope_scaling": {"rope_type": "llama3", **LLAMA3, "original_max_position_embeddings": 16}, "rope_theta": 300.0},
    {"rope_parameters": {"rope_type": "llama3", **LLAMA3}},
    {"rope_scaling": {"rope_type": "llama3", **LLAMA3}, "original_max_position_embeddings": 8},
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tokenizer, for configs and weights to be put into."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = tmp_path_factory.mktemp("weights")
        byte_level("smollm").save_pretrained(folder)
        yield folder


def maybe(**values):
    """Each key with one of its values, or not there at all."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(which) for name, which in values.items()})


@st.composite
def contents(draw):
    kind = draw(st.sampled_from(["llama", "qwen2", "qwen3", "mistral"]))
    # What is left out takes 32 heads in Qwen, 8 in Mistral.
    heads = draw(st.sampled_from([4, 8, 32]))
    keys = [n for n in (1, 2, 4, heads) if heads % n == 0]
    fixed = {
        "model_type": kind,
        "vocab_size": 500,
        "hidden_size": 64,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from(keys)),
        "max_position_embeddings": 64,
        "head_dim": 6,
        "rms_norm_eps": 0.01,
    }
    default = {"llama": heads, "mistral": 8}.get(kind, 32)
    for name in draw(st.sets(st.sampled_from(["num_key_value_heads", "head_dim", "rms_norm_eps"]))):
        if name != "num_key_value_heads" or heads % default == 0:
            del fixed[name]
    more = maybe(
        tie_word_embeddings=[True, False],
        attention_bias=[True, False],
        hidden_act=["silu", "swish"],
        sliding_window=[None, 7],
        use_sliding_window=[True, False],
        max_window_layers=[0, 5],
        layer_types=[None, ["full_attention"] * 2],
        logits_scaling=[None, 1.0],
    )
    return fixed | draw(more) | draw(st.sampled_from(ROPES))


def loud(content):
    """transformers' own model of a config, with weights large enough that a slip shows in the logits."""
    torch.manual_seed(0)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**json.loads(json.dumps(content)))).eval()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.2, mean=1.0 if parameter.ndim == 1 else 0.0)
    return theirs


def opened(folder: Path) -> Decoder:
    weights = open_weights(str(folder))
    network = Decoder.empty(weights.config)
    weights.load_into(network)
    return network.eval()


def write(place: Path, content, state) -> None:
    (place / "config.json").write_text(json.dumps(content))
    save_file(
        {name: v.contiguous() for name, v in state.items()}, place / "model.safetensors", metadata={"format": "pt"}
    )


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=contents())
def test_any_config_is_computed_as_transformers_computes_it(content, place):
    theirs = loud(content)
    state = theirs.state_dict()
    if theirs.config.tie_word_embeddings:
        del state["lm_head.weight"]
    write(place, content, state)
    tokens = torch.randint(0, 500, (2, 40))
    ours = opened(place)
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.3
        torch.testing.assert_close(ours(tokens), expected, atol=1e-4, rtol=1e-4)
    if content["model_type"] == "mistral":
        assert ours.config.sliding_window == theirs.config.sliding_window


BASE = {
    "model_type": "llama",
    "vocab_size": 500,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits_scaling": 8.0}, "`logits_scaling: 8.0` changes what the network computes"),
        ({"use_qk_norm": True}, "`use_qk_norm: True` changes"),
        ({"num_local_experts": 8}, "`num_local_experts: 8` changes"),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping"),
        ({"partial_rotary_factor": 0.5}, "part of each head"),
        ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic' is not supported"),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, "lacks high_freq_factor"),
        ({"model_type": "mistral", "layer_types": ["sliding_attention", "full_attention"]}, "some layers"),
        ({"num_hidden_layers": 1}, r"no place for the weight model\.layers\.1\."),
        ({"num_hidden_layers": 3}, r"model\.layers\.2\.\S+ is missing"),
    ],
)
def test_a_field_that_would_change_the_computation_is_refused_by_name(change, message, place):
    write(place, BASE | change, loud(BASE).state_dict())
    with pytest.raises(RequestError, match=message) as caught:
        open_weights(str(place))
    assert "\n" not in str(caught.value)


def test_an_output_matrix_of_its_own_is_not_tied(place, capsys):
    theirs = loud(BASE)
    write(place, BASE | {"tie_word_embeddings": True}, theirs.state_dict())
    tokens = torch.arange(40)[None]
    read = AutoModelForCausalLM.from_pretrained(place).eval()
    ours = opened(place)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(ours(tokens), read(tokens).logits, atol=1e-4, rtol=1e-4)
    assert not ours.config.tie_word_embeddings
    assert "kept apart, as transformers does" in capsys.readouterr().err


def test_a_tied_output_matrix_that_is_stored_twice_is_one(place):
    theirs = loud(BASE | {"tie_word_embeddings": True})
    write(place, BASE | {"tie_word_embeddings": True}, {name: v.clone() for name, v in theirs.state_dict().items()})
    assert opened(place).lm_head is None


@pytest.mark.parametrize(
    "name", ["model.layers.0.self_attn.q_proj.bias", "model.layers.1.self_attn.q_norm.weight", "lm_head.bias"]
)
def test_a_weight_without_a_place_is_refused(name, place):
    write(place, BASE, loud(BASE).state_dict() | {name: torch.ones(32)})
    with pytest.raises(RequestError, match=f"no place for the weight {name}"):
        open_weights(str(place))


def test_what_stands_beside_the_decoder_is_named(place, capsys):
    write(place, BASE, loud(BASE).state_dict() | {"v_head.weight": torch.ones(1, 32)})
    assert open_weights(str(place)).config.hidden_size == 32
    assert "left out, because no part of a language model takes it: v_head.weight" in capsys.readouterr().err


def test_old_files_hold_the_rotary_frequencies_too(place):
    theirs = loud(BASE)
    name = "model.layers.0.self_attn.rotary_emb.inv_freq"
    write(place, BASE, theirs.state_dict() | {name: theirs.model.rotary_emb.inv_freq.bfloat16()})
    assert opened(place).config.rope_theta == 10_000
    write(place, BASE, theirs.state_dict() | {name: theirs.model.rotary_emb.inv_freq / 2})
    with pytest.raises(RequestError, match="holds other rotary frequencies than its config says"):
        open_weights(str(place))


def test_integers_without_a_scale_are_no_weights(place):
    state = loud(BASE).state_dict()
    state["model.layers.0.mlp.up_proj.weight"] = state["model.layers.0.mlp.up_proj.weight"].to(torch.int8)
    write(place, BASE, state)
    with pytest.raises(RequestError, match=r"up_proj\.weight is stored as torch\.int8"):
        opened(place)


def test_of_a_whole_file_and_shards_the_whole_one_is_read(tmp_path, place):
    """As transformers does: the others are left from before."""
    model = tiny_folder(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    state["model.norm.weight"] = state["model.norm.weight"] + 1
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    read = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(opened(tmp_path).norm.weight, state["model.norm.weight"])
    assert torch.equal(read.model.norm.weight, state["model.norm.weight"])


def test_files_that_begin_with_a_byte_order_mark_are_read(tmp_path, place):
    """As editors of Windows save them."""
    tiny_folder(tmp_path)
    before = open_weights(str(tmp_path))
    texts = [*tmp_path.glob("*.json"), *tmp_path.glob("*.jinja"), tmp_path / "README.md"]
    assert {file.name for file in texts} >= {
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    for file in texts:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    after = open_weights(str(tmp_path))
    assert after.config == before.config
    assert after.tokenizer.chat_template == before.tokenizer.chat_template
    assert after.tokenizer.encode("To be").tolist() == before.tokenizer.encode("To be").tolist()
    assert after.origin.licence == "mit"


def test_a_change_of_other_weights_is_no_weights(tmp_path, place):
    tiny_folder(tmp_path)
    shutil.copy(tmp_path / "config.json", tmp_path / "adapter_config.json")
    with pytest.raises(RequestError, match=r"holds a change of other weights \(adapter_config.json\)"):
        open_weights(str(tmp_path))
