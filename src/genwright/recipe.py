"""The recipe: one YAML file, checked against a schema that is put together from the task's and the family's own settings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    create_model,
    field_validator,
)

from genwright.errors import RequestError
from genwright.recipe_text import Written, Wrong, first_wrong
from genwright.registry import SOURCES, TASKS, about, families_of, family_of, model_section, source_kind
from genwright.settings import Budget, BudgetText, EvaluateSettings, MainSection, Section, part_sections


class DataSettings(Section):
    sources: list[dict[str, Any]] = Field(
        min_length=1,
        description="Where the data comes from; each entry has one of the keys "
        + ", ".join(["folder", "archive", "table", "pypi", "npm", "deb", "python"])
        + ".",
    )
    split: str = Field(
        "hash",
        description="`hash`: 90 % train, 5 % validation, 5 % test by hash of the group, more for test where that is less than 20; `tail 10%`: the end of the text is held out (for benchmarks).",
    )
    max_item_bytes: int = Field(268_435_456, gt=0, description="Items larger than this are dropped as too_large.")
    limit: int | None = Field(
        None, gt=0, description="Take at most this many items, chosen by hash; for trying things out."
    )

    drop_near_duplicates: float | None = Field(
        None,
        validation_alias=AliasChoices("drop_near_duplicates", "near_duplicates"),
        gt=0.2,
        le=1,
        description="Drop texts from the training split that are this much the same as a held-out one (Jaccard index of their runs of "
        "four characters), like 0.5; default: only exact copies are dropped.",
    )

    @field_validator("split")
    @classmethod
    def _known_split(cls, value: str) -> str:
        if value != "hash" and not re.fullmatch(r"tail (\d{1,2})%", value):
            raise ValueError("must be `hash` or `tail 10%`")
        return value


class TrainSettings(Section):
    budget: BudgetText = Field(
        Budget.parse("10m"), description="How long to train: 90s, 2m, 1h30m, 2000 steps, 5M tokens, 200k images."
    )
    seed: int = Field(0, ge=0, lt=2**63, description="Fixes initial weights, data order and noise.")
    batch: int | None = Field(
        None, gt=0, description="Examples of one optimizer step; default: chosen with the model's size."
    )
    accumulate: Literal["auto"] | int = Field(
        "auto",
        description="Micro-batches that one optimizer step is made of; lowers memory, changes nothing else. `auto`: 1, or as many as "
        "the memory asks for.",
    )
    learning_rate: float | None = Field(
        None, gt=0, description="Overrides the family's learning rate for AdamW parameters."
    )
    matrix_learning_rate: float | None = Field(
        None, gt=0, description="Overrides the family's learning rate for matrices under Muon."
    )
    weight_decay: Literal["auto"] | float = Field(
        "auto",
        description="Overrides the family's weight decay. `auto`: of a text model that is not started from weights, the more the oftener "
        "it sees its data.",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        "auto",
        description="`auto`: bf16 where the processor or the card has instructions for it, fp16 with scaled losses on a card that has only "
        "those, else fp32.",
    )
    deterministic: Literal["on", "off"] = Field(
        "off",
        description="On a card, take only operations that give the same bits each time, so that a resumed training is bit for bit the one "
        "that went through; without it the last bits may differ there. A CPU needs it not.",
    )
    compile: Literal["auto", "on", "off"] = Field(
        "auto", description="torch.compile; `auto` uses it where the training is long enough to win its cost back."
    )
    checkpoint_activations: Literal["auto", "on", "off"] = Field(
        "auto",
        description="Compute activations again in the backward pass instead of keeping them: less memory, the same result, a step "
        "a third longer; `auto` does so where memory is short.",
    )
    checkpoint_every: BudgetText = Field(
        Budget.parse("2m"), description="Time or steps between checkpoints; the last one is always written."
    )
    keep_checkpoints: int = Field(2, ge=2, description="How many checkpoints stay on disk beside the best one.")
    validate_times: int = Field(
        20, ge=0, description="How many times the held-out loss is measured, at even intervals."
    )
    previews: int = Field(8, ge=0, description="How many previews are made through the training, at even intervals.")
    patience: int = Field(
        5,
        ge=0,
        description="Stop when the held-out loss has not improved for this many measurements, and 100 steps at least; 0 never stops early.",
    )
    new_data_share: Literal["auto"] | float = Field(
        "auto",
        description="When data came after a training finished: the share of new examples in what is drawn, above 0 and below 1. `auto` "
        "draws them more often than their share of the data, so that they are seen as often as the old ones by the end, up to half.",
    )
    track: Literal["none", "tensorboard", "mlflow", "wandb", "trackio"] = Field(
        "none", description="Send the metrics to an experiment tracker too (optional extra of the same name)."
    )

    @field_validator("new_data_share")
    @classmethod
    def _a_share(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < 1:
            raise ValueError("must be `auto`, or a number above 0 and below 1")
        return value

    @field_validator("accumulate")
    @classmethod
    def _some(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("must be `auto`, or 1 or more")
        return value

    @field_validator("weight_decay")
    @classmethod
    def _not_negative(cls, value: float | str) -> float | str:
        if isinstance(value, float) and value < 0:
            raise ValueError("must be `auto`, or 0 or more")
        return value

    def asked(self) -> dict[str, Any]:
        """What is asked for, such that runs of before a key came stay as they are: without what follows from the default of
        `weight_decay` and `deterministic`, and with 1 for `accumulate: auto`."""
        since = {"weight_decay": "auto", "deterministic": "off"}
        content = self.model_dump(
            mode="json", exclude={name for name, value in since.items() if getattr(self, name) == value}
        )
        return content | {"accumulate": 1 if self.accumulate == "auto" else self.accumulate}

    @field_validator("compile", "checkpoint_activations", "deterministic", mode="before")
    @classmethod
    def _yaml_reads_on_as_true(cls, value: Any) -> Any:
        return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


class Recipe(Section):
    """A checked recipe. `prepare` and `model` have the fields of the task and family named in it."""

    _file: Path | None = PrivateAttr(None)

    task: str
    data: DataSettings
    prepare: Any = None
    model: Any = None
    train: TrainSettings = Field(default_factory=lambda: TrainSettings.model_validate({}))
    evaluate: EvaluateSettings = Field(default_factory=lambda: EvaluateSettings.model_validate({}))

    @property
    def family(self) -> str:
        return self.model.family

    @property
    def file(self) -> Path | None:
        """The file that it was read from; None where it came of a text."""
        return self._file

    def hash(self, *sections: str) -> str:
        """A short hash of some sections (all when none is named)."""
        content = self.model_dump(mode="json", include=set(sections) if sections else None)
        if "evaluate" in content:
            content["evaluate"] = self.evaluate.asked()
        if "train" in content:
            content["train"] = self.train.asked()
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def recipe_class(task: str, family: str) -> type[Recipe]:
    """The schema of recipes for a task done by a family."""
    task_options = TASKS[task].load_options()
    own, settings = model_section(task, family), family_of(task, family).load_options().Settings
    names: Any = Literal[families_of(task)]  # type: ignore[valid-type]
    fields: dict[str, Any] = {
        "family": (names, Field(family, description=f"Way of learning: {', '.join(families_of(task))}."))
    }
    main = {name: kind for name, kind in part_sections(own).items() if issubclass(kind, MainSection)}
    for name, kind in main.items():
        section: Any = create_model(kind.__name__, __base__=(kind, settings))
        fields[name] = (section, Field(default_factory=section))
    bases = (own,) if main else (own, settings)
    model = create_model("ModelSettings", __base__=bases, **fields)
    prepare = task_options.Prepare
    return create_model(
        f"{task.title()}{family.title()}Recipe",
        __base__=Recipe,
        prepare=(prepare, Field(default_factory=prepare)),
        model=(model, Field(default_factory=model)),
    )


def load(file: Path, overrides: list[str] | None = None, kept: Mapping[str, str] | None = None) -> Recipe:
    """Read and check a recipe; `kept` as in `parse`. Raises RequestError naming the file, the line and the nearest valid key."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{file}: the recipe can't be read ({_why(error)}); name a YAML file.") from error
    recipe = parse(text, str(file), overrides, file.parent, kept)
    recipe._file = file.absolute()
    return recipe


def parse(
    text: str,
    name: str = "recipe",
    overrides: list[str] | None = None,
    folder: Path | None = None,
    kept: Mapping[str, str] | None = None,
) -> Recipe:
    """Check a recipe's text; relative paths of sources are taken from `folder`.

    `kept`: by task, the family to take where the recipe names none; else the task's default is taken.
    """
    written = Written(text, name)
    content = written.content
    if not isinstance(content, dict):
        raise RequestError(f"{name}: a recipe is a mapping that starts with `task: ` and one of {', '.join(TASKS)}.")
    for override in overrides or []:
        written.put(override, _path(override, content))
    task, model = content.get("task"), content.get("model")
    where = written.where("task")
    if not isinstance(task, str):
        raise RequestError(f"{where}: the key `task` is missing; add `task: ` and one of {', '.join(TASKS)}.")
    if task not in TASKS:
        raise RequestError(f"{where}: there is no task {task!r};{_nearest(task, list(TASKS))}")
    families = families_of(task)
    default = (kept or {}).get(task, families[0])
    family = model.get("family", default) if isinstance(model, dict) else default
    if family not in families:
        raise RequestError(
            f"{written.where('model', 'family')}: `model.family` is {family!r}, which can't do {task};{_nearest(str(family), list(families))}"
        )
    schema = recipe_class(task, family)
    try:
        recipe = schema.model_validate(content)
        if folder is not None:
            recipe.prepare, recipe.model = recipe.prepare.relative_to(folder), recipe.model.relative_to(folder)
    except ValidationError as error:
        raise RequestError(_sentence(written, first_wrong(error, content), schema)) from error
    for index, source in enumerate(recipe.data.sources):
        recipe.data.sources[index] = _check_source(written, source, index, folder)
        _check_rows(written, recipe.data.sources[index], index, task)
        _check_roles(written, recipe.data.sources[index], index, task)
    return recipe


def _check_source(written: Written, source: dict[str, Any], index: int, folder: Path | None) -> dict[str, Any]:
    try:
        schema = SOURCES[source_kind(source)].load().Spec
    except ValueError as error:
        where = written.where("data", "sources", index)
        raise RequestError(f"{where}: `data.sources.{index}` {error}") from error
    try:
        spec = schema.model_validate(source)
    except ValidationError as error:
        wrong = first_wrong(error, source).below("data", "sources", index)
        raise RequestError(_sentence(written, wrong, schema, 3)) from error
    return (spec.relative_to(folder) if folder else spec).written()


def _check_rows(written: Written, source: dict[str, Any], index: int, task: str) -> None:
    """Most tasks need to be told which column of a table is the text or names the file; some take rows as they stand."""
    table = source if "table" in source else source.get("join")
    if table and not ("path" in table or "text" in table or about(task).whole_rows):
        named = table["table"] if isinstance(table["table"], str) else ", ".join(table["table"])
        raise RequestError(
            f"{written.where('data', 'sources', index)}: `data.sources.{index}`: say what a row of {named} is: "
            '`text: "{column}"` for its own text, `path: "{column}"` for a file.'
        )


def _check_roles(written: Written, source: dict[str, Any], index: int, task: str) -> None:
    """What a source or a further file is to a task must be something that the task knows."""
    files = source.get("files") or (source.get("join") or {}).get("files") or {}
    of_files, of_sources = ("main", "text", *about(task).files), tuple(about(task).roles)
    named = [(f"files.{name}", name, of_files) for name in files]
    for key, name, known in [*named, *([("as", source["as"], of_sources)] if "as" in source else [])]:
        if name not in known:
            where = written.where("data", "sources", index, *key.split("."))
            said = f"it knows {', '.join(f'`{one}`' for one in known)}" if known else "its sources are all alike to it"
            raise RequestError(f"{where}: `data.sources.{index}.{key}`: `{task}` has no use for `{name}`; {said}.")


def _path(override: str, content: dict[str, Any]) -> str:
    """The path of an override's key, by the name that a renamed key has in the recipe, old or new, so that it takes that one's place."""
    path, equals, _ = override.partition("=")
    if not equals or not path:
        raise RequestError(f"--set {override}: write it as key.key=value, for example train.budget=2m.")
    section, _, key = path.partition(".")
    held = content.get(section)
    schemas: dict[str, Any] = {"data": DataSettings}
    if content.get("task") in TASKS:
        schemas["prepare"] = TASKS[content["task"]].load_options().Prepare
    if section in schemas and isinstance(held, dict):
        for one in schemas[section].model_fields.values():
            names = one.validation_alias.choices if isinstance(one.validation_alias, AliasChoices) else ()
            if key in names:
                return f"{section}.{next((name for name in names if name in held), key)}"
    return path


def _sentence(written: Written, wrong: Wrong, schema: type[BaseModel], above: int = 0) -> str:
    """`above`: how many of the path's keys stand above those of the schema."""
    where = f"{written.where(*wrong.path)}: `{'.'.join(map(str, wrong.path))}`"
    if wrong.unknown:
        return f"{where} is no key of a recipe;{_nearest(str(wrong.path[-1]), _fields(schema, wrong.path[above:-1]))}"
    return f"{where}: {wrong.text}."


def _fields(schema: Any, path: tuple[Any, ...]) -> list[str]:
    for key in path:
        field = schema.model_fields.get(key) if isinstance(schema, type) and issubclass(schema, BaseModel) else None
        schema = field.annotation if field else None
    found = schema.model_fields if isinstance(schema, type) and issubclass(schema, BaseModel) else {}
    return [field.alias or name for name, field in found.items()]


def _nearest(word: str, valid: list[str]) -> str:
    near = get_close_matches(word, valid, n=1, cutoff=0.5)
    return f" did you mean `{near[0]}`?" if near else f" valid are {', '.join(valid)}."


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or "not UTF-8: save it as that"
