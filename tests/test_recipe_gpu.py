"""Every recipe's GPU variant, a block of `--set` in its comments, is a valid override of that recipe."""

import re
import shlex
from pathlib import Path

import pytest

from genwright import recipe

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))
WITH_VARIANT = [file for file in RECIPES if "# On a GPU" in file.read_text(encoding="utf-8")]


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.name)
def test_a_recipe_is_valid(file: Path):
    assert recipe.load(file).task


@pytest.mark.parametrize("file", WITH_VARIANT, ids=lambda file: file.name)
def test_the_variant_for_a_gpu_is_valid(file: Path):
    block = file.read_text(encoding="utf-8").partition("# On a GPU")[2]
    command = re.sub(r"\\\n#", " ", block.partition("#   genwright run ")[2]).split("\n")[0]
    words = shlex.split(command)
    assert words[0] == f"recipes/{file.name}"
    overrides = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    assert overrides
    changed, plain = recipe.load(file, overrides), recipe.load(file)
    assert changed.hash("model") != plain.hash("model") or changed.hash("train") != plain.hash("train")


def test_the_writing_recipes_have_one():
    assert {"write.yaml", "write-poems.yaml"} <= {file.name for file in WITH_VARIANT}
