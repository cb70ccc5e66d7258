"""The autoregressive family: the loss by hand, the cache against none, company against none."""

import math

import pytest
import torch

from genwright.engine.engine import Engine
from genwright.families.base import Moment
from genwright.families.sampling import Choice, Uniforms, choose_tokens
from genwright.families.transformer.cache import SlotCache
from genwright.families.transformer.family import Transformer, weighted_mean
from genwright.families.transformer.options import Controls, Opening
from genwright.networks.decoder import Decoder, DecoderConfig

END = 0


def family(context: int = 64, vocabulary: int = 50, seed: int = 0) -> Transformer:
    torch.manual_seed(seed)
    config = DecoderConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=context,
        initializer_range=0.4,
    )
    network = Decoder(config).eval()
    return Transformer(network, END)


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def generate(model: Transformer, prompt: list[int], controls: Controls, seed: int = 0) -> list[int]:
    session = model.open(1, Opening())
    return list(Engine().submit(session, lambda s: s.start(prompt, rng(seed), controls)))


def greedy_without_cache(model: Transformer, prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            token = int(model.network(torch.tensor([tokens]))[0, -1].argmax())
            if token == END:
                break
            tokens.append(token)
    return tokens[len(prompt) :]


class Uniform(torch.nn.Module):
    """Logits that do not depend on the input."""

    def __init__(self, logits: list[float]):
        super().__init__()
        self.logits = torch.nn.Parameter(torch.tensor(logits))

    def forward(
        self, token_BT: torch.Tensor, segment_BT: torch.Tensor | None = None, ends_E: torch.Tensor | None = None
    ) -> torch.Tensor:
        return self.logits.expand(*token_BT.shape, -1)


def test_loss_is_the_negative_log_likelihood_of_the_next_token():
    model = family()
    model.modules["model"] = Uniform([0.0, math.log(3.0)])  # probabilities 1/4 and 3/4
    loss = model.loss("model", {"tokens": torch.tensor([[0, 1, 1, 0]])}, rng(), Moment())
    by_hand = -(math.log(3 / 4) + math.log(3 / 4) + math.log(1 / 4)) / 3
    assert loss.value.item() == pytest.approx(by_hand)
    assert float(loss.weight) == 3
    assert loss.parts["loss"].item() == pytest.approx(by_hand)


def test_a_mask_weighs_tokens_and_leaves_out_the_rest():
    model = family()
    model.modules["model"] = Uniform([0.0, math.log(3.0)])
    tokens, mask = torch.tensor([[0, 1, 1, 0]]), torch.tensor([[1.0, 0.5, 0.0]])
    loss = model.loss("model", {"tokens": tokens, "mask": mask}, rng(), Moment())
    assert loss.value.item() == pytest.approx(-math.log(3 / 4))
    assert float(loss.weight) == 1.5


def test_ragged_batches_average_right():
    nats = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    whole = weighted_mean(nats, mask)
    parts = [weighted_mean(nats[i : i + 1], mask[i : i + 1]) for i in range(2)]
    together = sum(p.value * p.weight for p in parts) / sum(p.weight for p in parts)
    assert together == pytest.approx(whole.value.item()) == pytest.approx(2.0)


def test_a_batch_without_any_counted_token_has_no_weight_and_no_nan():
    loss = weighted_mean(torch.ones(1, 2), torch.zeros(1, 2))
    assert (loss.value.item(), float(loss.weight)) == (0.0, 0.0)


def test_with_the_cache_as_without():
    model = family()
    prompt = [5, 9, 3, 7]
    expected = greedy_without_cache(model, prompt, 40)
    assert generate(model, prompt, Controls(temperature=0, max_tokens=40)) == expected
    assert len(set(expected)) > 3


def test_a_prompt_read_in_chunks_gives_the_same(monkeypatch):
    model = family()
    prompt = list(range(1, 30))
    whole = generate(model, prompt, Controls(temperature=0, max_tokens=10))
    monkeypatch.setattr("genwright.families.transformer.session.PREFILL_CHUNK", 7)
    assert generate(model, prompt, Controls(temperature=0, max_tokens=10)) == whole


def test_greedy_text_is_the_same_alone_and_in_company():
    model = family()
    prompts = [[1 + i, *range(2, 3 + 4 * i)] for i in range(5)]
    alone = [generate(model, p, Controls(temperature=0, max_tokens=20)) for p in prompts]
    engine, session = Engine(), model.open(3, Opening())  # more requests than slots
    outputs = [
        engine.submit(session, lambda s, p=p: s.start(p, rng(), Controls(temperature=0, max_tokens=20)))
        for p in prompts
    ]
    assert [list(tokens) for tokens in outputs] == alone


def test_each_request_keeps_its_own_random_stream():
    model = family()
    controls = Controls(temperature=1, max_tokens=20)
    alone = [generate(model, [4], controls, seed) for seed in (1, 2)]
    engine, session = Engine(), model.open(2, Opening())
    outputs = [engine.submit(session, lambda s, i=i: s.start([4], rng(i), controls)) for i in (1, 2)]
    assert [list(tokens) for tokens in outputs] == alone
    assert alone[0] != alone[1]


def test_requests_join_and_leave_between_steps():
    model = family()
    controls = Controls(temperature=0, max_tokens=30)
    expected = {prompt: generate(model, [prompt], controls) for prompt in (4, 5, 6)}
    engine, session = Engine(), model.open(2, Opening())
    first = engine.submit(session, lambda s: s.start([4], rng(), controls))
    taken = [next(first) for _ in range(5)]
    second = engine.submit(session, lambda s: s.start([5], rng(), controls))
    third = engine.submit(session, lambda s: s.start([6], rng(), controls))
    assert [next(second) for _ in range(3)] == expected[5][:3]
    second.close()  # its slot goes to the third, which finds it clean
    assert list(third) == expected[6]
    assert taken + list(first) == expected[4]
    assert sorted(session.cache._free) == [0, 1]


def test_text_goes_on_beyond_the_context():
    model = family(context=16)
    tokens = generate(model, [1, 2, 3], Controls(temperature=1, max_tokens=100, top_k=10), seed=3)
    assert len(tokens) == 100
    # Behind a slide the model sees the last three quarters of the context, and nothing else.
    greedy = generate(model, list(range(1, 13)), Controls(temperature=0, max_tokens=6))
    seen = [*range(1, 13), *greedy]
    for end in range(12, 17):
        expected = int(model.network(torch.tensor([seen[:end]]))[0, -1].argmax())
        assert seen[end] == expected
    assert seen[17] == int(model.network(torch.tensor([seen[17 - 12 : 17]]))[0, -1].argmax())


def test_a_prompt_longer_than_the_context_keeps_its_end():
    model = family(context=16)
    controls = Controls(temperature=0, max_tokens=3)
    assert generate(model, list(range(1, 40)), controls) == generate(model, list(range(28, 40)), controls)


def test_the_end_of_text_ends_it_and_is_not_handed_out():
    model, controls = family(), Controls(temperature=0, max_tokens=30)
    text = generate(model, [3], controls)
    for end in (text[4], text[9]):
        model.end_tokens = frozenset({end, 49})
        assert generate(model, [3], controls) == text[: text.index(end)]


def test_an_empty_prompt_starts_behind_an_end_of_text():
    model = family()
    controls = Controls(temperature=0, max_tokens=5)
    assert generate(model, [], controls) == greedy_without_cache(model, [END], 5)


def test_a_constraint_rules_tokens_out():
    model = family()
    allowed = torch.zeros(50, dtype=torch.bool)
    allowed[[7, 8]] = True
    state = list(
        Engine().submit(
            model.open(1, Opening()),
            lambda s: s.start([1], rng(), Controls(temperature=1, max_tokens=20), lambda seen: allowed),
        )
    )
    assert set(state) <= {7, 8} and len(state) == 20


def test_top_k_and_top_p_keep_the_likeliest():
    logits = torch.log(torch.tensor([0.1, 0.5, 0.25, 0.15])).expand(400, -1)
    uniforms = [Uniforms(rng(i)) for i in range(400)]

    def drawn(choice: Choice) -> set[int]:
        return set(choose_tokens(logits, [choice] * 400, uniforms))

    assert drawn(Choice(1.0, 0, 1.0)) == {0, 1, 2, 3}
    assert drawn(Choice(1.0, 2, 1.0)) == {1, 2}
    assert drawn(Choice(1.0, 0, 0.6)) == {1, 2}
    assert drawn(Choice(1.0, 0, 0.5)) == {1}
    assert drawn(Choice(1.0, 0, 1e-6)) == {1}
    assert drawn(Choice(0.0, 0, 1.0)) == {1}
    assert drawn(Choice(0.01, 0, 1.0)) == {1}


def test_draws_follow_the_probabilities():
    probability = torch.tensor([0.1, 0.5, 0.25, 0.15])
    uniforms = Uniforms(rng())
    tokens = choose_tokens(torch.log(probability).expand(4000, -1), [Choice(1.0, 0, 1.0)] * 4000, [uniforms] * 4000)
    shares = torch.bincount(torch.tensor(tokens)) / 4000
    assert torch.allclose(shares, probability, atol=0.03)


def test_rows_of_one_batch_keep_their_own_settings():
    logits = torch.log(torch.tensor([[0.1, 0.5, 0.4]])).expand(3, -1)
    choices = [Choice(0.0, 0, 1.0), Choice(1.0, 1, 1.0), Choice(5.0, 0, 1.0)]
    rows = [choose_tokens(logits, choices, [Uniforms(rng(i)) for _ in range(3)]) for i in range(40)]
    assert {row[0] for row in rows} == {row[1] for row in rows} == {1}
    assert {row[2] for row in rows} == {0, 1, 2}


def test_weights_and_config_survive_the_trip_to_hugging_face_names():
    model, other = family(seed=0), family(seed=1)
    tensors = {name: tensor.clone() for name, tensor in model.export_tensors().items()}
    assert "model.layers.0.self_attn.q_proj.weight" in tensors
    other.load_tensors(tensors)
    token = torch.tensor([[1, 2, 3]])
    assert torch.equal(model.network(token), other.network(token))
    assert model.foreign_config()["eos_token_id"] == END


def test_a_slot_cannot_be_taken_twice_or_given_back_twice():
    cache = SlotCache(1, 1, 1, 8, 4, torch.device("cpu"), torch.float32)
    slot = cache.take()
    with pytest.raises(IndexError):
        cache.take()
    cache.give_back(slot)
    with pytest.raises(ValueError, match="free already"):
        cache.give_back(slot)


def test_all_parameters_get_a_gradient():
    model = family()
    batch = {"tokens": torch.randint(1, 50, (2, 9))}
    loss = model.loss("model", batch, rng(), Moment())
    loss.value.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.modules.parameters())
    assert model.flops(batch) > 0
