"""What the train stage wants to be remembered for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genwright.stages.train.jobs import Job
from genwright.stages.train.sizes import Chosen
from genwright.training.base import Outcome
from genwright.training.forecast import PartPlan


def summary_of(
    chosen: Chosen, jobs: list[Job], plans: dict[str, PartPlan], outcomes: dict[str, Outcome]
) -> dict[str, Any]:
    """Totals are over the parts; `best_*` are those of the last part that was trained. `plans` has none of parts that were taken."""
    trained = {name: outcomes[name] for name in plans}
    first, last = next(iter(plans.values())), list(trained.values())[-1]
    flops = sum(plans[name].measured.flops_per_step * outcome.steps for name, outcome in trained.items())
    seconds = sum(outcome.seconds for outcome in trained.values())
    examples = sum(outcome.examples for outcome in trained.values())
    return {
        "title": chosen.config.title,
        "reason": chosen.reason,
        "parameters": jobs[0].done.parameters,
        "steps": sum(outcome.steps for outcome in trained.values()),
        "planned_steps": sum(outcome.planned_steps for outcome in trained.values()),
        "seconds": round(seconds, 3),
        "examples": examples,
        "weight": sum(outcome.weight for outcome in trained.values()),
        "passes": round(examples / max(1, sum(plan.pass_examples for plan in plans.values())), 3),
        "examples_per_second": round(examples / max(seconds, 1e-9), 3),
        "flops": flops,
        "flops_per_second": flops / max(seconds, 1e-9),
        "stopped_early": any(outcome.stopped_early for outcome in trained.values()),
        "best_step": last.best_step,
        "best_loss": last.best_loss,
        "precision": first.settings.precision,
        "deterministic": first.settings.deterministic,
        "compiled": any(plan.settings.compile for plan in plans.values()),
        "config": chosen.config.model_dump(mode="json"),
        "parts": {job.name: _part(job, plans.get(job.name), outcomes[job.name]) for job in jobs},
    }


def _part(job: Job, plan: PartPlan | None, outcome: Outcome) -> dict[str, Any]:
    if plan is None:
        return {
            **outcome.model_dump(),
            "from": Path(str(job.part.source)).name,
        }  # a model folder says it too: no place here
    passes = round(outcome.examples / max(1, plan.pass_examples), 3)
    return {
        **outcome.model_dump(),
        "passes": passes,
        "settings": plan.settings.model_dump(),
        "budget": plan.budget,
        "revision": plan.revision and plan.revision.model_dump(),
        "cuts": [cut.model_dump() for cut in plan.cuts],
    }
