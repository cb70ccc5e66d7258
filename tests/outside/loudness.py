"""A task from outside the package that works on a file: a recording is made as loud as those that were learnt from.

An example is {"level": float32[1]}, the natural logarithm of a recording's root mean square. Its family `mean` learns one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import loudness_options
import numpy as np
import torch
from torch import Tensor, nn
from wav import WAV, Recording, decode

from genwright.engine.engine import Engine
from genwright.families.base import (
    Batch,
    Loss,
    Moment,
    OptimizerSpec,
    Phase,
    State,
    load_module_tensors,
    module_tensors,
)
from genwright.ledger import Drop, Item
from genwright.media.base import Media
from genwright.model import Model, ModelConfig
from genwright.request import controls_of
from genwright.scores import Exhibit, Metric, Row, Score, ScoreSheet
from genwright.shards import Example
from genwright.tasks.base import BaseTask, Part, Splits


class Level(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.log = nn.Parameter(torch.zeros(1))


class Saying:
    """A session that says the level that was learnt."""

    def __init__(self, capacity: int, level: Tensor):
        self.capacity, self.level = capacity, level

    def start(self, condition: Any, rng: torch.Generator, controls: Any, constraint: Any = None) -> State:
        return State()

    def step(self, states: list[State]) -> None:
        for state in states:
            state.emitted.append(self.level.exp().item())
            state.done = True

    def release(self, state: State) -> None: ...


class Mean:
    name = "mean"
    Controls = loudness_options.Controls
    Opening = loudness_options.Opening
    exported = ("level",)

    def __init__(self, level: Level):
        self.modules = nn.ModuleDict({"level": level})
        self.level = level
        self.phases = (Phase("model", ("level",), OptimizerSpec(learning_rate=0.5)),)

    def loss(self, phase: str, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return Loss((self.level.log - batch["level"]).square().mean(), len(batch["level"]))

    def validate(self, batch: Batch, rng: torch.Generator, at: Moment) -> Loss:
        return self.loss("model", batch, rng, at)

    def extra_state(self) -> dict[str, Any]:
        return {}

    def load_extra_state(self, state: dict[str, Any]) -> None: ...

    def flops(self, batch: Batch) -> float:
        return 3.0 * len(batch["level"])

    def export_tensors(self) -> dict[str, Tensor]:
        return module_tensors(self.modules, self.exported)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        load_module_tensors(self.modules, self.exported, tensors)

    def open(self, capacity: int, opening: Any) -> Saying:
        return Saying(capacity, self.level.log.detach())


class NoFacts:
    def save(self, folder: Path) -> None: ...


class Loudness(BaseTask):
    name = "loudness"
    Request = loudness_options.Request

    def fit(self, sample: Iterable[Item]) -> NoFacts:
        return NoFacts()

    def load_facts(self, folder: Path) -> NoFacts:
        return NoFacts()

    def encode(self, item: Item, facts: Any) -> Iterator[Example | Drop]:
        found = decode(item.read_bytes())
        yield found if isinstance(found, Drop) else {"level": np.log([root_mean_square(found)]).astype(np.float32)}

    def candidates(self, facts: Any, splits: Splits, device: torch.device) -> list[ModelConfig]:
        return [ModelConfig(family="mean", network={}, title="one number")]

    def parts(self, config: ModelConfig, facts: Any) -> list[Part]:
        return [Part("model", lambda trained: Mean(Level()), batch=4)]

    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """A tone at the level that was learnt."""
        file = file_stem.with_name(file_stem.name + ".wav")
        loud = next(engine.submit(model.session(), lambda session: session.start(None, torch.Generator(), None)))
        file.write_bytes(WAV.encode(at_level(tone(440, 0.3), loud), {}))
        return file

    def score(self, model: Model, splits: Splits, settings: Any, train_judge: Any, folder: Path) -> ScoreSheet:
        name, store = splits.held_out()
        learnt = model.family.level.log.item()  # type: ignore[attr-defined]
        error = float(np.mean([abs(store[i]["level"][0] - learnt) for i in range(len(store))]))
        self.preview(model, Engine(), splits, folder / "sample")
        return ScoreSheet(
            metrics=[Metric(name="error", title="Error of the level", better="lower")],
            rows=[
                Row(name="model", title="this model", kind="model", scores={"error": Score(value=error)}),
                Row(name="real", title="held-out", kind="real", scores={"error": Score(value=0.0)}),
            ],
            headline=f"The level that was learnt is {error:.2f} away from that of held-out recordings, as a logarithm.",
            protocol={"reference": f"{name} split"},
            exhibits=[Exhibit(name="samples", title="A tone", file="sample.wav")],
        )

    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        controls = controls_of(request, loudness_options.Controls)
        given = decode(request.recording.data)
        assert isinstance(given, Recording), given
        for loud in engine.submit(model.session(), lambda session: session.start(None, torch.Generator(), controls)):
            made = at_level(given, loud * controls.gain)
            yield Media("wav", made, metadata={"of": request.recording.name})


def tone(hertz: float, seconds: float, rate: int = 8000, level: float = 1000.0) -> Recording:
    wave = np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Recording(rate, (wave * level * 2**0.5).astype("<i2").tobytes())


def root_mean_square(recording: Recording) -> float:
    samples = np.frombuffer(recording.samples, "<i2").astype(np.float64)
    return float(np.sqrt(np.mean(samples**2)))


def at_level(recording: Recording, level: float) -> Recording:
    samples = np.frombuffer(recording.samples, "<i2") * (level / root_mean_square(recording))
    return Recording(recording.rate, samples.round().clip(-32768, 32767).astype("<i2").tobytes())
