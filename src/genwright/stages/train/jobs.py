"""The parts of a model and the examples each of them learns from: what train, evaluate and the forecast share."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.console import track
from genwright.engine.engine import Engine
from genwright.families.base import Family
from genwright.model import Model, ModelConfig
from genwright.recipe import Recipe
from genwright.run import Run
from genwright.shards import MANIFEST, ExampleStore, write_part
from genwright.stages.prepare.stage import load_facts, load_splits
from genwright.stages.train import new_data
from genwright.tasks.base import BaseTask, Batches, Part, Splits
from genwright.training import forecast
from genwright.training.base import Preview, Settings, Validate, derive_seed
from genwright.training.mixture import Mixed, Mixture
from genwright.training.validation import held_out_loss


@dataclass
class Workshop:
    """A task with its facts, its data and the seed: all that parts are built from."""

    task: BaseTask
    facts: Any
    splits: Splits
    seed: int
    device: torch.device
    known: np.ndarray | None = None
    """Keys of the items that were known when the training last finished (see stages/train/new_data.py), where there is newer data."""

    @classmethod
    def open(cls, recipe: Recipe, run: Run, task: BaseTask, device: torch.device) -> Workshop:
        return cls(task, load_facts(run, task), load_splits(run, task), recipe.train.seed, device)

    def build(self, part: Part, trained: Mapping[str, Family], title: str) -> Family:
        """A part with the initial weights that the seed fixes; the global random state is left as it was.

        Raises RequestError when the memory is too small for it.
        """
        with torch.random.fork_rng(devices=[]), forecast.memory_guard(self.device, title):
            torch.manual_seed(derive_seed(self.seed, part.name, "weights"))
            family = part.build(trained)
            if part.initial is not None:
                part.initial(family)
        family.modules.to(self.device)
        return family

    def jobs(self, config: ModelConfig) -> list[Job]:
        """One for each part, in order, with its share of the budget."""
        parts = self.task.parts(config, self.facts)
        whole = sum(part.share for part in parts)
        trained: dict[str, Family] = {}
        return [Job(self, config, part, trained, self.splits, part.share / whole, part is parts[-1]) for part in parts]


@dataclass
class Job:
    """A part to be trained. `trained` is shared by the jobs of a model: each adds its family when it is done."""

    workshop: Workshop
    config: ModelConfig
    part: Part
    trained: dict[str, Family]
    splits: Splits
    share: float
    last: bool
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        self.device = self.workshop.device

    @property
    def name(self) -> str:
        return self.part.name

    def build(self) -> Family:
        return self.workshop.build(self.part, self.trained, self.config.title)

    def derive(self, folder: Path) -> None:
        """Turn the task's examples into the part's own, with the parts before it; kept in `folder`, by the data's hash."""
        if self.part.derive is None:
            return
        stores, derived = {}, folder / "derived" / self.workshop.splits.hash
        for split, store in self.workshop.splits.stores.items():
            place = derived / split
            if not (place / MANIFEST).exists():
                shown = track(range(len(store)), f"derive {self.name} {split}", len(store))
                write_part(place, ((store.ids[i], self.part.derive(self.trained, store[i])) for i in shown))
            stores[split] = ExampleStore([place])
        for other in derived.parent.iterdir():
            if other != derived:
                shutil.rmtree(other, ignore_errors=True)
        self.splits = Splits(stores, self.workshop.splits.items, self.workshop.splits.hash)

    def training(self, mixture: Mixture | None = None) -> Batches:
        """What the part learns from; with a mixture, of old and new data as that says."""
        if mixture is None:
            return self.batches(self.splits["train"], training=True)
        old, new = self.old_and_new()
        return Mixed(self.batches(old, training=True), self.batches(new, training=True), mixture)

    def old_and_new(self) -> tuple[ExampleStore, ExampleStore]:
        """The training examples that were known when the training last finished, and those that came since."""
        assert self.workshop.known is not None
        return new_data.divided(self.splits["train"], self.splits.items, self.workshop.known)

    def held_out_examples(self) -> int:
        store = self.splits["validation"]
        return self.batches(store, training=False).pass_examples if len(store) else 0

    def validate(self, family: Family, settings: Settings, examples: int) -> Validate | None:
        """Measures the loss on the first `examples` held-out ones, or None when there are none."""
        if not examples:
            return None
        batches = self.batches(self.splits["validation"], training=False)
        return lambda step: held_out_loss(family, batches, examples, settings, self.device, step)

    def preview(self, family: Family) -> Preview | None:
        """Shows what the whole model makes; only its last part can."""
        return (lambda stem: self._show(family, stem)) if self.last else None

    def _show(self, family: Family, stem: Path) -> Path:
        shop = self.workshop
        model = Model(shop.task, self.config, shop.facts, {**self.trained, self.name: family}, self.device)
        return shop.task.preview(model, Engine(), shop.splits, stem)

    def batches(self, store: ExampleStore, training: bool) -> Batches:
        """The part's own stream of some of its examples."""
        shop = self.workshop
        return shop.task.batches(store, shop.facts, self.config, shop.seed, self.name, training=training)


def folder_of(run: Run, part: str) -> Path:
    return run.stage("train") / part
