"""What a command begins with: its recipe and its run folder. Torch-free, so that a mistake in a recipe is told at once."""

from __future__ import annotations

from pathlib import Path

import yaml

from genwright import recipe as recipes
from genwright.console import say
from genwright.recipe import Recipe
from genwright.registry import families_of
from genwright.run import RUNS, Run, named, open_run


def recipe_and_run(target: Path, overrides: list[str] | None, run_dir: Path | None) -> tuple[Recipe, Run]:
    """A recipe file with its run, or a run folder with the recipe that made it.

    A run keeps its family: where the recipe names none, it is that of the run, whatever the task's default is by now.
    """
    target = named(target)
    if target.is_dir():
        return recipes.load(open_run(target).recipe, overrides), Run(run_dir or target)
    run = run_folder(target, run_dir)
    recipe = recipes.load(target, overrides, kept=_family_of(run))
    default = families_of(recipe.task)[0]
    if recipe.family != default and "family" not in recipe.model.model_fields_set:
        say(
            f"{run.folder}: made by {recipe.family}, and goes on with it; for {default}, the default today, name another --run-dir."
        )
    return recipe, run


def run_folder(recipe_file: Path, run_dir: Path | None) -> Run:
    """runs/<the recipe file's stem>/ where the user stands, or the folder asked for."""
    return Run(run_dir if run_dir is not None else RUNS / recipe_file.stem)


def _family_of(run: Run) -> dict[str, str]:
    """The family that a run was made with, by its task; nothing where there is no run yet."""
    try:
        made = yaml.safe_load(run.recipe.read_text(encoding="utf-8"))
        return {made["task"]: made["model"]["family"]}
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
