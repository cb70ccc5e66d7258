"""The column of variety in a text task's sheet: planted writers are found out, real texts stand beside where prompts recur."""

import numpy as np
import pytest

from genwright.scores import Metric, Row, ScoreSheet
from genwright.tasks.text import variety

WORDS = [[f"{letter}{i}" for i in range(30)] for letter in "abcdefghij"]


def sheet() -> ScoreSheet:
    rows = [Row(name=name, title=name, kind=kind, scores={}) for name, kind in (("model", "model"), ("real", "real"))]  # type: ignore[arg-type]
    return ScoreSheet(metrics=[Metric(name="m", title="m", description="")], rows=rows, protocol={}, headline="")


def healthy(prompts: list[np.ndarray], seed: int) -> list[str]:
    """The prompt's own words, in an order of the noise."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[int(prompt[0])], 12)) for prompt in prompts]


def deaf_to_noise(prompts: list[np.ndarray], seed: int) -> list[str]:
    return [" ".join(WORDS[int(prompt[0])][:12]) for prompt in prompts]


def deaf_to_prompt(prompts: list[np.ndarray], seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice([word for words in WORDS for word in words], 12)) for _ in prompts]


@pytest.mark.parametrize(
    ("writer", "low", "high"), [(deaf_to_noise, 0, 0), (healthy, 0.5, 0.95), (deaf_to_prompt, 0.95, 1.1)]
)
def test_planted_writers_are_found_out(writer, low, high):
    made = sheet()
    prompts = [np.array([number]) for number in range(10)]
    variety.extend(made, prompts, [""] * 10, {"model": writer}, 100, 0)
    score = made.row("model").scores["variety"]
    assert low <= score.value <= high
    assert score.n == 10 * 5
    assert "10 prompts, 5 samples of each" in made.protocol["variety"]
    assert made.row("real").scores == {}


def test_real_texts_stand_beside_where_prompts_recur():
    made = sheet()
    prompts = [np.array([number % 4]) for number in range(20)]
    variety.extend(made, prompts, healthy(prompts, 7), {"model": healthy}, 100, 0)
    model, real = (made.row(name).scores["variety"].value for name in ("model", "real"))
    assert real == pytest.approx(model, abs=0.1)
    assert "real: 4 of these prompts" in made.protocol["variety"]


def test_one_prompt_alone_says_nothing():
    made = sheet()
    variety.extend(made, [np.array([1])] * 5, ["a"] * 5, {"model": healthy}, 100, 0)
    assert [metric.name for metric in made.metrics] == ["m"]
