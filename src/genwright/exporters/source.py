"""What an exporter starts from: a text model folder as it stands on the disk, its weights, and the model at work to compare with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from torch import Tensor

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import foreign_config
from genwright.model import Model
from genwright.networks.decoder import Decoder
from genwright.tokens.chat_template import ChatTemplate


def is_language_model(model: Model) -> bool:
    """Whether other programs can run a model: a text task's, whose network Hugging Face's config.json can name."""
    return len(model.parts) == 1 and model.task.medium == "text" and "architectures" in foreign_config(model.family)


class Reference(Protocol):
    """The model at work, as whatever it was exported to must do. Token ids in and out; fp32 on the CPU."""

    context: int

    def encode(self, text: str) -> list[int]: ...

    def conversation(self, messages: Sequence[dict[str, str]]) -> tuple[str, list[int]] | None:
        """A conversation as the text and the tokens that an answer goes on from; None for a model that does not chat."""
        ...

    def logits(self, tokens: Sequence[int]) -> Tensor:
        """Of the next token after each, T,V."""
        ...

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        """The likeliest tokens after a prompt, at most `count`, without one that ends the text."""
        ...


@dataclass
class Card:
    """What the model card's header and first paragraph say."""

    licence: str | None = None
    licence_name: str | None = None
    description: str = ""
    tags: list[str] = field(default_factory=list)


@dataclass
class Source:
    """A text model that is to leave: `tensors` are its weights under Hugging Face's names, `config` its config.json."""

    name: str
    folder: Path
    config: dict[str, Any]
    tensors: dict[str, Tensor]
    card: Card

    @property
    def architecture(self) -> str:
        return self.config["architectures"][0]


def source_of(model: Model, folder: Path, name: str) -> Source:
    """Raises RequestError where the folder's config.json can't be read."""
    # A folder that holds a low-rank change alone says nothing of the whole; the loaded model, which has it merged in, does.
    config = read_json(folder / "config.json") | foreign_config(model.family)
    return Source(name, folder, config, model.family.export_tensors(), read_card(folder))


class ModelReference:
    """A loaded model answering through the engine, as it does for everyone else."""

    def __init__(self, model: Model):
        self.model = model
        network = model.family.modules["model"]
        assert isinstance(network, Decoder)
        self.network, self.context = network, network.config.max_position_embeddings
        self._engine = Engine()

    def encode(self, text: str) -> list[int]:
        return [int(token) for token in self.model.facts.encode(text)]

    def conversation(self, messages: Sequence[dict[str, str]]) -> tuple[str, list[int]] | None:
        if self.model.facts.chat_template is None:
            return None
        template = ChatTemplate.of(self.model.facts)
        tokens = template.encode(messages, self.model.facts)
        return template.render(messages, add_generation_prompt=True), [int(token) for token in tokens]

    def logits(self, tokens: Sequence[int]) -> Tensor:
        with torch.inference_mode():
            token_1T = torch.tensor([list(tokens)], device=self.model.device)
            return self.network(token_1T)[0].float().cpu()

    def greedy(self, prompt: Sequence[int], count: int) -> list[int]:
        controls = self.model.family.Controls.model_validate({"temperature": 0.0, "max_tokens": count})
        start = list(prompt)
        rng = torch.Generator().manual_seed(0)
        return list(self._engine.submit(self.model.session(), lambda s: s.start(start, rng, controls)))


def read_json(file: Path) -> dict[str, Any]:
    """Raises RequestError where the file is not there or is no JSON object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError) as error:
        raise RequestError(f"{file}: can't be read ({error}); export the run again with `genwright export`.") from error
    return content


def read_card(folder: Path) -> Card:
    """The card of a model folder; an empty one where there is none."""
    file = folder / "README.md"
    if not file.is_file():
        return Card()
    text = file.read_text(encoding="utf-8", errors="replace")
    header: Any = None
    if text.startswith("---\n") and "\n---\n" in text[4:]:
        head, _, text = text[4:].partition("\n---\n")
        try:
            header = yaml.safe_load(head)
        except yaml.YAMLError:
            header = None
    paragraphs = [block.strip() for block in text.split("\n\n")]
    plain = next((p for p in paragraphs if p and not p.startswith(("#", "```", "|", "-", "<"))), "")
    found = header if isinstance(header, dict) else {}
    return Card(
        found.get("license"),
        found.get("license_name"),
        " ".join(plain.split()),
        [str(t) for t in found.get("tags") or []],
    )


def read_chat_template(folder: Path, settings: dict[str, Any]) -> str | None:
    """The Jinja template beside the tokenizer, where transformers keeps it today, or inside its settings, where it used to."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = settings.get("chat_template")
    if isinstance(found, list):
        found = next((entry["template"] for entry in found if entry.get("name") == "default"), None)
    return found


def end_tokens(folder: Path) -> list[int]:
    """The tokens that end an answer, as generation_config.json names them."""
    file = folder / "generation_config.json"
    found = read_json(file).get("eos_token_id") if file.is_file() else None
    return found if isinstance(found, list) else [] if found is None else [found]
