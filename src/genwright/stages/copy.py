"""A copy of a run to look at: what another recipe would make of it is worked out there, and the run stays as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genwright import recipe as recipes
from genwright.errors import RequestError
from genwright.recipe import Recipe
from genwright.run import LOCK, SCRATCH, Run, write_atomic
from genwright.stages.train.budgets import refuse_other_settings


@contextmanager
def copy_of(recipe: Recipe, run: Run) -> Iterator[Run]:
    """A run beside a run, gone at the end, on the same disk and under the same name. It has what the recipe can use of the run: what
    was read and encoded of the same data, and the training where its settings are the same."""
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=run.folder) as folder:
        made, copy = recipes.load(run.recipe), Run(Path(folder) / run.folder.absolute().name)
        if (made.task, made.data.sources) == (recipe.task, recipe.data.sources):
            write_atomic(copy.recipe, run.recipe.read_text(encoding="utf-8"))
            (copy.folder / LOCK).touch()
            for stage in ("collect", "prepare"):
                if run.stage(stage).is_dir():
                    shutil.copytree(run.stage(stage), copy.stage(stage), copy_function=_linked)
            if run.stage("train").is_dir() and made.prepare == recipe.prepare and _goes_on(recipe, run):
                copy.stage("train").symlink_to(run.stage("train").absolute())
        try:
            yield copy
        except RequestError as error:  # of a folder that will be gone when it is read
            raise RequestError(str(error).replace(str(copy.folder), str(run.folder))) from error


def _linked(source: str, target: str) -> None:
    """The same file under another name where the disk can do so: no stage changes a file in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _goes_on(recipe: Recipe, run: Run) -> bool:
    try:
        refuse_other_settings(recipe, run.stage("train"))
    except RequestError:
        return False
    return True
