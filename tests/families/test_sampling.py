"""Min-p and the repetition penalty do what those of transformers do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.engine.engine import Engine
from genwright.families.sampling import (
    Choice,
    Settings,
    Uniforms,
    choose_on_device,
    choose_tokens,
    penalise,
)
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Controls, Opening
from genwright.networks.decoder import Decoder, DecoderConfig

CONFIG = DecoderConfig(
    vocab_size=50,
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=2,
    head_dim=16,
    max_position_embeddings=64,
)


@given(
    seed=st.integers(0, 1000),
    temperature=st.floats(0.3, 2),
    top_k=st.integers(0, 12),
    top_p=st.floats(0.2, 1),
    min_p=st.floats(0, 0.6),
)
@settings(max_examples=60, deadline=None)
def test_what_is_left_in_is_what_transformers_leaves_in(seed, temperature, top_k, top_p, min_p):
    from transformers.generation import logits_process as theirs

    logits = torch.randn(1, 12, generator=torch.Generator().manual_seed(seed)) * 2
    expected = theirs.TemperatureLogitsWarper(temperature)(torch.zeros(1, 1, dtype=torch.long), logits)
    if top_k:
        expected = theirs.TopKLogitsWarper(top_k)(torch.zeros(1, 1, dtype=torch.long), expected)
    if top_p < 1:
        expected = theirs.TopPLogitsWarper(top_p)(torch.zeros(1, 1, dtype=torch.long), expected)
    expected = theirs.MinPLogitsWarper(min_p)(torch.zeros(1, 1, dtype=torch.long), expected)
    allowed = set(torch.nonzero(torch.isfinite(expected[0]))[:, 0].tolist())
    uniforms = [Uniforms(torch.Generator().manual_seed(seed))] * 300
    drawn = choose_tokens(logits.expand(300, -1), [Choice(temperature, top_k, top_p, min_p)] * 300, uniforms)
    assert set(drawn) <= allowed
    likely = [i for i in allowed if expected[0].softmax(-1)[i] > 0.05]
    assert set(likely) <= set(drawn)


def test_numbers_drawn_ahead_are_those_drawn_one_by_one():
    ahead, generator = Uniforms(torch.Generator().manual_seed(3)), torch.Generator().manual_seed(3)
    one_by_one = [torch.rand((), generator=generator, dtype=torch.float64).item() for _ in range(150)]
    assert [ahead.draw() for _ in range(150)] == one_by_one


CHOICES = [Choice(0.0, 0, 1.0), Choice(0.8, 0, 1.0), Choice(1.3, 5, 1.0), Choice(0.7, 0, 0.8), Choice(1.0, 0, 1.0, 0.1), Choice(2.0, 99, 1.0)]  # fmt: skip


def test_a_row_draws_the_same_whoever_shares_the_batch_and_wherever_it_is_done():
    logits = torch.randn(60, 50, generator=torch.Generator().manual_seed(0)) * 3
    choices = [CHOICES[row % len(CHOICES)] for row in range(60)]
    streams = [Uniforms(torch.Generator().manual_seed(row)) for row in range(60)]
    alone = [choose_tokens(logits[row : row + 1], [choices[row]], [streams[row]])[0] for row in range(60)]
    together = choose_tokens(logits, choices, [Uniforms(torch.Generator().manual_seed(row)) for row in range(60)])
    assert together == alone and len(set(alone)) > 20
    fields = [(c.temperature, c.top_k, c.top_p, c.min_p, Uniforms(torch.Generator().manual_seed(row)).draw()) for row, c in enumerate(choices)]  # fmt: skip
    settings_ = Settings(*torch.tensor(fields, dtype=torch.float64).unbind(1))
    assert choose_on_device(logits, settings_, True, True).tolist() == alone


def test_the_penalty_is_that_of_transformers():
    from transformers import RepetitionPenaltyLogitsProcessor

    logits, tokens = torch.randn(1, 50), torch.tensor([[3, 7, 7, 49]])
    expected = RepetitionPenaltyLogitsProcessor(1.3)(tokens, logits.clone())
    assert torch.equal(penalise(logits[0], tokens[0].tolist(), 1.3), expected[0])


@pytest.mark.parametrize("penalty", [1.0, 8.0])
def test_greedy_text_with_a_penalty_is_that_of_transformers(penalty, tmp_path):
    import json

    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    family = Transformer(Decoder(CONFIG), 0)
    family.modules.eval()
    save_file(family.export_tensors(), tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text(json.dumps(family.foreign_config()))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    prompt = [5, 9, 9, 2]
    expected = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=30, do_sample=False, repetition_penalty=penalty, pad_token_id=0
    )[0, 4:].tolist()  # fmt: skip
    controls = Controls.model_validate({"temperature": 0, "max_tokens": 30, "repetition_penalty": penalty})
    session = family.open(1, Opening())
    ours = list(Engine().submit(session, lambda s: s.start(prompt, torch.Generator(), controls)))
    assert ours == [token for token in expected if token != 0]
    assert len(set(ours)) > (5 if penalty > 1 else 0)
