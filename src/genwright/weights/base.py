"""What every kind of weights is read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from genwright.errors import RequestError
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.hugging_face import ARCHITECTURES, to_hf_state
from genwright.networks.lora import base_state

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

    def check(self) -> None:
        """Raises RequestError when a weight that the config asks for is missing or has another shape."""
        with torch.device("meta"):
            network = Decoder(self.config)
        there = self.tensors.names()
        for name, wanted in to_hf_state(self.config, network.state_dict()).items():
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

    @torch.no_grad()
    def load_into(self, network: Decoder) -> None:
        """Fill a network of this config in place, one weight after another, so that no second copy is ever held.

        Where the network has more tokens than the weights (special ones that a task added), the rows of the new ones are drawn
        around the mean of all others, with their spread: tokens that are nothing in particular, and can be told apart. Raises
        RequestError when a weight can't be read.
        """
        for name, place in to_hf_state(network.config, base_state(network)).items():
            value = self.tensors.read(name)
            if place.shape[0] > value.shape[0] and name in ("model.embed_tokens.weight", "lm_head.weight"):
                known, value = value.shape[0], value.float()
                rng = torch.Generator().manual_seed(known)
                noise = torch.randn(place[known:].shape, generator=rng)
                place[known:] = value.mean(dim=0) + value.std(dim=0) * noise
                place = place[:known]
            place.copy_(value)


def architecture_of(config: DecoderConfig) -> str:
    return ARCHITECTURES[config.model_type]
