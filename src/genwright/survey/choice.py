"""Which task a folder is best for: the verdict of each, and the most specific one that most of the folder fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from genwright.about import Survey, Verdict
from genwright.console import count
from genwright.errors import RequestError
from genwright.files import printable
from genwright.ledger import REASONS
from genwright.registry import TASKS, about


class Choice(NamedTuple):
    task: str
    near: str | None = None
    """Another task that could be meant as well."""


def verdicts(survey: Survey) -> dict[str, Verdict]:
    """What each task there is could make of the folder."""
    return {task: _judged(survey, task) for task in TASKS}


def _judged(survey: Survey, task: str) -> Verdict:
    judge = about(task).verdict
    if judge is None:
        return _counted(survey, task)
    try:
        return judge(survey)
    except Exception as error:  # a task from another package must not keep the others from being looked at
        return Verdict(0, False, f"could not judge this folder ({type(error).__name__}: {error})")


def _counted(survey: Survey, task: str) -> Verdict:
    """The verdict on a task that does not say how much it needs: there is never known to be enough."""
    medium = about(task).medium
    rows = sum(found.whole[task] for found in survey.whole(task))
    if not rows and medium == "text":
        rows = sum(table.rows for table in survey.written())
    count = survey.media.get(medium, 0) + rows
    if not count:
        return Verdict(0, False, f"nothing of its kind ({medium})")
    return Verdict(count, False, f"{count:,} of its kind ({medium}); how many it needs is not known here")


def choose(survey: Survey, judged: Mapping[str, Verdict], task: str | None) -> Choice:
    """The task asked for, or the best one. Raises RequestError when nothing is usable, or nothing for the task asked for."""
    if task is not None:
        if not judged[task].items:
            raise RequestError(
                f"{survey.folder}: nothing for `{task}`, which works with {about(task).medium}; {_in_it(survey)}."
            )
        return Choice(task)
    usable = {name: verdict for name, verdict in judged.items() if verdict.items}
    if not usable:
        raise RequestError(f"{survey.folder}: nothing usable in it; {_in_it(survey)}.")
    known = {name: one for name, one in usable.items() if about(name).verdict and not about(name).when_asked}
    if not known:
        raise RequestError(
            f"{survey.folder}: what could be made of it is for you to say, by --task and one of {', '.join(usable)}."
        )
    items = _items_by_medium(known)
    best = max(known, key=lambda name: _rank(name, known, items))
    near = [name for name in known if name != best and _is_near(name, best, known, items)]
    return Choice(best, max(near, key=lambda name: known[name].items, default=None))


def _items_by_medium(judged: Mapping[str, Verdict]) -> dict[str, int]:
    """How much of each medium there is, by what its tasks could use."""
    items: dict[str, int] = {}
    for name, verdict in judged.items():
        medium = about(name).medium
        items[medium] = max(items.get(medium, 0), verdict.items)
    return items


def _rank(name: str, judged: Mapping[str, Verdict], items: Mapping[str, int]) -> tuple[bool, int, bool, bool, int]:
    """The medium that most is, unless there is too little of it and enough of another, which is no mere trifle here; then a task made
    for it before a general one."""
    medium, verdict = about(name).medium, judged[name]
    enough = any(one.enough for other, one in judged.items() if about(other).medium == medium)
    worth = enough and 4 * items[medium] >= sum(items.values())
    return worth, items[medium], verdict.made_for, verdict.enough, verdict.items


def _is_near(name: str, best: str, judged: Mapping[str, Verdict], items: Mapping[str, int]) -> bool:
    if not (judged[name].enough and judged[best].enough):
        return False
    media = about(name).medium, about(best).medium
    if media[0] != media[1]:
        return 2 * items[media[0]] >= items[media[1]]
    shares = [share for one in (name, best) if (share := judged[one].share) is not None]
    return any(1 / 3 < share < 2 / 3 for share in shares)


def _in_it(survey: Survey) -> str:
    found = [f"{count:,} {medium}" for medium, count in survey.media.items()]
    dropped = [
        f"{count:,} {reason} ({REASONS[reason]}), such as {survey.examples[reason]}"
        for reason, count in survey.dropped.items()
    ]
    if survey.figures:
        found.append(f"{count(len(survey.figures), 'table')} of figures, such as {printable(survey.figures[0])}")
    if survey.refused:
        one, least = survey.refused[0], about(survey.refused[0].task).least
        many = sum(other.items for other in survey.refused if other.task == one.task)
        found.append(
            f"{count(many, (least.unit if least else 'items').removesuffix('s'))} that `{one.task}` can't learn, such as in "
            f"{printable(one.path)} ({one.why}; take that out, and leave what is said)"
        )
    return f"it holds {'; '.join((found + dropped)[:4])}" if survey.offered else "it is empty"
