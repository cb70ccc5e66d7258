"""DPO: the loss computed by hand, its gradient's direction, and the reference that stays."""

import math

import pytest
import torch

from genwright.families.base import Moment
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.preference import Preference
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.lora import add_lora

NETWORK = DecoderConfig(
    vocab_size=11,
    hidden_size=16,
    intermediate_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=8,
    max_position_embeddings=16,
)
TOKENS = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 6, 7, 0], [1, 8, 9, 0, 0], [1, 8, 2, 3, 4]])
"""Two pairs: preferred and rejected in turn."""
MASK = torch.tensor([[0, 1, 1, 1], [0, 1, 1, 0], [0, 1, 0, 0], [0, 1, 1, 1]], dtype=torch.float32)


def family(lora: bool = False, beta: float = 0.3) -> Preference:
    torch.manual_seed(0)
    decoder = Decoder(NETWORK)
    if lora:
        add_lora(decoder, 2)
    made = Preference.of(Transformer(decoder, 0), beta)
    made.freeze_reference()
    return made


def disturb(made: Preference) -> None:
    """Move what is trained away from the reference."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in made.network.named_parameters():
            if parameter.requires_grad or "lora" in name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))


@torch.no_grad()
def answer_log_probability(network: torch.nn.Module, row: int) -> float:
    """By the textbook: the sum of log-softmax values at the tokens that count, one after another."""
    total = 0.0
    for place in range(TOKENS.shape[1] - 1):
        if MASK[row, place]:
            logits = network(TOKENS[row : row + 1, : place + 1])[0, -1].double()
            probability = math.exp(float(logits[TOKENS[row, place + 1]])) / sum(math.exp(float(v)) for v in logits)
            total += math.log(probability)
    return total


@pytest.mark.parametrize("lora", [False, True])
def test_the_loss_is_the_one_computed_by_hand(lora: bool) -> None:
    made = family(lora)
    before = {name: value.clone() for name, value in made.modules["reference"].state_dict().items()}
    disturb(made)
    made.modules.eval()
    out = made.loss("model", {"tokens": TOKENS, "mask": MASK}, torch.Generator(), Moment())
    losses, margins = [], []
    for pair in range(2):
        gains = [
            answer_log_probability(made.network, row) - answer_log_probability(made.modules["reference"], row)
            for row in (2 * pair, 2 * pair + 1)
        ]
        margins.append(0.3 * (gains[0] - gains[1]))
        losses.append(-math.log(1 / (1 + math.exp(-margins[-1]))))
    assert float(out.value.detach()) == pytest.approx(sum(losses) / 2, rel=1e-4)
    assert float(out.parts["margin"]) == pytest.approx(sum(margins) / 2, rel=1e-3, abs=1e-5)
    assert float(out.parts["preferred"]) == sum(m > 0 for m in margins) / 2
    assert float(out.weight) == 2
    after = made.modules["reference"].state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items()), "the reference stays what it was"


@pytest.mark.parametrize("lora", [False, True])
def test_a_model_that_is_its_reference_costs_log_two(lora: bool) -> None:
    made = family(lora)
    out = made.loss("model", {"tokens": TOKENS, "mask": MASK}, torch.Generator(), Moment())
    assert float(out.value.detach()) == pytest.approx(math.log(2), abs=1e-5)


def test_a_step_down_the_gradient_makes_the_preferred_answer_likelier_than_the_other() -> None:
    made = family()
    made.modules["model"].requires_grad_(True)
    before = [answer_log_probability(made.network, row) for row in range(4)]
    for _ in range(5):
        made.network.zero_grad()
        made.loss("model", {"tokens": TOKENS, "mask": MASK}, torch.Generator(), Moment()).value.backward()
        with torch.no_grad():
            for parameter in made.network.parameters():
                parameter -= 0.5 * parameter.grad
    after = [answer_log_probability(made.network, row) for row in range(4)]
    for pair in (0, 2):
        assert after[pair] - after[pair + 1] > before[pair] - before[pair + 1]
    assert all(parameter.grad is None for parameter in made.modules["reference"].parameters())


def test_only_the_model_is_trained_and_exported() -> None:
    made = family()
    assert made.phases[0].trains == ("model",) and set(made.modules) == {"model", "reference"}
    assert set(made.export_tensors()) == set(Transformer(Decoder(NETWORK), 0).export_tensors())
