"""What is chosen for a card, by arithmetic: held to what was measured on an H200, and to what must follow for others."""

from __future__ import annotations

import pytest

from genwright.networks.decoder import DecoderConfig, matmul_flops
from genwright.settings import Budget
from genwright.stages.train.rate import Rate
from genwright.stages.train.sizing import Cost, batch_for, first_guess
from genwright.tasks.text import sizes

H200 = Rate(flops=801e12, launch_seconds=1e-5, memory_bytes=140 * 10**9)
SMALL_CARD = Rate(flops=25e12, launch_seconds=1e-5, memory_bytes=8 * 10**9)
SHAKESPEARE, POEMS, LIBRARY = 1_350_000, 25_000_000, 3_000_000_000


def cost_of(layers: int, width: int, context: int, windows: int, vocabulary: int, tokens: int) -> Cost:
    network = sizes.network_for(layers, width, context, vocabulary)
    return cost_by(network, windows, tokens)


def cost_by(network: DecoderConfig, windows: int, tokens: int) -> Cost:
    """As stages/train/sizes.py counts it on the meta device (test_choice.py)."""
    context = network.max_position_embeddings
    return Cost(
        parameters=sizes.parameters(network),
        flops=3 * matmul_flops(network, 1, context),
        modules=8 * network.num_hidden_layers + 2,
        width=network.hidden_size,
        values=context,
        least=windows,
        most=max(sizes.most_batch(context, tokens), windows),
        least_steps=600,
    )


class Free:
    layers = width = context = None


def choice(rate: Rate, budget: str, tokens: int, vocabulary: int = 8192) -> tuple[Cost, int]:
    found = sizes.candidates(Free, vocabulary, tokens, longest=100_000)
    costs = [cost_by(DecoderConfig(**one.network), one.batches["model"], tokens) for one in found]
    first, batches = first_guess(costs, rate, Budget.parse(budget))
    return costs[first], batches[first]


def test_a_compiled_step_of_124_million_parameters_is_foretold() -> None:
    cost = cost_of(12, 768, 1024, 32, 50_304, 10**10)
    assert cost.seconds(32, H200) == pytest.approx(0.0915, rel=0.25)
    assert cost.product_seconds(32, H200) > 3 * cost.launch_seconds(H200, compiled=True)


def test_an_eager_step_of_two_million_parameters_waits_for_python() -> None:
    cost = cost_of(4, 192, 256, 8, 2048, SHAKESPEARE)
    assert 8 * 256 / cost.launch_seconds(H200, compiled=False) == pytest.approx(117_000, rel=0.25)
    assert cost.product_seconds(8, H200) < 0.1 * cost.launch_seconds(H200, compiled=False)
    assert cost.once_compiled(0.0175, 8, H200) < 0.5 * 0.0175
    assert cost_of(12, 768, 1024, 32, 50_304, 10**10).once_compiled(0.12, 32, H200) == 0.12


@pytest.mark.parametrize("tokens", [SHAKESPEARE, POEMS, LIBRARY])
def test_a_minute_of_a_card_is_kept_busy_by_a_model_of_its_size(tokens: int) -> None:
    cost, batch = choice(H200, "60s", tokens)
    assert cost.parameters > 8e6  # 2.2 million were chosen before
    share = cost.flops * batch / cost.seconds(batch, H200) / H200.flops
    assert share > 0.2  # 0.2 % were reached before
    assert cost.flops * batch / H200.flops >= 3e-3
    assert cost.steps(Budget.parse("60s"), batch, H200) >= 600


def test_three_minutes_of_poems_use_a_third_of_the_product() -> None:
    cost, batch = choice(H200, "3m", POEMS)
    assert cost.flops * batch / cost.seconds(batch, H200) / H200.flops > 0.28
    assert cost.width >= 512


def test_longer_budgets_more_data_and_faster_cards_never_get_a_smaller_model() -> None:
    def parameters(rate: Rate, budget: str, tokens: int) -> int:
        return choice(rate, budget, tokens)[0].parameters

    by_time = [parameters(H200, budget, LIBRARY) for budget in ("10s", "60s", "10m", "1h", "8h")]
    assert by_time == sorted(by_time) and by_time[-1] > 300e6 and len(set(by_time)) > 3
    by_data = [parameters(H200, "8h", tokens) for tokens in (100_000, SHAKESPEARE, POEMS, LIBRARY)]
    assert by_data == sorted(by_data) and by_data[0] < 20 * 100_000
    by_card = [parameters(Rate(flops, 1e-5, 10**11), "10m", LIBRARY) for flops in (10e12, 70e12, 300e12, 801e12)]
    assert by_card == sorted(by_card) and by_card[0] < by_card[-1]


def test_a_small_card_gets_a_model_that_its_memory_holds() -> None:
    large = choice(SMALL_CARD._replace(memory_bytes=140 * 10**9), "1000h", LIBRARY)[0].parameters
    held = choice(SMALL_CARD, "1000h", LIBRARY)[0].parameters
    assert 20 * held < 0.6 * SMALL_CARD.memory_bytes and held < large


def test_the_batch_never_grows_beyond_what_the_data_bears() -> None:
    wide = cost_of(8, 512, 512, 16, 8192, SHAKESPEARE)
    fast = Rate(1e18, 1e-5, 10**12)
    assert wide.least < batch_for(wide, fast, Budget.parse("1h")) <= wide.most
    few = cost_of(8, 512, 512, 16, 8192, 20_000)
    assert batch_for(few, fast, Budget.parse("1h")) == few.least


def test_a_short_budget_keeps_its_steps() -> None:
    cost = cost_of(6, 256, 256, 16, 4096, LIBRARY)
    short, long = (batch_for(cost, H200, Budget.parse(text)) for text in ("5s", "10m"))
    assert short < long
    assert batch_for(cost, H200, Budget.parse("6M tokens")) < batch_for(cost, H200, Budget.parse("600M tokens"))
    # A budget in steps says how many there are: each may be large.
    assert batch_for(cost, H200, Budget.parse("400 steps")) == long


def test_what_the_data_bears_follows_the_critical_batch() -> None:
    """arXiv:2410.21676: 22.91 windows of 512 for a million tokens, to the power of 0.47."""
    assert sizes.most_batch(512, 62_500) == 23
    assert sizes.most_batch(512, 62_500 * 1000) == round(22.91 * 1000**0.47)
    assert sizes.most_batch(1024, 10) == 1


@pytest.mark.parametrize(
    ("width", "windows", "matrices", "others"),
    [(128, 8, 1, 1), (256, 32, 1, 1), (512, 16, 1, 0.5), (1024, 16, 1, 0.25), (256, 128, 2, 2), (512, 10**6, 4, 2)],
)
def test_rates_follow_width_and_batch_as_the_sweep_found(
    width: int, windows: int, matrices: float, others: float
) -> None:
    found = sizes.optimizer_for(sizes.network_for(2, width, 256, 500), windows)
    assert found.matrix_learning_rate == pytest.approx(matrices * 0.006)
    assert found.learning_rate == pytest.approx(others * 0.01)
