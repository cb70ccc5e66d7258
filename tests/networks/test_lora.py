"""Low-rank changes: the same model, gradients and files as peft's, and nothing kept of what is not trained."""

import copy
import json

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from genwright.families.base import OptimizerSpec
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Opening
from genwright.networks import lora
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import from_hf_state, to_hf_config, to_hf_state
from genwright.training import checkpoint
from genwright.training.base import Settings
from genwright.training.trainer import Trainer

# peft asks transformers for something by its old name
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

RANK, ALPHA = 3, 7.0


def config(**changes) -> DecoderConfig:
    fields = {
        "model_type": "llama",
        "vocab_size": 37,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 64,
    }
    return DecoderConfig.model_validate(fields | changes)


def pair(**changes):
    """Our decoder and transformers' model, with the same loud weights."""
    torch.manual_seed(0)
    ours = Decoder(config(**changes))
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter, std=0.2, mean=1.0 if parameter.ndim == 1 else 0.0)
    theirs = AutoModelForCausalLM.from_config(AutoConfig.for_model(**to_hf_config(ours.config))).eval()
    theirs.load_state_dict(to_hf_state(ours.config, ours.state_dict()), strict=False)
    theirs.tie_weights()
    return ours, theirs


def changed(ours: Decoder) -> Decoder:
    """With a change that is not zero."""
    lora.add_lora(ours, RANK, ALPHA)
    for name, parameter in ours.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.1)
    return ours


@pytest.mark.parametrize("changes", [{}, {"model_type": "qwen2", "attention_bias": True}, {"model_type": "qwen3"}])
def test_peft_loads_the_change_and_finds_the_same_model(changes, tmp_path):
    ours, theirs = pair(**changes)
    tokens = torch.randint(0, 37, (2, 20))
    with torch.no_grad():
        before = theirs(tokens).logits
        family = Transformer(changed(ours), 0, merge=False)
        save_file(
            {k: v.contiguous() for k, v in family.export_tensors().items()}, tmp_path / "adapter_model.safetensors"
        )
        for name, content in family.foreign_files().items():
            (tmp_path / name).write_text(json.dumps(content))
        adapted = PeftModel.from_pretrained(theirs, str(tmp_path)).eval()
        expected = adapted(tokens).logits
        assert (expected - before).abs().max() > 0.1
        torch.testing.assert_close(ours(tokens), expected, atol=1e-5, rtol=1e-5)
        merged = lora.without_lora(ours)
        torch.testing.assert_close(merged(tokens), expected, atol=1e-5, rtol=1e-5)
        whole = Transformer(ours, 0, merge=True).export_tensors()
        peft_merged = adapted.merge_and_unload()
        for name, value in whole.items():
            torch.testing.assert_close(value, peft_merged.state_dict()[name], atol=1e-5, rtol=1e-5, msg=name)


def test_gradients_are_those_of_peft():
    ours, theirs = pair()
    changed(ours)
    settings = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=list(lora.PEFT_NAMES), lora_dropout=0.0, task_type="CAUSAL_LM"
    )
    adapted = get_peft_model(theirs, settings).train()
    places = {name.replace(".default", ""): parameter for name, parameter in adapted.named_parameters()}
    for name, value in lora.to_peft_state(ours).items():
        places[name].data.copy_(value)
    tokens = torch.randint(0, 37, (2, 20))
    for logits in (ours(tokens), adapted(tokens).logits):
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    trained = {name for name, parameter in ours.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, _ in ours.named_parameters() if ".lora_" in name}
    assert all(parameter.grad is None for name, parameter in ours.named_parameters() if name not in trained)
    for parameter in ours.parameters():
        if parameter.grad is not None:
            parameter.data = parameter.grad
    for name, gradient in lora.to_peft_state(ours).items():
        torch.testing.assert_close(gradient, places[name].grad, atol=2e-5, rtol=1e-4, msg=name)


def test_in_parts_under_autocast_is_the_same_change():
    ours, _ = pair()
    layer = changed(ours).layers[0].self_attn.qkv_proj
    x = torch.randn(3, 5, 32, requires_grad=True)
    torch.testing.assert_close(layer._in_parts(x), layer(x), atol=1e-5, rtol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


def test_before_training_the_change_is_nothing_and_it_can_be_taken_out():
    ours, _ = pair()
    plain = copy.deepcopy(ours)
    tokens = torch.randint(0, 37, (1, 9))
    with torch.no_grad():
        expected = plain(tokens)
        assert torch.equal(lora.add_lora(ours, RANK)(tokens), expected)
        assert ours.layers[0].mlp.down_proj.alpha == 2 * RANK
        twin = lora.without_lora(ours)
        assert twin.embed_tokens is not ours.embed_tokens
        assert twin.embed_tokens.weight is ours.embed_tokens.weight
        assert lora.has_lora(ours)
        assert not lora.has_lora(twin)
        lora.remove_lora(ours)
        assert ours.state_dict().keys() == plain.state_dict().keys()
        assert torch.equal(ours(tokens), expected)


@pytest.mark.parametrize("merge", [True, False])
def test_a_family_comes_back_from_what_it_exports(merge):
    ours, _ = pair()
    base = copy.deepcopy(ours)
    family = Transformer(changed(ours), 0, merge=merge)
    tokens = torch.randint(0, 37, (1, 9))

    def load_base(network: Decoder) -> None:
        network.load_state_dict(
            lora.base_state(base) | {k: v for k, v in network.state_dict().items() if ".lora_" in k}
        )

    fresh = Transformer(lora.add_lora(Decoder(config()), RANK, ALPHA), 0, base=load_base)
    fresh.load_tensors(family.export_tensors())
    assert not lora.has_lora(fresh.network)
    assert ("architectures" in family.foreign_config()) == merge
    assert "architectures" in fresh.foreign_config()
    with torch.no_grad():
        torch.testing.assert_close(fresh.network(tokens), family.network(tokens), atol=1e-5, rtol=1e-5)
        assert torch.equal(fresh.network(tokens), family.open(1, Opening()).network(tokens))


def test_a_change_that_does_not_fit_is_refused():
    ours, _ = pair()
    state = lora.to_peft_state(changed(ours))
    other, _ = pair()
    with pytest.raises(RuntimeError, match="shape"):
        lora.load_peft_state(lora.add_lora(other, RANK + 1), state)
    state.pop(next(iter(state)))
    with pytest.raises(KeyError, match=r"layers\.0"):
        lora.load_peft_state(ours, state)
    with pytest.raises(KeyError, match="not named"):
        Transformer(ours, 0).load_tensors(lora.to_peft_state(ours))


class Rows:
    pass_examples = 16

    def batch(self, position, size):
        rng = torch.Generator().manual_seed(position % 7)
        return {"tokens": torch.randint(0, 37, (size, 12), generator=rng)}


def family_at_start(seed: int = 1) -> Transformer:
    ours, _ = pair()
    torch.manual_seed(seed)
    return Transformer(lora.add_lora(ours, RANK, ALPHA), 0, OptimizerSpec(learning_rate=0.02))


def trained(folder, steps: int, family: Transformer) -> Transformer:
    settings = Settings(steps=8, batch=2, checkpoint_every=4)
    run = Trainer(family, Rows(), settings, torch.device("cpu"), folder)
    if steps < 8:
        step = run.take_step

        def stopping() -> None:
            if run.step == steps:
                raise KeyboardInterrupt
            step()

        run.take_step = stopping
        with pytest.raises(KeyboardInterrupt):
            run.run()
    else:
        run.run()
    return family


def test_checkpoints_hold_the_change_alone_and_a_resumed_training_is_the_straight_one(tmp_path):
    straight = trained(tmp_path / "straight", 8, family_at_start())
    trained(tmp_path / "cut", 6, family_at_start())
    resumed = trained(tmp_path / "cut", 8, family_at_start(seed=2))
    for (name, one), two in zip(
        straight.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    weights, state = checkpoint.read(tmp_path / "cut" / "checkpoints" / checkpoint.name_of(8))
    assert weights
    assert all(".lora_" in name for name in weights)
    assert all("lora" in key for key in state["optimizers"]["model"])
    before = family_at_start().network.state_dict()
    still = {name: value for name, value in straight.network.state_dict().items() if ".lora_" not in name}
    assert all(torch.equal(before[name], value) for name, value in still.items())
    assert not torch.equal(before["layers.0.mlp.down_proj.lora_B"], straight.network.layers[0].mlp.down_proj.lora_B)


def test_a_change_goes_on_only_from_the_weights_it_was_of(tmp_path):
    trained(tmp_path, 6, family_at_start())
    other = family_at_start()
    with torch.no_grad():
        other.network.norm.weight += 1e-3
    with pytest.raises(Exception, match="other frozen weights"):
        trained(tmp_path, 8, other)


def test_hugging_face_names_know_no_change():
    ours, _ = pair()
    state = from_hf_state(ours.config, to_hf_state(ours.config, lora.base_state(changed(ours))))
    assert state.keys() == lora.base_state(ours).keys()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch.compile hides warnings of its own, unless they are errors
def test_compiled_layers_have_the_same_gradients():
    ours, _ = pair()
    compiled = copy.deepcopy(changed(ours))
    for layer in compiled.compile_regions():
        layer.compile()
    tokens = torch.randint(0, 37, (2, 20))
    for network in (ours, compiled):
        logits = network(tokens)
        torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()).backward()
    for (name, one), two in zip(ours.named_parameters(), compiled.parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(one.grad, two.grad, atol=1e-5, rtol=1e-4, msg=name)
