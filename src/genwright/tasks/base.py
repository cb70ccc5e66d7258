"""The Task protocol: what one example is, how it becomes tensors, which families can do it, how it is scored and answered.

`BaseTask` has the defaults; a task must define `fit`, `encode`, `candidates`, `parts`, `score` and `answer`. A task's settings
and its request live beside it, torch-free, in tasks/<name>/options.py (`Prepare`, `Model`, `Request`), with what it says of itself
(`ABOUT`, see about.py).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel

from genwright.engine.engine import Engine
from genwright.families.base import Batch, Family
from genwright.ledger import Drop, Item
from genwright.media.base import Media, is_textual
from genwright.model import Facts, Model, ModelConfig
from genwright.recipe import EvaluateSettings
from genwright.registry import about
from genwright.scores import Metric, Score, ScoreSheet, Verdict
from genwright.seeds import stream
from genwright.settings import part_sections
from genwright.shards import Example, ExampleStore
from genwright.tasks.verdict import Training, by_first_metric
from genwright.training.base import Batches, Stackable


@dataclass(frozen=True)
class Part:
    """One of the families that a model is made of, trained in order by the same loop.

    `build` gets the trained parts before it. `batch` is how many examples one optimizer step takes. `derive` turns examples of
    the task into examples of this part with the help of the trained parts before it (codes of a codec): one for each, in their
    order; the train stage keeps them. `share` is the part's share of the budget. `initial` puts weights to start from in place
    of random ones, when a part is built to be trained. Requests go to the part that is `main`, by default the last: they have
    its controls. `source` is the run or model folder whose trained part of this name is taken instead of training one (`from`
    in the part's section, see `settings.PartSection`).
    """

    name: str
    build: Callable[[Mapping[str, Family]], Family]
    batch: int
    derive: Callable[[Mapping[str, Family], Sequence[Example]], Iterable[Example]] | None = None
    share: float = 1.0
    initial: Callable[[Family], None] | None = None
    main: bool = False
    source: str | None = None
    alike: tuple[str, ...] = ()
    """Keys of `model`, outside the part's section, that its `source` must say the same of: a codec's pictures have one size."""
    decays_by_passes: bool = False
    """Whether its weights decay the more the oftener a training sees its data (see stages/train/decay.py)."""


class Shown(NamedTuple):
    """A passage of an example as the model sees it, in words."""

    text: str
    marked: bool = False
    """Whether it is what `BaseTask.marked` speaks of."""


def main_part(parts: Sequence[Part]) -> str:
    """The name of the part that requests go to."""
    return next((part.name for part in parts if part.main), parts[-1].name)


class ShuffledBatches:
    """Passes over a store, each in an order of its own drawn from (seed, part, pass), each example augmented by the task."""

    def __init__(self, task: BaseTask, store: ExampleStore, seed: int, part: str, augment: bool = True):
        if len(store) == 0:
            raise ValueError("no examples to draw from")
        self.task, self.store, self.seed, self.part, self.augment = task, store, seed, part, augment
        self.pass_examples = len(store)
        self._order: tuple[int, np.ndarray] | None = None

    def batch(self, position: int, size: int) -> Batch:
        return self.stack(self.examples(position, size))

    def examples(self, position: int, size: int) -> list[Example]:
        examples = []
        for slot in range(position, position + size):
            example = self.store[self._index(slot)]
            if self.augment:
                example = self.task.augment(example, stream(self.seed, self.part, "augment", slot))
            examples.append(example)
        return examples

    def stack(self, examples: list[Example]) -> Batch:
        return self.task.collate(examples)

    def _index(self, slot: int) -> int:
        number, place = divmod(slot, self.pass_examples)
        if self._order is None or self._order[0] != number:
            self._order = (number, stream(self.seed, self.part, "order", number).permutation(self.pass_examples))
        return int(self._order[1][place])


@dataclass
class Splits:
    """The prepared data by split ("train", "validation", "test", "judge"), with the ledger's item behind each example."""

    stores: dict[str, ExampleStore]
    items: dict[str, Item] = field(default_factory=dict)
    """By id, for showing an example as its owner knows it."""
    hash: str = ""

    def __getitem__(self, split: str) -> ExampleStore:
        return self.stores[split]

    def held_out(self) -> tuple[str, ExampleStore]:
        """The split that scores are measured on: test, or validation where the recipe's split has no test."""
        name = "test" if len(self.stores["test"]) else "validation"
        return name, self.stores[name]


@dataclass(frozen=True)
class Asked:
    """Values of some fields of a request. `quoted` is the item that they are words of; "": they are the model's own."""

    values: dict[str, Any]
    quoted: str = ""


LONGEST_SHOWN = 80
"""Characters of a text that is shown as something to ask for."""


def can_be_typed(text: str) -> bool:
    """Whether a text is short, stands on one line and can't be taken for an option, so that it can be shown in a command."""
    return 0 < len(text) <= LONGEST_SHOWN and text.isprintable() and not text.startswith(("-", "@"))


def evenly(store: ExampleStore, most: int) -> list[int]:
    """Rows spread over a store."""
    count = min(most, len(store))
    return [number * len(store) // count for number in range(count)]


TrainJudge = Callable[[Family, Batches, int], None]
"""Trains a judge (a two-sample discriminator, a dual encoder) for a number of steps by the same loop that trains models."""


class BaseTask(ABC):
    """A task at work with the settings of its recipe's `prepare` and `model` sections. Pickles, so that processes can share it."""

    name: ClassVar[str]
    Request: ClassVar[type[BaseModel]]
    split_shares: ClassVar[dict[str, float]] = {"train": 0.9, "validation": 0.05, "test": 0.05}
    condition_ids: ClassVar[int] = 0
    """How many ids that are no words a picture network is told by: exporters write them. 0: words, a label, or nothing."""
    judge_share: ClassVar[float] = 0.0
    """Of the items of a new run that `wants_judge`: they go to the split `judge`, which neither trains nor tests the model but teaches a
    judge of its scores."""
    marked: ClassVar[str] = ""
    """What of an example is marked where it is shown to people: "what is learned"; "" where nothing is."""
    parts_groups: ClassVar[bool] = False
    """Whether a group only asks for the same thing, so that its members may stand on both sides of the split where need be."""

    cut_below: ClassVar[int] = 200
    """With fewer groups the items that can be divided are: to score by whole ones, more than a tenth would have to be held out."""

    def __init__(self, prepare: BaseModel, model: BaseModel, family: str):
        self.prepare = prepare
        self.model = model
        self.family = family

    @property
    def medium(self) -> str:
        """What its items are."""
        return about(self.name).medium

    @property
    def starts_from_weights(self) -> bool:
        """Whether the model starts from weights of other people, and so needs less to learn from."""
        return False

    def amount(self, item: Item) -> int:
        """How much of what `ABOUT.least` counts an item holds. Default: characters of a text, 1 of anything else."""
        return (item.characters or 0) if is_textual(self.medium) else 1

    def check(self) -> None:  # noqa: B027 - most tasks need nothing
        """Raise RequestError when something that a later stage needs is not installed: better now than after the training."""

    def group_key(self, item: Item) -> str:
        """What must stay on one side of the split. Default: the item's content."""
        return item.sha256 or item.id

    def group_keys(self, items: Sequence[Item], known: Collection[str]) -> list[str]:
        """`group_key` of each item; a task that compares items with one another does it here. `known` are the groups that were given
        a split before: an item whose group is among them must keep it."""
        return [self.group_key(item) for item in items]

    def kind(self, item: Item) -> str:
        """What the model can be asked for by, where that must be learnt from to be known: a label; "" where any words will do."""
        return ""

    def encoding_settings(self) -> dict[str, Any]:
        """The settings that `encode` follows; when one changes, everything is prepared anew."""
        return self.prepare.model_dump(mode="json", exclude={"workers"})

    def exported_settings(self) -> dict[str, Any]:
        """The settings of the model as a folder that is handed on says them: without places on this machine."""
        return self.model.model_dump(mode="json", exclude={name: {"from_"} for name in part_sections(type(self.model))})

    def wants_judge(self, items: Sequence[Item]) -> bool:
        """Whether there are enough items for a split `judge`, of a task that has a `judge_share`."""
        return False

    def divide(self, item: Item) -> list[tuple[int, int]]:
        """Contiguous blocks (start, stop) to split an item by, where there are too few items to split by group; [] means it can't be."""
        return []

    def fingerprints(self, item: Item, spans: Sequence[tuple[int, int]]) -> list[str]:
        """A hash of what each of some blocks holds, where items are divided, so that a text that grew is known again; [] if not."""
        return []

    @abstractmethod
    def fit(self, sample: Iterable[Item]) -> Facts:
        """Measure tokenizer and statistics on (a sample of) the training items."""

    @abstractmethod
    def load_facts(self, folder: Path) -> Facts: ...

    @abstractmethod
    def encode(self, item: Item, facts: Any) -> Iterable[Example | Drop]:
        """Turn an item into examples, or into a Drop with a reason of the closed list. Pure: any process may run it."""

    def shown(self, example: Example, facts: Any) -> list[Shown]:
        """An example in words, as the model sees it. Default: its fields with their shapes."""
        return [Shown(", ".join(f"{name} {values.dtype}{list(values.shape)}" for name, values in example.items()))]

    def augment(self, example: Example, rng: np.random.Generator) -> Example:
        """A random variant of a training example; all randomness comes from `rng`, seeded by (seed, part, slot)."""
        return example

    def collate(self, examples: list[Example]) -> Batch:
        """Stack examples to tensors. Default: one stacked tensor a field."""
        return {name: torch.from_numpy(np.stack([e[name] for e in examples])) for name in examples[0]}

    def batches(
        self, store: ExampleStore, facts: Any, config: ModelConfig, seed: int, part: str, training: bool = True
    ) -> Stackable:
        """The stream a part learns from (`training`) or is validated on (no augmentation, every example once a pass)."""
        return ShuffledBatches(self, store, seed, part, augment=training)

    @abstractmethod
    def candidates(self, facts: Any, splits: Splits, device: torch.device) -> list[ModelConfig]:
        """Model sizes from small to large that make sense for this much data; settings given in the recipe are fixed in all."""

    @abstractmethod
    def parts(self, config: ModelConfig, facts: Any) -> list[Part]: ...

    def most_batch(self, config: ModelConfig, splits: Splits) -> int | None:
        """Examples of a step from which on more teach no more, by how much data there is: a card is given up to that many, in
        `config.batches`, to be kept busy. None: the part's own batch is right on every device."""
        return None

    @abstractmethod
    def preview(self, model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
        """Show what the model makes now, from fixed seeds and prompts of the validation split: writes file_stem + .png
        or .txt and returns the file."""

    @abstractmethod
    def score(
        self, model: Model, splits: Splits, settings: EvaluateSettings, train_judge: TrainJudge, folder: Path
    ) -> ScoreSheet:
        """Floor, baseline, model and real data, scored by the same protocol; exhibits are written into `folder`.

        `model` has all its modules (a GAN's discriminator too). What is random follows `settings.seed`.
        """

    def verdict(self, sheet: ScoreSheet, training: Training) -> Verdict | None:
        """The sheet in plain words: good, weak or useless, why, and what to do next. Default: by its first metric; None where that says
        nothing."""
        return by_first_metric(sheet, training, "items")

    def held_out_scores(self, model: Model, store: ExampleStore, seed: int) -> list[tuple[Metric, Score]] | None:
        """Quick scores of held-out examples, by which two states of a model are compared, the chief one first. None: the family's
        held-out loss is all there is."""
        return None

    def example(self, facts: Any, splits: Splits) -> Asked | None:
        """A request that the model's own data has to ask for, out of what is held out; None where it has none."""
        return None

    def known(self, facts: Any) -> dict[str, list[str]]:
        """What the model can be asked for by name, the most frequent first: {"labels": [...]}, {"words": [...]}; {} where anything
        may be asked."""
        return {}

    @abstractmethod
    def answer(self, model: Model, request: Any, engine: Engine) -> Iterator[Media]:
        """Answer a request; streams. The one path for command line, Python, report and server."""
