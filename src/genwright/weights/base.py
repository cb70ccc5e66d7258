"""What every kind of weights is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from genwright.console import say
from genwright.errors import RequestError
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import ARCHITECTURES, to_hf_state
from genwright.networks.lora import base_state
from genwright.networks.rope import rope_frequencies

if TYPE_CHECKING:
    from genwright.tokens.tokenizer import Tokenizer


class TensorFiles(Protocol):
    """Tensors on the disk by their Hugging Face names; nothing is read before it is asked for."""

    def names(self) -> frozenset[str]: ...

    def shape(self, name: str) -> tuple[int, ...]: ...

    def read(self, name: str) -> Tensor:
        """One tensor, on the CPU, in the type it is stored in (quantised ones as float32). Raises RequestError when it can't be."""
        ...


@dataclass(frozen=True)
class Origin:
    """Where weights come from, in words that may stand in a model card: no place on a machine."""

    title: str
    """The folder's or file's name, the package, or the hub id."""
    architecture: str
    hash: str
    """Of everything that was read: other weights of the same name have another."""
    licence: str | None = None
    """As its notice, card or metadata states it."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def sentence(self) -> str:
        """ "SmolLM2 (LlamaForCausalLM; licence Apache-2.0)"."""
        return (
            f"{self.title} ({self.architecture}; {f'licence {self.licence}' if self.licence else 'no licence stated'})"
        )


@dataclass
class Weights:
    """A pretrained model that was looked at and fits: see `check`. `tokenizer` has the chat template and the end tokens."""

    shown: str
    """How messages name it: the path or spec as the user knows it."""
    config: DecoderConfig
    tensors: TensorFiles
    tokenizer: Tokenizer
    origin: Origin
    generation: Mapping[str, Any] = field(default_factory=dict)
    """What the source's generation_config.json says: temperature, top_p, ..."""
    notices: Mapping[str, str] = field(default_factory=dict)
    """Licence texts found beside the weights, by file name."""
    folder: Path | None = None
    """Where they lie as a Hugging Face folder, which other libraries open; None for a GGUF file."""
    untied: bool = False
    """Whether the output matrix is its own though their config.json ties it."""

    def check(self) -> None:
        """Raises RequestError when a weight that the config asks for is missing or has another shape, or one is there that the
        network has no place for, so that it would compute something else; what stands beside a decoder is named."""
        with torch.device("meta"):
            network = Decoder(self.config)
        there = self.tensors.names()
        asked = to_hf_state(self.config, network.state_dict())
        # A tied output matrix may stand there too: the same once more, which opening has seen to.
        tied = {"lm_head.weight"} if self.config.tie_word_embeddings else set()
        self._place_all(sorted(there - asked.keys() - tied))
        for name, wanted in asked.items():
            if name not in there:
                raise RequestError(
                    f"{self.shown}: the weight {name} is missing, which its config asks for; get the whole of it again."
                )
            shape = self.tensors.shape(name)
            if shape != tuple(wanted.shape):
                raise RequestError(
                    f"{self.shown}: the weight {name} has shape {list(shape)} and its config asks for {list(wanted.shape)}; "
                    "get the weights and the config that belong to them."
                )

    def _place_all(self, left: list[str]) -> None:
        left = [name for name in left if not self._is_frequencies(name)]
        odd = next((name for name in left if name.startswith(("model.", "lm_head."))), None)
        if odd is not None:
            raise RequestError(
                f"{self.shown}: its config has no place for the weight {odd}; get the weights and the config that belong to them."
            )
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            say(f"{self.shown}: left out, because no part of a language model takes it: {left[0]}{more}.")

    def _is_frequencies(self, name: str) -> bool:
        """Whether it is the buffer of rotary frequencies that old files hold. Raises RequestError where they are not the config's."""
        if not name.endswith("rotary_emb.inv_freq"):
            return False
        theirs, config = self.tensors.read(name).float(), self.config
        for scaling in (None, config.rope_scaling):
            ours = rope_frequencies(config.head_dim, config.rope_theta, scaling)
            if ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=0.01):  # they may be in half precision
                return True
        raise RequestError(
            f"{self.shown}: {name} holds other rotary frequencies than its config says; get the config that belongs to the weights."
        )

    @torch.no_grad()
    def load_into(self, network: Decoder) -> None:
        """Fill a network of this config in place, one weight after another, so that no second copy is ever held.

        Where the network has more tokens than the weights (special ones that a task added), the rows of the new ones are drawn
        around the mean of all others, with their spread: tokens that are nothing in particular, and can be told apart. Raises
        RequestError when a weight can't be read.
        """
        for name, place in to_hf_state(network.config, base_state(network)).items():
            value = self.tensors.read(name)
            if not value.is_floating_point():
                raise RequestError(
                    f"{self.shown}: the weight {name} is stored as {value.dtype}, whose scale is not known; take the weights that were "
                    "not quantised, or a GGUF file."
                )
            if place.shape[0] > value.shape[0] and name in ("model.embed_tokens.weight", "lm_head.weight"):
                known, value = value.shape[0], value.float()
                rng = torch.Generator().manual_seed(known)
                noise = torch.randn(place[known:].shape, generator=rng)
                place[known:] = value.mean(dim=0) + value.std(dim=0) * noise
                place = place[:known]
            place.copy_(value)


def architecture_of(config: DecoderConfig) -> str:
    return ARCHITECTURES[config.model_type]
