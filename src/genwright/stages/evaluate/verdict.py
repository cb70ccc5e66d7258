"""The verdict on a run: what its task makes of its scores and of how its training went."""

from __future__ import annotations

from genwright.run import Run, read_json, read_json_lines, write_atomic
from genwright.scores import ScoreSheet, Verdict
from genwright.stages.evaluate import effort
from genwright.stages.inputs import digest
from genwright.tasks.base import BaseTask
from genwright.tasks.verdict import Training, still_falling

_HELD_OUT_LOSS = "validation/loss"


def verdict(task: BaseTask, run: Run, sheet: ScoreSheet) -> Verdict | None:
    return task.verdict(sheet, training_of(run))


def judge_again(task: BaseTask, run: Run) -> None:
    """Where the scores stand, let the verdict follow what became of the training since: more time may have left the weights, and so the
    scores, as they were. A sheet of an older version, without a verdict, stays as it is."""
    file, record = run.stage("evaluate") / "scores.json", run.record("evaluate")
    if record is None:
        return
    sheet = ScoreSheet.read(file)
    found = verdict(task, run, sheet)
    if sheet.verdict is None or found is None or found == sheet.verdict:
        return
    sheet.verdict = found
    text = sheet.model_dump_json(indent=2) + "\n"
    write_atomic(file, text)
    summary = record.summary | {"verdict": found.grade}
    kept = {"inputs": record.inputs, "seconds": record.seconds, "device": record.device}
    run.complete("evaluate", outputs=digest(text), summary=summary, **kept)


def training_of(run: Run) -> Training:
    """What the train stage left of the part that was trained last; and what an evaluation would need to say something of it."""
    record = run.record("train")
    parts = record.summary.get("parts", {}) if record else {}
    trained = [(name, part) for name, part in parts.items() if "passes" in part]
    if not trained:
        return Training()
    name, part = trained[-1]
    records = read_json_lines(run.stage("train") / name / "metrics.jsonl")
    losses = [line[_HELD_OUT_LOSS] for line in records if isinstance(line.get(_HELD_OUT_LOSS), int | float)]
    return Training(part["passes"], bool(part.get("stopped_early")), still_falling(losses), _share(run))


def _share(run: Run) -> float | None:
    try:
        return read_json(run.stage("evaluate") / effort.FILE).get("share")
    except (OSError, ValueError):  # an evaluation of before efforts were written down
        return None
