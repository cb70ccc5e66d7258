"""A run: the folder in which everything that came of a recipe stands.

runs/<recipe's stem>/
  recipe.yaml         the resolved recipe
  lock  log.txt       who writes here now; what was said meanwhile, with the time
  collect/  prepare/  train/<part>/  evaluate/  model/  report.html  report-public.html
  <stage>/stage.json  written last: hash of the inputs, seconds, versions, device; of model/ and report.html it is in stages/
  explain/  export/   what those two commands made
"""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel

from genwright.console import logged
from genwright.errors import RequestError
from genwright.version import __version__

FORMAT = 1
"""Version of the run folder's layout; a run of another format is refused rather than misread."""

STAGES = ("collect", "prepare", "train", "evaluate", "export", "report")

_RECIPE, LOCK, LOG, _RECORDS = "recipe.yaml", "lock", "log.txt", "stages"
_FOLDERS = {"collect": "collect", "prepare": "prepare", "train": "train", "evaluate": "evaluate", "export": "model"}
_REPORT, _PUBLIC_REPORT, _EXPLAIN, _EXPORTS = "report.html", "report-public.html", "explain", "export"
ENTRIES = frozenset({_RECIPE, LOCK, LOG, _RECORDS, *_FOLDERS.values(), _REPORT, _PUBLIC_REPORT, _EXPLAIN, _EXPORTS})
"""Every name that may stand in a run folder: `genwright runs rm` removes these and no others."""
SCRATCH = ".plan-"
"""How the name of a folder begins that `genwright plan` works in."""
_HALF_WRITTEN = re.compile(rf"\.({'|'.join(map(re.escape, sorted(ENTRIES)))})\.\d+|{re.escape(SCRATCH)}\w+")
"""What a process that was killed leaves: see `write_atomic`."""


class StageRecord(BaseModel):
    """stage.json: proof that a stage is whole, and what it was made from."""

    stage: str
    inputs: str
    outputs: str
    seconds: float
    finished: str
    versions: dict[str, str]
    device: str
    format: int = FORMAT
    summary: dict[str, Any] = {}
    """What the stage wants to be remembered for: counts, the chosen size, minutes trained."""


class Run:
    """A run folder. Holds no state of its own: what is on disk is all there is."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def name(self) -> str:
        return self.folder.name

    def stage(self, name: str) -> Path:
        """The folder of a stage; `export` writes `model/`, and the report is one file beside them."""
        return self.folder / _FOLDERS.get(name, name)

    @property
    def recipe(self) -> Path:
        return self.folder / _RECIPE

    @property
    def report(self) -> Path:
        return self.folder / _REPORT

    @property
    def public_report(self) -> Path:
        return self.folder / _PUBLIC_REPORT

    @property
    def explain(self) -> Path:
        """What `genwright explain` keeps: the training texts."""
        return self.folder / _EXPLAIN

    def owned(self) -> list[Path]:
        """What in the folder was written by a run: its entries, and what a process that was killed left half written."""
        return sorted(e for e in self.folder.iterdir() if e.name in ENTRIES or _HALF_WRITTEN.fullmatch(e.name))

    def record(self, stage: str) -> StageRecord | None:
        """What a finished stage wrote, or None when it is not finished."""
        file = self._record_file(stage)
        if not file.exists():
            return None
        record = StageRecord.model_validate_json(file.read_text(encoding="utf-8"))
        if record.format != FORMAT:
            raise RequestError(
                f"{file}: written by another version (run format {record.format}, this is {FORMAT}); run with --fresh."
            )
        return record

    def up_to_date(self, stage: str, inputs: str) -> bool:
        record = self.record(stage)
        return record is not None and record.inputs == inputs

    def reopen(self, stage: str) -> Path:
        """Say that a stage is being worked on: its record goes, what it has done so far stays."""
        folder = self.stage(stage)
        if stage != "report":
            folder.mkdir(parents=True, exist_ok=True)
        self.forget(stage)
        return folder

    def forget(self, stage: str) -> None:
        """A stage's record goes; its files are the caller's to remove."""
        self._record_file(stage).unlink(missing_ok=True)

    def complete(
        self,
        stage: str,
        *,
        inputs: str,
        outputs: str,
        seconds: float,
        device: str = "cpu",
        summary: dict[str, Any] | None = None,
    ) -> StageRecord:
        record = StageRecord(
            stage=stage,
            inputs=inputs,
            outputs=outputs,
            seconds=round(seconds, 3),
            finished=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            versions=versions(),
            device=device,
            summary=summary or {},
        )
        write_atomic(self._record_file(stage), record.model_dump_json(indent=2) + "\n")
        return record

    def _record_file(self, stage: str) -> Path:
        return (
            self.folder / _RECORDS / f"{stage}.json"
            if stage in ("export", "report")
            else self.stage(stage) / "stage.json"
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Refuse a second writer, and keep what is said meanwhile in log.txt. Raises RequestError naming the folder."""
        with only_writer(self.folder, "another genwright is working on this run"), logged(self.folder / LOG):
            yield


@contextmanager
def only_writer(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder's lock. Raises RequestError, saying `otherwise`, where another process or thread holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RequestError(f"{folder}: {otherwise}; wait for it or choose another --run-dir.") from error
    try:
        yield
    finally:
        lock.release()


def open_run(folder: Path) -> Run:
    """An existing run. Raises RequestError when the folder is not one."""
    if not Run(folder).recipe.exists():
        raise RequestError(f"{folder}: not a run folder (no recipe.yaml in it); name one like runs/demo-write.")
    return Run(folder)


def is_run_or_model(folder: Path) -> bool:
    """Whether a folder looks like a run, finished or not, or like a model folder."""
    return any((folder / name).exists() for name in ("recipe.yaml", "config.json", "model/config.json"))


def model_folder(folder: Path) -> Path:
    """The model folder of a run, or the folder itself where it is one. Raises RequestError when it is neither."""
    for place in (Run(folder).stage("export"), folder):
        if (place / "config.json").exists():
            return place
    if Run(folder).recipe.exists():
        raise RequestError(f"{folder}: this run has no model yet; finish it with `genwright run` on its recipe.")
    raise RequestError(f"{folder}: neither a run nor a model folder; name one like runs/demo-write.")


def task_and_family(folder: Path) -> tuple[str, str]:
    """What the model of a run, or of a model folder, was trained to do, and by what. Raises RequestError as `model_folder` does."""
    file = model_folder(folder) / "config.json"
    try:
        about = read_json(file)["genwright"]
        return about["task"], about["family"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RequestError(f"{file}: not the config of a Genwright model; name a run or its model folder.") from error


def exports_of(model: Path) -> Path:
    """Where a model folder is written to for other programs: `runs/x/export` for a run's, `NAME-export` for one handed on."""
    model = model.resolve()
    return model.with_name(_EXPORTS if model.name == _FOLDERS["export"] else f"{model.name}-export")


def write_atomic(file: Path, text: str) -> None:
    """Write a small file whole or not at all, and on the disk before it returns."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(file)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"genwright": __version__, "python": platform.python_version()}
    for package in ("torch", "numpy", "tokenizers", "pillow", "pyarrow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def read_json(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def read_json_lines(file: Path) -> list[dict[str, Any]]:
    """The whole records of a file that has one a line; a line cut short by a kill ends it."""
    records: list[dict[str, Any]] = []
    if not file.exists():
        return records
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records
