"""The parts of a model and the examples each of them learns from: what train, evaluate and the forecast share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright.console import progress
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Family
from genwright.model import Model, ModelConfig
from genwright.recipe import Recipe
from genwright.run import Run
from genwright.seeds import derive_seed
from genwright.shards import MANIFEST, Example, ExampleStore, Selection, write_part
from genwright.stages.inputs import digest
from genwright.stages.prepare.stage import load_facts, load_splits
from genwright.stages.train import new_data
from genwright.tasks.base import BaseTask, Part, Splits, main_part
from genwright.training import checkpoint, forecast
from genwright.training.base import Batches, Preview, Settings, Stackable, Validate
from genwright.training.mixture import Mixed, Mixture
from genwright.training.validation import held_out_loss

SAMPLE = 256
"""Examples of a split that are derived to time a training that is not begun."""
_AT_ONCE = 64
"""Examples that are derived together."""


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
        """One for each part, in order, with its share of the budget. Raises RequestError when no part is left to train."""
        parts = self.task.parts(config, self.facts)
        whole = sum(part.share for part in parts if part.source is None)
        if not whole:
            raise RequestError(
                "model: every part is taken from elsewhere (`from`), so none is left to train; train one."
            )
        done = Done()
        jobs = [
            Job(self, config, part, done, self.splits, 0.0 if part.source else part.share / whole, main_part(parts))
            for part in parts
        ]
        for number, job in enumerate(jobs):
            job.later = jobs[number + 1 :]
        return jobs


@dataclass
class Done:
    """What the jobs of a model share: each adds its family, and the hashes of its weights' files, when it is done."""

    families: dict[str, Family] = field(default_factory=dict)
    weights: dict[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        return sum(p.numel() for family in self.families.values() for p in family.modules.parameters())


@dataclass
class Job:
    """A part to be trained, or, where it has a `source`, to be taken from there."""

    workshop: Workshop
    config: ModelConfig
    part: Part
    done: Done
    splits: Splits
    share: float
    main: str
    later: list[Job] = field(default_factory=list, repr=False)
    taken: Path | None = None
    """Where the weights stand that were taken from the part's `source`."""
    whole: dict[str, float] = field(default_factory=dict)
    """By split, how many times as many examples there are as stand in `splits`, where those are a sample."""
    device: torch.device = field(init=False)

    def __post_init__(self) -> None:
        self.device = self.workshop.device

    @property
    def name(self) -> str:
        return self.part.name

    def build(self) -> Family:
        return self.workshop.build(self.part, self.done.families, self.config.title)

    def load(self, best: Path, families: Mapping[str, Family]) -> Family:
        """The part with the weights of a checkpoint, beside other families. Raises RequestError when they can't be read."""
        family = self.workshop.build(self.part, families, self.config.title)
        try:
            weights, state = checkpoint.read(best)
            checkpoint.load_weights(family.modules, weights, strict=False)
        except (ValueError, KeyError) as error:
            raise RequestError(
                f"{best}: the best weights can't be read ({error}); train again with --fresh."
            ) from error
        family.load_extra_state(state["extra"])
        family.modules.eval().requires_grad_(False)
        return family

    def finish(self, family: Family, weights: Any) -> None:
        """Hand the part to those after it. `weights`: what tells its weights from others."""
        family.modules.eval().requires_grad_(False)
        self.done.families[self.name], self.done.weights[self.name] = family, weights

    def derive(self, folder: Path) -> None:
        """Turn the task's examples into the part's own, with the parts before it.

        They stand in `folder`/derived/<hash of those parts' weights>/<prepared part>, so that other weights or other data have
        others, and only those that are missing are made.
        """
        if self.part.derive is None:
            return
        place = folder / "derived" / digest(self.done.weights)
        stores = self.workshop.splits.stores
        prepared = [source for store in stores.values() for source in store.folders]
        missing = [ExampleStore([source]) for source in prepared if not (place / source.name / MANIFEST).exists()]
        with progress(f"derive {self.name}", sum(map(len, missing))) as line:
            made = 0
            for store in missing:
                write_part(
                    place / store.folders[0].name, self._derived(store, lambda n, made=made: line.update(made + n))
                )
                made += len(store)
        kept = {place, *(place / source.name for source in prepared)}
        for other in (*place.parent.glob("*"), *place.glob("*")):
            if other not in kept:
                shutil.rmtree(other, ignore_errors=True)
        derived = {split: ExampleStore([place / f.name for f in store.folders]) for split, store in stores.items()}
        self.splits = Splits(derived, self.workshop.splits.items, self.workshop.splits.hash)

    def derive_sample(self, folder: Path) -> None:
        """The same of a few examples, enough to time a training and to foretell it."""
        if self.part.derive is None:
            return
        stores: dict[str, ExampleStore] = {}
        for split in ("train", "validation"):
            store = self.workshop.splits[split]
            few = Selection(store, np.linspace(0, len(store) - 1, min(SAMPLE, len(store))).round())
            write_part(folder / split, self._derived(few, lambda n: None))
            stores[split] = ExampleStore([folder / split])
            self.whole[split] = len(store) / max(len(few), 1)
        self.splits = Splits(stores, self.workshop.splits.items, self.workshop.splits.hash)

    def _derived(self, store: ExampleStore, tell: Callable[[int], None]) -> Iterator[tuple[str, Example]]:
        assert self.part.derive is not None
        for start in range(0, len(store), _AT_ONCE):
            rows = range(start, min(start + _AT_ONCE, len(store)))
            with torch.no_grad():
                made = list(self.part.derive(self.done.families, [store[row] for row in rows]))
            yield from zip((store.ids[row] for row in rows), made, strict=True)
            tell(rows.stop)

    def training(self, mixture: Mixture | None = None) -> Batches:
        """What the part learns from; with a mixture, of old and new data as that says."""
        if mixture is None:
            return self.batches(self.splits["train"], training=True)
        old, new = self.old_and_new()
        return Mixed(self.batches(old, training=True), self.batches(new, training=True), mixture)

    def pass_examples(self) -> int:
        """How many examples one pass over all of the training data has."""
        return round(self.training().pass_examples * self.whole.get("train", 1.0))

    def old_and_new(self) -> tuple[ExampleStore, ExampleStore]:
        """The training examples that were known when the training last finished, and those that came since."""
        return self._divided(self.splits)

    def count_old_and_new(self) -> tuple[int, int]:
        """How many of both there are in all."""
        old, new = self._divided(self.workshop.splits)
        return len(old), len(new)

    def _divided(self, splits: Splits) -> tuple[ExampleStore, ExampleStore]:
        assert self.workshop.known is not None
        return new_data.divided(splits["train"], splits.items, self.workshop.known)

    def pass_of_old_and_new(self) -> tuple[int, int]:
        """How many examples one pass over either has."""
        if self.whole:  # the sample may hold none of the new
            return self.count_old_and_new()
        old, new = (self.batches(store, training=True).pass_examples for store in self.old_and_new())
        return old, new

    def held_out_examples(self) -> int:
        store = self.splits["validation"]
        found = self.batches(store, training=False).pass_examples if len(store) else 0
        return round(found * self.whole.get("validation", 1.0))

    def validate(self, family: Family, settings: Settings, examples: int) -> Validate | None:
        """Measures the loss on the first `examples` held-out ones, or None when there are none."""
        if not examples:
            return None
        batches = self.batches(self.splits["validation"], training=False)
        return lambda step, steps: held_out_loss(family, batches, examples, settings, self.device, step, steps)

    def preview(self, family: Family) -> Preview | None:
        """Shows what the whole model makes: not before its last part is there, or in training."""
        if any(job.part.source is None for job in self.later):
            return None
        return lambda stem: self._show(family, stem)

    def _show(self, family: Family, stem: Path) -> Path:
        shop, parts = self.workshop, {**self.done.families, self.name: family}
        for job in self.later:
            assert job.taken is not None
            parts[job.name] = job.load(job.taken, parts)
        model = Model(shop.task, self.config, shop.facts, parts, self.device, main=self.main)
        return shop.task.preview(model, Engine(), shop.splits, stem)

    def batches(self, store: ExampleStore, training: bool) -> Stackable:
        """The part's own stream of some of its examples."""
        shop = self.workshop
        return shop.task.batches(store, shop.facts, self.config, shop.seed, self.name, training=training)


def folder_of(run: Run, part: str) -> Path:
    return run.stage("train") / part
