"""The recipe: what is accepted, and what a mistake is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genwright import recipe
from genwright.errors import RequestError
from genwright.model import ModelConfig
from genwright.model_folder import build_task
from genwright.settings import Budget

MINIMAL = "task: write\ndata:\n  sources:\n    - folder: texts\n"


def test_few_lines_are_enough(tmp_path: Path) -> None:
    loaded = recipe.parse(MINIMAL, folder=tmp_path)
    assert loaded.task == "write"
    assert loaded.family == "transformer"
    assert loaded.data.sources[0]["folder"] == str(tmp_path / "texts")


def test_the_resolved_recipe_reads_back_as_itself(tmp_path: Path) -> None:
    loaded = recipe.parse(MINIMAL + "train: {budget: 90s}\n", overrides=["model.layers=3"], folder=tmp_path)
    again = recipe.parse(loaded.to_yaml())
    assert again.model_dump() == loaded.model_dump()
    assert again.hash() == loaded.hash()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("task: write\ndata:\n  sorces:\n    - folder: x\n", ["line 3", "data.sorces", "did you mean `sources`?"]),
        (
            "task: write\ndata:\n  sources:\n    - folder: x\ntrain:\n  bugdet: 2m\n",
            ["line 6", "train.bugdet", "did you mean `budget`?"],
        ),
        (
            "task: write\nmodel: {layer: 3}\ndata:\n  sources: [{folder: x}]\n",
            ["line 2", "model.layer", "did you mean `layers`?"],
        ),
        ("task: wrote\ndata:\n  sources: [{folder: x}]\n", ["line 1", "'wrote'", "did you mean `write`?"]),
        ("data:\n  sources: [{folder: x}]\n", ["`task` is missing"]),
        (
            "task: write\nmodel: {family: gan}\ndata: {sources: [{folder: x}]}\n",
            ["line 2", "can't do write", "transformer"],
        ),
        ("task: write\ndata: {sources: [{fodler: x}]}\n", ["data.sources.0", "did you mean `folder`?"]),
        ("task: write\ndata: {sources: [{folder: x, licens: MIT}]}\n", ["licens", "did you mean `licence`?"]),
        (
            "task: write\ndata: {sources: [{folder: x}]}\ntrain:\n  budget: soon\n",
            ["line 4", "train.budget", "1h30m", "'soon'"],
        ),
        ("task: write\ndata: {sources: []}\n", ["line 2", "data.sources"]),
        ("task: [\n", ["not valid YAML", "line 2"]),
        ("just words", ["a recipe is a mapping"]),
        ("", ["a recipe is a mapping"]),
    ],
)
def test_a_mistake_is_named_with_line_and_nearest_key(text: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as caught:
        recipe.parse(text, "my.yaml")
    sentence = str(caught.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(("task", "name"), [("write", "group_by_lines"), ("complete", "group_by_words")])
def test_settings_are_read_by_the_names_that_they_had_before(task: str, name: str) -> None:
    text = (
        f"task: {task}\ndata: {{sources: [{{folder: x}}], near_duplicates: 0.6}}\nprepare: {{near_duplicates: 0.9}}\n"
    )
    old = recipe.parse(text)
    assert (old.data.drop_near_duplicates, getattr(old.prepare, name)) == (0.6, 0.9)
    resolved = old.to_yaml()
    assert "drop_near_duplicates: 0.6" in resolved and f"{name}: 0.9" in resolved and " near_duplicates" not in resolved
    assert recipe.parse(resolved).hash() == old.hash()
    section = recipe.recipe_class(task, "transformer").model_fields["prepare"].annotation
    assert getattr(section.model_validate({"near_duplicates": 0.3}), name) == 0.3  # type: ignore[union-attr]  # a model's config.json
    # Prepare does not follow it, so that its new name makes no prepared run stale.
    assert not {name, "near_duplicates"} & build_task(old).encoding_settings().keys()


def test_an_old_name_that_holds_nonsense_is_named_as_it_was_written() -> None:
    with pytest.raises(RequestError, match=r"line 2: `data.near_duplicates`: Input should be less than or equal to 1"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}], near_duplicates: 7}\n")


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("train.budget", "key.key=value"),
        ("task.x=1", "no section"),
        ("train.bugdet=2m", "did you mean `budget`?"),
        ("data.sources.7.folder=x", "no section"),
    ],
)
def test_a_wrong_override_is_refused(override: str, word: str) -> None:
    with pytest.raises(RequestError, match=word.replace("?", r"\?")):
        recipe.parse(MINIMAL, overrides=[override])


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("90s", Budget(amount=90, unit="seconds")),
        ("2m", Budget(amount=120, unit="seconds")),
        ("1h30m", Budget(amount=5400, unit="seconds")),
        ("1.5h", Budget(amount=5400, unit="seconds")),
        ("2000 steps", Budget(amount=2000, unit="steps")),
        ("2_000 steps", Budget(amount=2000, unit="steps")),
        ("5M tokens", Budget(amount=5_000_000, unit="tokens")),
        ("200k images", Budget(amount=200_000, unit="examples")),
    ],
)
def test_budgets(text: str, budget: Budget) -> None:
    assert Budget.parse(text) == budget


@given(st.text(max_size=20))
def test_any_text_is_a_budget_or_a_clear_error(text: str) -> None:
    try:
        assert Budget.parse(text).amount > 0
    except ValueError as error:
        assert str(error)


@given(st.text(max_size=200))
def test_any_text_is_a_recipe_or_a_clear_error(text: str) -> None:
    with pytest.raises(RequestError):
        recipe.parse(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_yaml_is_a_recipe_or_a_clear_error(content: object) -> None:
    import yaml

    with pytest.raises(RequestError):
        recipe.parse(yaml.safe_dump({"task": "draw", "data": content, "train": content}))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "task: write\ntrain: {budget: 20 steps}\ndata: {sources: [{folder: x}]}\ntrain:\n  seed: 3\n",
            ["line 4", "`train`", "line 2"],
        ),
        ("task: write\ntask: chat\n", ["line 2", "`task`"]),
        (
            "task: write\ndata:\n  sources:\n  - folder: x\n    include: [a]\n    include: [b]\n",
            ["line 6", "`include`", "line 5"],
        ),
        ("{task: write, task: chat}", ["line 1", "`task`"]),
        ("task: write\nmodel: {width: 64, layers: 2, 'width': 96}\n", ["line 2", "`width`"]),
    ],
)
def test_a_key_twice_is_refused_however_deep(text: str, words: list[str]) -> None:
    with pytest.raises(RequestError) as refused:
        recipe.parse(text)
    assert all(word in str(refused.value) for word in words)
    with pytest.raises(RequestError, match="`seed` stands on line 1"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}]}", overrides=["train={seed: 1, seed: 2}"])


def test_the_same_key_in_two_places_is_no_mistake() -> None:
    text = "task: write\ndata: {sources: [&a {folder: x}, *a, {folder: y}]}\ntrain: {seed: 1}\nevaluate: {seed: 1}\n"
    assert len(recipe.parse(text).data.sources) == 3


@pytest.mark.parametrize("key", ["train.seed", "evaluate.seed"])
@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_no_generator_takes(key: str, seed: int) -> None:
    with pytest.raises(RequestError, match=rf"`{key}`"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}]}", overrides=[f"{key}={seed}"])


def test_a_recipe_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("task: write\ndata: {sources: [{folder: x}]}\n", encoding="utf-8-sig")
    assert recipe.load(tmp_path / "r.yaml").task == "write"


def test_the_package_runs_recipes_whatever_was_imported_before() -> None:
    import genwright
    from genwright.run import Run

    assert isinstance(Run(Path("x")), Run)
    with pytest.raises(RequestError, match=r"no-such\.yaml"):
        genwright.run("no-such.yaml")


def test_a_budget_stands_as_it_was_written_and_means_what_it_says(tmp_path: Path) -> None:
    """Hashes of recipes and the recipe.json of runs made before compare by the text."""
    text = MINIMAL + "train: {budget: 1_2 steps, checkpoint_every: 120s}\n"
    loaded = recipe.parse(text, folder=tmp_path)
    assert loaded.train.budget == Budget(amount=12, unit="steps") and loaded.train.checkpoint_every.amount == 120
    dumped = loaded.model_dump(mode="json")["train"]
    assert (dumped["budget"], dumped["checkpoint_every"]) == ("1_2 steps", "120s")
    assert recipe.parse(loaded.to_yaml()).hash() == loaded.hash()
    assert recipe.parse(MINIMAL, folder=tmp_path).model_dump(mode="json")["train"]["budget"] == "10m"
    assert str(loaded.train.budget.times(0.5)) == "6 steps" and str(Budget(90, "seconds")) == "1m 30s"
    with pytest.raises(RequestError, match=r"`train\.checkpoint_every`: 'soon' is no budget"):
        recipe.parse(MINIMAL + "train: {checkpoint_every: soon}\n", folder=tmp_path)


def test_a_model_made_before_parts_had_batches_has_that_of_its_one_part() -> None:
    content = {"family": "gan", "network": {"width": 16}, "batch": 8, "title": "small", "least_steps": 5}
    config = ModelConfig.model_validate(content)
    assert config.batches == {"model": 8} and config.least_steps == 5
    assert ModelConfig.model_validate_json(config.model_dump_json()) == config


def test_an_override_takes_the_place_of_a_key_by_its_old_name_or_its_new_one() -> None:
    old = MINIMAL + "  near_duplicates: 0.5\nprepare: {near_duplicates: 0.4}\n"
    for names in (("drop_near_duplicates", "group_by_lines"), ("near_duplicates", "near_duplicates")):
        loaded = recipe.parse(old, "r.yaml", [f"data.{names[0]}=0.6", f"prepare.{names[1]}=0.7"])
        assert (loaded.data.drop_near_duplicates, loaded.prepare.group_by_lines) == (0.6, 0.7)


@pytest.mark.parametrize(
    "override",
    [
        "evaluate.samples=0",
        "model.from=3",
        "train=3",
        "task=nothing",
        "data.sources.0.foldr=x",
        "data.sources=[{foldr: x}]",
    ],
)
def test_a_value_given_by_set_is_named_as_such(override: str) -> None:
    text = "task: write\ndata:\n  sources: [{folder: notes}]\nevaluate: {samples: 4}\nmodel: {}\n"
    with pytest.raises(RequestError, match=rf"^--set {re.escape(override)}: "):
        recipe.parse(text, "r.yaml", [override])
    with pytest.raises(RequestError, match=r"^r.yaml line 4: `evaluate.samples`"):
        recipe.parse(text.replace("samples: 4", "samples: 0"), "r.yaml", ["train.seed=1"])


def test_a_key_of_several_kinds_is_told_by_its_name() -> None:
    with pytest.raises(RequestError, match=r"`train.new_data_share`: Input should be 'auto' or Input"):
        recipe.parse("task: write\ndata: {sources: [{folder: x}]}\ntrain: {new_data_share: x}\n", "r.yaml")
