"""What tasks say of themselves: every one that is registered says it, and says what is so."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genwright.about import About
from genwright.cli.options import file_type
from genwright.registry import FAMILIES, TASKS, about, families_of
from genwright.request import Blob, checked, request_class, shown
from helpers import ASSETS

PIPELINES = {
    "text-generation", "text-to-image", "unconditional-image-generation", "image-to-image", "text-to-speech", "text-to-audio",
    "audio-to-audio", "other",
}  # fmt: skip
"""Of those that the Hugging Face hub knows, the ones that a generative model can have."""


PICTURE = Blob(name="broken.png", data=(ASSETS / "pictures" / "1f34e.png").read_bytes())  # type: ignore[call-arg]


@pytest.mark.parametrize("task", list(TASKS))
def test_a_task_says_what_it_is(task: str):
    told = about(task)
    assert isinstance(told, About)
    assert told.families and set(families_of(task)) <= set(FAMILIES)
    assert told.pipeline in PIPELINES and told.pipeline != "other"
    assert told.limits.endswith(".") and "Genwright" not in told.limits
    assert told.verdict is not None


@pytest.mark.parametrize("task", list(TASKS))
def test_what_it_shows_can_be_typed(task: str):
    told = about(task)
    for family in families_of(task):
        asked = shown(task, family)
        schema = request_class(task, family)
        files = {name: PICTURE for name in told.example if file_type(schema.model_fields[name]) is Blob}
        request = checked(schema, dict(told.example) | files)
        assert request.model_fields_set == set(told.example)
        assert "\n" not in asked.command
        compile(f"for made in generate({asked.arguments}):\n    {told.use}\n{told.transformers}\n", task, "exec")
    assert bool(told.transformers) == (told.pipeline == "text-generation")


def test_only_a_task_whose_requests_are_conversations_converses():
    for task in TASKS:
        fields = request_class(task, families_of(task)[0]).model_fields
        assert about(task).converses == ({"messages", "system"} <= set(fields))


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_family_names_the_tasks_it_adds_itself_to(family: str):
    assert isinstance(FAMILIES[family].load_options().TASKS, tuple)


def test_it_needs_neither_torch_nor_numpy():
    code = (
        "import sys; from genwright.registry import FAMILIES, TASKS, about, families_of\n"
        "for task in TASKS: about(task), families_of(task)\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
