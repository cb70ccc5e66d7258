"""A run: the folder in which everything that came of a recipe stands.

runs/<recipe's stem>/
  recipe.yaml         the resolved recipe
  lock  log.txt       who writes here now; what was said meanwhile, with the time
  collect/  prepare/  train/<part>/  evaluate/  model/  report.html  report-public.html
  <stage>/stage.json  written last: hash of the inputs, seconds, versions, device; of model/ and report.html it is in stages/
  stages/recipe.json  where the file of the recipe lies
  explain/  export/   what those two commands made
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from pydantic import BaseModel

from genwright import files
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
_ORIGIN = "recipe.json"
RUNS = Path("runs")
"""Where runs stand unless another place is asked for."""
_BUSY = "another genwright is working on this run"
SCRATCH = ".plan-"
"""How the name of a folder begins that `genwright plan` works in."""
_HALF_WRITTEN = re.compile(rf"\.({'|'.join(map(re.escape, sorted(ENTRIES)))})\.\d+|{re.escape(SCRATCH)}\w+")
"""What a process that was killed leaves: see `files.whole`."""


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
        """What `genwright explain` keeps: the training texts, and the strips of pictures that it drew."""
        return self.folder / _EXPLAIN

    def owned(self) -> list[Path]:
        """What in the folder was written by a run: its entries, and what a process that was killed left half written."""
        return sorted(e for e in self.folder.iterdir() if e.name in ENTRIES or _HALF_WRITTEN.fullmatch(e.name))

    def is_one(self) -> bool:
        """Whether the folder was made by a run: a resolved recipe, with a stage's record or what a run leaves that was stopped before its first."""
        if not self.recipe.is_file():
            return False
        if (self.stage("collect") / "ledger.parquet").is_file() or any(self._record_file(s).is_file() for s in STAGES):
            return True
        return (self.folder / LOCK).is_file() and len(self.owned()) == len(list(self.folder.iterdir()))

    def erase(self) -> list[str]:
        """Remove what a run wrote, and the folder where nothing else is in it; returns the names of what stayed. Raises RequestError
        where another process works on it."""
        with only_writer(self.folder, _BUSY):
            for entry in self.owned():
                if entry.name != LOCK:  # it is held
                    files.remove(entry)
        (self.folder / LOCK).unlink(missing_ok=True)
        rest = sorted(entry.name for entry in self.folder.iterdir())
        if not rest:
            self.folder.rmdir()
        return rest

    def busy(self) -> bool:
        """Whether a process works on it now. Writes nothing."""
        return self.folder.is_dir() and (self.folder / LOCK).is_file() and _held(self.folder / LOCK)

    @property
    def origin(self) -> Path:
        """What says where the file of its recipe lies."""
        return self.folder / _RECORDS / _ORIGIN

    def made_from(self) -> Path | None:
        """The file of its recipe; None where that was not written down."""
        return Path(read_json(self.origin)["file"]) if self.origin.exists() else None

    def is_made_from(self, file: Path) -> bool:
        """Whether a recipe's file is the one that the run was made from: where it was, or beside a run that was moved or copied with it."""
        noted = read_json(self.origin) if self.origin.exists() else {}
        return noted.get("file") == str(file) or noted.get("from_here") == self._from_here(file)

    def _from_here(self, file: Path) -> str:
        return os.path.relpath(file, self.folder.absolute())

    def note_recipe(self, text: str, file: Path | None) -> None:
        """Write down the resolved recipe, and where its file lies (None where it came of no file, or is the run's own)."""
        write_atomic(self.recipe, text)
        if file is not None and file != self.recipe.absolute():
            write_atomic(self.origin, json.dumps({"file": str(file), "from_here": self._from_here(file)}) + "\n")

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
        with only_writer(self.folder, _BUSY), logged(self.folder / LOG):
            yield


@contextmanager
def only_writer(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder's lock. Raises RequestError, saying `otherwise`, where another process or thread holds it."""
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        with files.at(folder / LOCK):
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
    except Timeout as error:
        raise RequestError(f"{folder}: {otherwise}; wait for it or choose another --run-dir.") from error
    try:
        yield
    finally:
        lock.release()


def _held(lock: Path) -> bool:
    """Whether another process holds a lock that is there."""
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a disk without locks
            return False
    return False


def open_run(folder: Path) -> Run:
    """An existing run, by its folder or by the name that `genwright runs` lists. Raises RequestError when it is none."""
    folder = named(folder)
    if not _is_there(Run(folder).recipe):
        raise RequestError(f"{folder}: not a run folder (no recipe.yaml in it); name one like runs/demo-write.")
    return Run(folder)


def named(folder: Path, where: Path = RUNS) -> Path:
    """The folder that is meant: itself where it is a run or a model folder, else a run of that name in `where`, else itself."""
    inside = where / folder
    if len(folder.parts) != 1 or is_run_or_model(folder) or not is_run_or_model(inside):
        return folder
    return inside


def is_run_or_model(folder: Path) -> bool:
    """Whether a folder looks like a run, finished or not, or like a model folder."""
    return any(_is_there(folder / name) for name in ("recipe.yaml", "config.json", "model/config.json"))


def _is_there(file: Path) -> bool:
    try:
        return file.exists()
    except (OSError, ValueError):  # too long for a name, or no name at all: a prompt, for example
        return False


def model_folder(folder: Path) -> Path:
    """The model folder of a run, by its folder or its name, or the folder itself where it is one. Raises RequestError when it is
    neither."""
    folder = named(folder)
    for place in (Run(folder).stage("export"), folder):
        if _is_there(place / "config.json"):
            return place
    if _is_there(Run(folder).recipe):
        raise RequestError(f"{folder}: this run has no model yet; finish it with `genwright run` on its recipe.")
    raise RequestError(f"{folder}: neither a run nor a model folder; name one like runs/demo-write.")


def is_unfinished(folder: Path) -> bool:
    """Whether a folder is a run whose training has begun and that has no model folder."""
    run = Run(named(folder))
    return (
        _is_there(run.recipe) and _is_there(run.stage("train")) and not _is_there(run.stage("export") / "config.json")
    )


def task_and_family(folder: Path) -> tuple[str, str]:
    """What the model of a run, or of a model folder, was trained to do, and by what. Raises RequestError as `model_folder` does."""
    unfinished = is_unfinished(folder)
    file = Run(folder).recipe if unfinished else model_folder(folder) / "config.json"
    try:
        if unfinished:
            recipe = yaml.safe_load(file.read_text(encoding="utf-8"))
            return recipe["task"], recipe["model"]["family"]
        about = read_json(file)["genwright"]
        return about["task"], about["family"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise RequestError(f"{file}: not the config of a Genwright model; name a run or its model folder.") from error


def exports_of(model: Path) -> Path:
    """Where a model folder is written to for other programs: `runs/x/export` for a run's, `NAME-export` for one handed on."""
    model = model.resolve()
    return model.with_name(_EXPORTS if model.name == _FOLDERS["export"] else f"{model.name}-export")


def explained_of(model: Path) -> Path:
    """Where what `genwright explain` draws of a model folder goes: `runs/x/explain` for a run's, `NAME-explain` for one handed on."""
    model = model.resolve()
    return model.with_name(_EXPLAIN if model.name == _FOLDERS["export"] else f"{model.name}-explain")


def write_atomic(file: Path, text: str) -> None:
    """Write a small file whole or not at all, and on the disk before it returns."""
    with files.whole(file) as temporary, temporary.open("w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())


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
