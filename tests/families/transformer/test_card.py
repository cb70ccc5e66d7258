"""The session of a card writes what the others write: run here on the processor, where its steps are not recorded but the same.

Tests marked gpu see what only a card shows: recording, and a host that is a step late.
"""

import json
from itertools import islice

import pytest
import torch
from torch.overrides import TorchFunctionMode

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.transformer import card_session
from genwright.families.transformer.card import _block
from genwright.families.transformer.card_session import CardSession
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Controls, Opening
from genwright.families.transformer.session import TextSession
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.decoding import OneToken, in_dtype
from genwright.networks.native import decoder as native_decoder
from helpers.text_families import KINDS, PROMPTS, alone, request, text_family

ON_CARD = pytest.param("cuda", marks=pytest.mark.gpu)


@pytest.fixture(autouse=True)
def _by_torch(monkeypatch):
    """What it is compared with is not the compiled decoder, which a card does not have."""
    monkeypatch.setattr(native_decoder, "library", lambda: None)


def opened(model: Transformer, capacity: int = 8, weights="float32", **opening) -> CardSession:
    asked = Opening(weights=weights, **opening)
    return CardSession(model.network, model.end_token, capacity, model.end_tokens, asked)


def placed(device: str, kind: str = "qwen3", **given) -> Transformer:
    model = text_family(kind, **given)
    model.modules.to(device)
    return model


@pytest.mark.parametrize("device", ["cpu", ON_CARD])
@pytest.mark.parametrize("kind", KINDS)
def test_eight_that_join_and_leave_write_what_each_writes_alone(kind, device):
    model = text_family(kind)
    expected = [alone(model, prompt, 30 + 9 * index) for index, prompt in enumerate(PROMPTS)]
    session, engine = opened(placed(device, kind), 5), Engine()
    texts = [request(session, engine, prompt, 30 + 9 * index) for index, prompt in enumerate(PROMPTS)]
    given_up = request(session, engine, [9, 8, 7], 50)
    got = [list(islice(text, 7)) for text in texts[:3]]
    next(given_up, None)
    given_up.close()
    assert got[0] + list(texts[0]) == expected[0]
    assert [first + list(text) for first, text in zip(got[1:], texts[1:3], strict=True)] == expected[1:3]
    assert [list(text) for text in texts[3:]] == expected[3:]


@pytest.mark.parametrize("device", ["cpu", ON_CARD])
def test_every_way_of_choosing_at_once_and_past_the_end_of_the_context(device):
    asked = [
        {"temperature": 1.0, "seed": 1},
        {"temperature": 0.8, "top_k": 7, "seed": 2},
        {"temperature": 0.7, "top_p": 0.9, "seed": 3},
        {"temperature": 1.2, "min_p": 0.05, "seed": 4},
        {"temperature": 0, "repetition_penalty": 1.3, "seed": 5},
        {"temperature": 0.9, "top_p": 0.95, "repetition_penalty": 1.1, "seed": 6},
    ]
    model = text_family(context=48, initializer_range=0.2)
    expected = [alone(model, PROMPTS[index], 90, **controls) for index, controls in enumerate(asked)]
    session, engine = opened(placed(device, context=48, initializer_range=0.2)), Engine()
    texts = [request(session, engine, PROMPTS[index], 90, **controls) for index, controls in enumerate(asked)]
    assert [list(text) for text in texts] == expected
    assert max(map(len, expected)) > 48 and len({tuple(text) for text in expected}) == len(asked)


@pytest.mark.parametrize("device", ["cpu", ON_CARD])
@pytest.mark.parametrize("soft", [False, True])
def test_a_constraint_holds_in_company(device, soft):
    def constraint(generated):
        allowed_V = torch.zeros(60, dtype=torch.bool)
        allowed_V[1 + len(generated) : 20 + len(generated)] = True
        return torch.where(allowed_V, 3.0, -50.0) if soft else allowed_V

    def ask(session, engine):
        controls = Controls.model_validate({"temperature": 1.0, "max_tokens": 20})
        return engine.submit(session, lambda s: s.start([5, 6], torch.Generator().manual_seed(1), controls, constraint))

    model = text_family()
    expected, free = list(ask(model.open(1, Opening()), Engine())), alone(model, PROMPTS[4], 25)
    session, engine = opened(placed(device)), Engine()
    other, bound = request(session, engine, PROMPTS[4], 25), ask(session, engine)
    assert list(bound) == expected and list(other) == free
    assert all(1 + place <= token < 20 + place for place, token in enumerate(expected))


def test_prompts_are_read_together_and_an_equal_beginning_once(monkeypatch):
    model, engine = text_family(), Engine()
    session, calls = opened(model), []
    read = session.reader.read

    def counted(tokens, slots, *rest):
        calls.append((len(tokens), len(set(slots))))
        return read(tokens, slots, *rest)

    monkeypatch.setattr(session.reader, "read", counted)
    texts = [request(session, engine, prompt, 5) for prompt in PROMPTS[1:5]]
    assert [list(text) for text in texts] == [alone(model, prompt, 5) for prompt in PROMPTS[1:5]]
    assert calls == [(sum(len(prompt) - 1 for prompt in PROMPTS[1:5]), 4)]
    calls.clear()
    again = [request(session, engine, [*range(1, 40)], 5, seed, temperature=1) for seed in range(3)]
    assert len({tuple(text) for text in again}) > 1
    assert calls == [(38, 1)]
    calls.clear()
    monkeypatch.setattr(card_session, "PROMPTS", 11)
    assert list(request(session, engine, PROMPTS[8], 9)) == alone(model, PROMPTS[8], 9)
    assert [count for count, _ in calls] == [11, 11, 11, 7]


def test_the_next_turn_reads_only_what_is_new(monkeypatch):
    model, engine = text_family(), Engine()
    session, calls = opened(model, 2), []
    first = [*range(1, 40)]
    answer = list(request(session, engine, first, 10))
    read = session.reader.read
    monkeypatch.setattr(session.reader, "read", lambda tokens, *rest: calls.append(tokens) or read(tokens, *rest))
    second = [*first, *answer, 50, 51]
    assert list(request(session, engine, second, 10)) == alone(model, second, 10)
    assert calls == [[answer[-1], 50]]


def test_the_next_step_is_on_its_way_before_the_last_is_looked_at(monkeypatch):
    order = []
    session = opened(text_family(), 2)
    launch, receive = session.card.launch, session._receive
    monkeypatch.setattr(session.card, "launch", lambda rows: order.append("launch") or launch(rows))
    monkeypatch.setattr(session, "_receive", lambda taken: order.append("look") or receive(taken))
    assert len(list(request(session, Engine(), [5, 6, 7], 4))) == 4
    assert order == ["launch", "launch", "look", "launch", "look", "launch", "look", "look"]


def test_a_block_of_slots_is_the_smallest_that_powers_of_two_give():
    assert _block([3]) == (3, 1) and _block([2, 3]) == (2, 2) and _block([3, 4]) == (0, 8) and _block([13, 9]) == (8, 8)


@pytest.mark.parametrize("device", ["cpu", ON_CARD])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_network(kind, device):
    """float32 to rounding; bfloat16 as near to float32's as the network itself comes in bfloat16."""
    network = placed(device, kind, initializer_range=0.15).network
    token_BT = torch.randint(1, 60, (3, 50), generator=torch.Generator().manual_seed(0)).to(device)
    with torch.inference_mode():
        exact_BTV = network(token_BT)
        scale = exact_BTV.abs().max()
        errors = {}
        for dtype in (torch.float32, torch.bfloat16):
            small = in_dtype(network, dtype)
            errors[dtype] = ((one_by_one(small, token_BT) - exact_BTV).abs().max() / scale).item()
            rounded = ((small(token_BT).float() - exact_BTV).abs().max() / scale).item()
    assert errors[torch.float32] < 1e-5
    assert 1e-4 < errors[torch.bfloat16] < 1.5 * rounded + 1e-2


def one_by_one(network: Decoder, token_BT: torch.Tensor, fused: bool = False) -> torch.Tensor:
    """Logits by steps of one token a row, with idle rows beside; B,T,V."""
    config, device = network.config, token_BT.device
    reads, rows = OneToken(network, fused), len(token_BT) + 1
    cache = torch.zeros(
        2, config.num_hidden_layers, rows + 3, config.num_key_value_heads, config.positions + 1, config.head_dim,
        dtype=network.embed_tokens.weight.dtype, device=device,
    )  # fmt: skip
    found = []
    for place in range(token_BT.shape[1]):
        token_R = torch.cat([token_BT[:, place], token_BT[:1, 0]])
        position_R = torch.tensor([place] * (rows - 1) + [config.positions], device=device)
        out_RV = torch.empty(rows, config.vocab_size, device=device)
        reads.read(token_R, position_R, cache[:, :, 2 : 2 + rows], 32 if place < 32 else 64, out_RV)
        found.append(out_RV[:-1].clone())
    return torch.stack(found, dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_greedy_text_is_that_of_transformers_in_the_same_precision(dtype, tmp_path):
    """Where they part, the two tokens were as good as equal to what the precision can tell."""
    check_against_transformers("cpu", dtype, tmp_path)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_greedy_text_on_a_card_is_that_of_transformers_there(dtype, tmp_path):
    check_against_transformers("cuda", dtype, tmp_path)


def check_against_transformers(device, dtype, folder):
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM

    model = text_family(initializer_range=0.2)
    tensors = {name: t.contiguous() for name, t in model.export_tensors().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.foreign_config()))
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device)
    model.modules.to(device)
    session, engine = opened(model, 4, str(dtype).removeprefix("torch.")), Engine()
    texts = [request(session, engine, prompt, 40) for prompt in PROMPTS[1:5]]
    equal = 0
    for prompt, text in zip(PROMPTS[1:5], texts, strict=True):
        ours = list(text)
        with torch.inference_mode():
            logits_TV = theirs(torch.tensor([[*prompt, *ours]], device=device)).logits[0, len(prompt) - 1 :].float()
        for token, logits_V in zip(ours, logits_TV, strict=False):
            apart = (logits_V.max() - logits_V[token]).item()
            assert apart <= (1e-4 if dtype == torch.float32 else 2**-6) * logits_V.abs().max().item()
            equal += apart == 0
    assert equal > 100


@pytest.mark.filterwarnings("ignore")  # torch.compile hides warnings of its own, unless they are errors
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), ON_CARD])
def test_fused_reads_the_same(device):
    network = placed(device, initializer_range=0.15).network
    token_BT = torch.tensor([[5, 6], [7, 8]], device=device)
    with torch.inference_mode():
        torch.testing.assert_close(one_by_one(network, token_BT, fused=True), network(token_BT), atol=1e-4, rtol=1e-4)


@pytest.mark.gpu
def test_fused_writes_the_same():
    model = placed("cuda")
    expected = [list(request(opened(model), Engine(), prompt, 80)) for prompt in PROMPTS[:3]]
    session, engine = opened(model, compile=True), Engine()
    texts = [request(session, engine, prompt, 80) for prompt in PROMPTS[:3]]
    assert [list(text) for text in texts] == expected


def test_a_layer_is_few_operations():
    """Each is a launch. Views cost nothing."""

    views = ("view", "split", "chunk", "unflatten", "unbind", "expand", "t", "transpose", "__getitem__", "__get__")
    free = {*views, "__len__", "to"}  # `to` is none in float32

    class Counted(TorchFunctionMode):
        count = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):
            self.count += func.__name__ not in free
            return func(*args, **(kwargs or {}))

    def operations(layers: int) -> int:
        network = text_family("llama", attention_bias=False, num_hidden_layers=layers).network
        with torch.no_grad(), Counted() as counted:
            one_by_one(network, torch.ones(2, 1, dtype=torch.int64))
        return counted.count

    assert operations(4) - operations(3) <= 22


def test_weights_are_small_on_a_card_that_can_and_large_elsewhere():
    for device, capability, expected in (
        ("cuda", (9, 0), "bfloat16"),
        ("cuda", (7, 5), "float32"),
        ("cpu", None, "float32"),
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.cuda, "get_device_capability", lambda device, capability=capability: capability)
            from genwright.families.transformer.reader import precision_of

            assert precision_of("auto", torch.device(device)) == expected
            assert precision_of("float32", torch.device(device)) == "float32"


def test_bfloat16_can_be_had_on_a_processor_too():
    session = text_family(initializer_range=0.1).open(2, Opening(weights="bfloat16"))
    assert type(session) is TextSession and session.cache.both.dtype == torch.bfloat16
    assert len(list(request(session, Engine(), PROMPTS[3], 5))) == 5


@pytest.mark.gpu
def test_a_card_s_session_records_its_steps_and_keeps_no_more_than_it_may():
    model = placed("cuda", context=128)
    session, engine = model.open(4, Opening(weights="float32")), Engine()
    assert type(session) is CardSession
    texts = [request(session, engine, prompt, 100) for prompt in PROMPTS[1:5]]
    lengths = [len(list(text)) for text in texts]
    assert max(lengths) > 64
    kinds = {key[0] for key in session.card.graphs.recorded}
    assert kinds == {"read", "choose"}


@pytest.mark.gpu
def test_int8_is_refused_on_a_card():
    with pytest.raises(RequestError, match="--weights int8"):
        placed("cuda").open(1, Opening(weights="int8"))


@pytest.mark.gpu
def test_bfloat16_is_what_a_card_takes_by_itself():
    session = placed("cuda").open(1, Opening())
    assert session.cache.both.dtype == torch.bfloat16
    assert DecoderConfig.model_validate(session.network.config).vocab_size == 60
