"""How a size is looked for: on a processor from the smallest up, on a card from the first guess among its neighbours."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from genwright import recipe as recipes
from genwright.errors import RequestError, WorkError
from genwright.model_folder import build_task
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.registry import TASKS, families_of
from genwright.run import Run, write_atomic
from genwright.stages.collect import stage as collect
from genwright.stages.prepare import stage as prepare
from genwright.stages.train import rate, sizes, sizing
from genwright.stages.train.jobs import Workshop
from genwright.stages.train.rate import Rate
from genwright.tasks.text import sizes as text_sizes
from genwright.training.base import Settings
from genwright.training.rehearsal import Measured
from helpers import ASSETS
from helpers.contract import SMALL, TINY, recipe_of_new

CPU = torch.device("cpu")
H200 = Rate(flops=801e12, launch_seconds=1e-5, memory_bytes=140 * 10**9)


def recipe_of(budget: str, **train: Any) -> recipes.Recipe:
    sections = {"task": "write", "data": {"sources": [{"folder": str(ASSETS / "text")}]}}
    return recipes.parse(yaml.safe_dump({**sections, "train": {"budget": budget, **train}}))


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return prepared(recipe_of("1m"), Run(tmp_path_factory.mktemp("runs") / "prepared"))


def prepared(recipe: recipes.Recipe, run: Run) -> Workshop:
    run.folder.mkdir()
    task = build_task(recipe)
    write_atomic(run.folder / "recipe.yaml", recipe.to_yaml())
    collect.run(recipe, run, task=task, offline=True)
    prepare.run(recipe, run, task=task)
    return Workshop.open(recipe, run, task, CPU)


class Card:
    """A faked one: `slower` times as slow in a rehearsal as was guessed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, workshop: Workshop, slower: float = 1.0):
        self.tried: list[tuple[int, int]] = []
        self.asked: list[str] = []
        self.slower = slower
        monkeypatch.setattr(rate, "known", lambda device, kind: self._rate("known"))
        monkeypatch.setattr(rate, "measured", lambda device, kind: self._rate("measured"))
        monkeypatch.setattr(sizes, "within_memory", lambda job, settings, train, tell: settings)
        monkeypatch.setattr(sizes, "rehearse", self._rehearse)
        large = [text_sizes.network_for(n, width, 32, workshop.facts.size) for n, width in ((1, 16), (1, 32), (2, 32))]
        configs = [
            sizes.ModelConfig(family="transformer", network=one.model_dump(), batches={"model": 2}, title=str(number))
            for number, one in enumerate(large)
        ]
        monkeypatch.setattr(workshop.task, "candidates", lambda *given: configs)

    def _rate(self, how: str) -> Rate:
        self.asked.append(how)
        return H200

    def _rehearse(self, family: Any, batches: Any, settings: Settings, *others: Any, **named: Any) -> Measured:
        parameters = sum(p.numel() for p in family.modules.parameters())
        self.tried.append((parameters, settings.batch))
        return Measured(
            parameters=parameters,
            flops_per_step=1.0,
            weight_per_step=32.0 * settings.batch,
            seconds_per_step=0.003 * self.slower,
            first_step_seconds=0.1,
            memory_bytes=0,
        )


def test_a_processor_begins_with_the_smallest(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, workshop)
    monkeypatch.setattr(rate, "known", lambda device, kind: None)
    chosen = sizes.choose(workshop, recipe_of("600 steps").train)
    assert [batch for _, batch in card.tried] == [2] * len(card.tried)
    assert [count for count, _ in card.tried] == sorted(count for count, _ in card.tried)
    assert chosen.config.batches == {"model": 2}


def test_a_card_begins_with_the_guess(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card(monkeypatch, workshop)
    chosen = sizes.choose(workshop, recipe_of("10m").train)
    assert card.asked == ["known", "measured"]
    assert len(card.tried) == 1 and chosen.config.title == "2"
    ((_, batch),) = card.tried
    assert batch > 2 and chosen.config.batches == {"model": batch}


def test_a_guess_that_a_rehearsal_refutes_goes_down_to_what_is_enough(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(monkeypatch, workshop, slower=10_000)
    chosen = sizes.choose(workshop, recipe_of("10m").train)
    assert [count for count, _ in card.tried] == sorted((count for count, _ in card.tried), reverse=True)
    assert chosen.config.title == "0" and "short even for it" in chosen.reason


def test_a_size_that_the_card_has_no_room_for_is_passed_over(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = Card(monkeypatch, workshop)

    def rehearse(family: Any, *others: Any, **named: Any) -> Measured:
        if len(card.tried) == 0:
            card.tried.append((0, 0))
            raise torch.OutOfMemoryError
        return card._rehearse(family, *others, **named)

    monkeypatch.setattr(sizes, "rehearse", rehearse)
    chosen = sizes.choose(workshop, recipe_of("10m").train)
    assert chosen.config.title == "1" and "2 would be" in chosen.reason


def test_no_clock_is_asked_where_the_budget_is_no_time(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for slower in (1.0, 10_000.0):
        card = Card(monkeypatch, workshop, slower)
        found.append(sizes.choose(workshop, recipe_of("2000 steps").train))
        assert card.asked == ["known"]
    assert found[0] == found[1]


def test_a_batch_that_is_asked_for_stays(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, workshop)
    assert sizes.choose(workshop, recipe_of("10m", batch=6).train).config.batches == {"model": 6}


def test_sizes_for_cards_reach_350_million_parameters() -> None:
    free = recipe_of("1m").model
    found = text_sizes.candidates(free, 50_304, 10**10, longest=100_000)
    counts = []
    for config in found:
        network = DecoderConfig(**config.network)
        with torch.device("meta"):
            counts.append(sum(p.numel() for p in Decoder(network).parameters()))
        assert abs(counts[-1] - text_sizes.parameters(network)) < 0.002 * counts[-1]
    assert counts == sorted(counts) and 340e6 < counts[-1] < 360e6
    assert [c.network["max_position_embeddings"] for c in found if c.network["hidden_size"] >= 192] == [1024] * 10
    assert any(120e6 < count < 130e6 for count in counts)
    # On a processor the sizes end where they did, and short texts need no long context.
    assert text_sizes.candidates(free, 50_304, 10**10)[-1].network["hidden_size"] == 512
    short = text_sizes.candidates(free, 50_304, 10**10, longest=60)
    assert short[3].network["max_position_embeddings"] == 256


def test_a_rate_is_measured() -> None:
    found = rate.measured(CPU, "fp32", side=256)
    assert 1e8 < found.flops < 1e15 and 1e-8 < found.launch_seconds < 1 and found.memory_bytes > 10**8


@pytest.mark.parametrize(
    ("name", "capability", "processors", "low", "high"),
    [("H200", (9, 0), 132, 801e12, 989e12), ("A100", (8, 0), 108, 250e12, 340e12), ("3060", (8, 6), 28, 20e12, 55e12)],
)
def test_a_card_is_known_by_what_it_is(
    monkeypatch: pytest.MonkeyPatch, name: str, capability: tuple[int, int], processors: int, low: float, high: float
) -> None:
    class Properties:
        major, minor = capability
        multi_processor_count = processors

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(rate.devices, "memory_bytes", lambda device: 10**10)
    found = rate.known(torch.device("cuda"), "bf16")
    assert found is not None and low <= found.flops <= high
    plain = rate.known(torch.device("cuda"), "fp32")
    assert plain is not None and plain.flops < found.flops
    assert rate.known(CPU, "bf16") is None


ALONE = [(task, family) for task in TASKS for family in families_of(task) if (task, family) != ("draw", "transformer")]
"""Whose models are one part: of several no first guess is made."""


@pytest.mark.parametrize(("task", "family"), ALONE)
def test_what_a_step_costs_is_known_of_every_family_before_it_is_built(
    task: str, family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    free = [f"{setting.partition('=')[0]}=null" for setting in (*TINY[task].settings, *SMALL.get((task, family), ()))]
    free = ["train.budget=10m", "train.batch=null", "train.compile=auto", *(one for one in free if "size" not in one)]
    recipe = recipes.load(recipe_of_new(task, family, tmp_path, capsys), free)
    workshop, rated = prepared(recipe, Run(tmp_path / "run")), list[Any]()
    monkeypatch.setattr(rate, "known", lambda device, kind: H200)
    monkeypatch.setattr(rate, "measured", lambda device, kind: H200)

    def first_guess(costs: Any, *others: Any) -> Any:
        rated.extend(costs)
        return sizing.first_guess(costs, *others)

    def rehearse(*given: Any, **named: Any) -> Any:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(sizes, "first_guess", first_guess)
    monkeypatch.setattr(sizes, "rehearse", rehearse)
    with contextlib.suppress(WorkError, RequestError, torch.OutOfMemoryError):
        sizes.choose(workshop, recipe.train)
    assert rated and all(cost.flops > 0 and cost.parameters > 0 for cost in rated)
