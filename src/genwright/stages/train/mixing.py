"""How old and new data are mixed in a training that goes on: from the examples there are and the steps there will be."""

from __future__ import annotations

from genwright.recipe import Recipe
from genwright.run import Run, read_json
from genwright.stages.train import new_data
from genwright.stages.train.budgets import Account
from genwright.stages.train.jobs import Job, folder_of
from genwright.training.base import Outcome
from genwright.training.mixture import Mixture, fair_share, share_for


def mixture_for(job: Job, recipe: Recipe, account: Account, start: int, done: int, to_come: int) -> Mixture | None:
    """None where all examples are old, or all are new. `start`: examples drawn so far; `done`, `to_come`: steps."""
    if not all(job.count_old_and_new()):
        return None
    old, new = job.pass_of_old_and_new()
    fair, wanted = fair_share(old, new), recipe.train.new_data_share
    share = share_for(fair, done, to_come) if wanted == "auto" else wanted
    return Mixture(data=account.data, former=account.former, start=start, share=share, fair=fair, new=new)


def foretold(job: Job, recipe: Recipe, run: Run, steps: int) -> str:
    """What a plan says of data that came after the training finished; "" where there is none."""
    folder, prepared = run.stage("train"), run.record("prepare")
    outcome = folder_of(run, job.name) / "outcome.json"
    if prepared is None or not outcome.exists() or not (folder / "recipe.json").exists():
        return ""
    account = Account.model_validate(read_json(folder / "recipe.json"))
    known = new_data.load(folder, account.data)
    if not account.finished or account.data == prepared.outputs or known is None:
        return ""
    job.workshop.known = known
    done = Outcome.model_validate(read_json(outcome)).steps
    mixture = mixture_for(job, recipe, account, 0, done, steps)
    if mixture is None:
        return "" if job.count_old_and_new()[1] else "no training example is new, so the weights would stay as they are"
    return told(mixture, job)


def told(mixture: Mixture, job: Job) -> str:
    old, new = job.count_old_and_new()
    return f"{new:,} training examples are new and {old:,} are old: {mixture.text()}"
