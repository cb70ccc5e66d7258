"""Compare: runs of one task side by side, at equal data and budget: quality, diversity, stability, cost.

Runs that differ in `train.seed` alone are one group with a spread; a single run shows its score's interval and no spread.
"""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field

from genwright.compare.facts import RunFacts, read_facts
from genwright.console import duration
from genwright.errors import RequestError
from genwright.pages.charts import number
from genwright.run import write_atomic
from genwright.scores import Metric, figure, shown

Aspect = Literal["quality", "diversity", "copying"]
ASPECTS: tuple[tuple[Aspect, str], ...] = (
    ("quality", "Quality"),
    ("diversity", "Diversity"),
    ("copying", "Copying"),
)
_OF_THE_RUN = {"recipe"}
"""Keys of a protocol that name the run instead of saying how it was measured."""
_DIVERSE = ("recall", "coverage", "distinct", "diversity", "variety")


class Measured(BaseModel):
    """A metric of a group: of a single run its value and the interval of its score; of several the mean and the spread."""

    value: float
    low: float | None = None
    high: float | None = None
    spread: float | None = Field(default=None, description="standard deviation over seeds; None where there is one run")
    runs: list[float] = Field(description="the value of each run, in the order of the group's runs")


class Cost(BaseModel):
    """What a group's training took, in the mean over its runs; None where a run did not record it."""

    seconds: float | None = None
    flops: float | None = None
    parameters: float | None = None
    steps: float | None = None


class Group(BaseModel):
    """Runs that differ in their seed alone."""

    name: str
    family: str
    runs: list[str]
    seeds: list[int]
    budget: str
    device: str
    scores: dict[str, Measured]
    cost: Cost


class Comparison(BaseModel):
    """What compare prints, writes as JSON and draws."""

    task: str
    metrics: list[Metric]
    aspects: dict[str, Aspect]
    groups: list[Group]
    references: dict[str, dict[str, float]] = Field(description="floor, baseline, copy and real rows by title")
    kinds: dict[str, str] = Field(description="the kind of each reference row by title: floor, baseline, copy or real")
    unequal: list[str] = Field(description="what was not equal between the runs, a sentence each")
    page: str = ""
    picture: str = ""

    def winners(self, metric: Metric) -> set[str]:
        """The groups that are better than all others by more than their intervals; none where intervals overlap."""
        there = [(g.name, g.scores[metric.name]) for g in self.groups if metric.name in g.scores]
        if metric.better == "none" or len(there) < 2:
            return set()
        sign = 1 if metric.better == "lower" else -1
        ordered = sorted(there, key=lambda pair: sign * pair[1].value)
        best, second = ordered[0], ordered[1]
        edge = [_edges(measured) for _, measured in (best, second)]
        if None in edge or (best[1].spread is None) != (second[1].spread is None):
            return (
                set()
            )  # an interval of one run's score says nothing of other seeds, so it is not held against a spread
        (low, high), (other_low, other_high) = edge  # type: ignore[misc]
        apart = high < other_low if sign == 1 else low > other_high
        return {best[0]} if apart else set()


def facts_of(folders: Sequence[Path]) -> list[RunFacts]:
    """What is known of some runs. Raises RequestError for fewer than two, a run without scores, or runs of different tasks."""
    if len(folders) < 2:
        raise RequestError("genwright compare: name two runs or more.")
    facts = [read_facts(folder) for folder in dict.fromkeys(folder.resolve() for folder in folders)]
    if len(facts) < 2:
        raise RequestError(f"genwright compare: {folders[0]} is named more than once; name two different runs.")
    tasks = sorted({f.recipe.task for f in facts})
    if len(tasks) > 1:
        named = ", ".join(f"{f.run.folder.name} is {f.recipe.task}" for f in facts)
        raise RequestError(f"genwright compare: the runs are of different tasks ({named}); compare runs of one task.")
    return facts


def build(facts: Sequence[RunFacts]) -> Comparison:
    """The numbers side by side. Only metrics that every run was scored by are compared."""
    shared = [m for m in facts[0].sheet.metrics if all(_model_score(f, m.name) is not None for f in facts)]
    grouped: dict[str, list[RunFacts]] = {}
    for fact in facts:
        grouped.setdefault(_group_key(fact), []).append(fact)
    groups = [_group(members, shared, len(grouped)) for members in grouped.values()]
    _tell_apart(groups)
    references = [row for row in facts[0].sheet.rows if row.kind != "model"]
    return Comparison(
        task=facts[0].recipe.task,
        metrics=shared,
        aspects={m.name: aspect(m) for m in shared},
        groups=groups,
        references={row.title: {m.name: row.scores[m.name].value for m in shared if m.name in row.scores} for row in references},
        kinds={row.title: row.kind for row in references},
        unequal=unequal(facts, shared),
    )  # fmt: skip


def aspect(metric: Metric) -> Aspect:
    """Which side of the comparison a metric stands on, by its name."""
    name = metric.name.lower()
    if "cop" in name or "memor" in name:
        return "copying"
    return "diversity" if any(word in name for word in _DIVERSE) else "quality"


def unequal(facts: Sequence[RunFacts], shared: Sequence[Metric]) -> list[str]:
    """What makes the runs hard to compare, a plain sentence each."""
    said = []
    if len({f.data for f in facts}) > 1:
        said.append("The runs were not trained on the same data: their ledgers differ.")
    budgets = list(dict.fromkeys(str(f.recipe.train.budget) for f in facts))
    if len(budgets) > 1:
        said.append(f"The budgets differ: {', '.join(budgets)}.")
    devices = list(dict.fromkeys(f.device for f in facts))
    if len(devices) > 1:
        said.append(
            f"The runs were trained on different devices ({'; '.join(devices)}), so their seconds don't compare."
        )
    keys = sorted({key for f in facts for key in f.sheet.protocol} - _OF_THE_RUN)
    other = [
        key
        for key in keys
        if len({json.dumps(f.sheet.protocol.get(key), sort_keys=True, default=str) for f in facts}) > 1
    ]
    if other:
        said.append(
            f"The scores were measured by different protocols ({', '.join(k.replace('_', ' ') for k in other)} differ)."
        )
    left = sorted({m.title for f in facts for m in f.sheet.metrics} - {m.title for m in shared})
    if left:
        said.append(f"Left out, because not every run has it: {', '.join(left)}.")
    return said


def cell(measured: Measured) -> str:
    """ "0.031 ± 0.002" over seeds, "0.031 (0.028 to 0.034)" of a single run."""
    if measured.spread is not None:
        return f"{figure(measured.value)} ± {figure(measured.spread)}"
    return shown(measured.value, measured.low, measured.high, brief=False)  # ± is the spread here


def cost_rows(comparison: Comparison) -> list[tuple[str, list[str]]]:
    """What each group cost, in words: a row a kind of cost that some group recorded."""
    kinds = (
        ("training time", "seconds", duration),
        ("training FLOPs", "flops", number),
        ("parameters", "parameters", number),
        ("steps", "steps", number),
    )
    rows = []
    for title, name, words in kinds:
        values = [getattr(g.cost, name) for g in comparison.groups]
        if any(v is not None for v in values):
            rows.append((title, ["not recorded" if v is None else words(v) for v in values]))
    return rows


def _group_key(fact: RunFacts) -> str:
    content = fact.recipe.model_dump(mode="json")
    content["train"]["seed"] = None
    return hashlib.sha256(json.dumps([content, fact.data], sort_keys=True).encode()).hexdigest()


def _group(members: Sequence[RunFacts], metrics: Sequence[Metric], groups: int) -> Group:
    names = [f.run.name for f in members]
    first = members[0]
    return Group(
        name=names[0] if len(members) == 1 or groups == 1 else _common(names) or first.recipe.family,
        family=first.recipe.family,
        runs=names,
        seeds=[f.seed for f in members],
        budget=str(first.recipe.train.budget),
        device=first.device,
        scores={m.name: _measure(members, m.name) for m in metrics},
        cost=Cost(
            seconds=_mean([f.training.seconds for f in members]),
            flops=_mean([f.training.flops for f in members]),
            parameters=_mean([f.training.parameters for f in members]),
            steps=_mean([f.training.steps for f in members]),
        ),
    )


def _measure(members: Sequence[RunFacts], metric: str) -> Measured:
    scores = [score for f in members if (score := _model_score(f, metric)) is not None]
    values = [score.value for score in scores]
    if len({f.seed for f in members}) < 2:
        low, high = scores[0].low, scores[0].high
        known = (
            low is not None and high is not None and not math.isclose(low, high, rel_tol=1e-6)
        )  # an interval of no width stands for one that could not be measured
        return Measured(value=values[0], low=low if known else None, high=high if known else None, runs=values)
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    return Measured(value=mean, low=mean - 2 * spread, high=mean + 2 * spread, spread=spread, runs=values)


def _model_score(fact: RunFacts, metric: str):
    row = next((row for row in fact.sheet.rows if row.kind == "model"), None)
    return row.scores.get(metric) if row else None


def _edges(measured: Measured) -> tuple[float, float] | None:
    return None if measured.low is None or measured.high is None else (measured.low, measured.high)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.fmean(known) if len(known) == len(values) else None


def _common(names: Sequence[str]) -> str:
    """What the names of several runs begin with: "draw-gan" of draw-gan-0, draw-gan-1."""
    shortest = min(names, key=len)
    end = next((i for i, c in enumerate(shortest) if any(n[i] != c for n in names)), len(shortest))
    return shortest[:end].rstrip("-_. s").removesuffix("-seed") if end > 2 else ""


def _tell_apart(groups: Sequence[Group]) -> None:
    seen: dict[str, int] = {}
    for group in groups:
        seen[group.name] = seen.get(group.name, 0) + 1
        if seen[group.name] > 1:
            group.name = f"{group.name} ({seen[group.name]})"


def save_json(comparison: Comparison, file: Path) -> None:
    write_atomic(file, comparison.model_dump_json(indent=2) + "\n")
