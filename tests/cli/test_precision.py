"""`--weights int8`: offered where text is written, refused elsewhere."""

import pytest
import torch

from genwright.cli.generate import _command
from genwright.errors import RequestError
from genwright.families.transformer.reader import reader_of
from genwright.model import Model
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.native import decoder as native_decoder
from genwright.registry import about
from genwright.request import request_class


def offered(task: str, family: str) -> bool:
    return "weights" in {option.name for option in _command(request_class(task, family), about(task)).params}


def test_only_text_models_offer_it():
    assert offered("write", "transformer") and offered("chat", "transformer")
    assert not offered("draw", "gan")


def test_a_model_opens_its_sessions_so():
    class Opened:
        capacity, asked = 1, None

        def open(self, capacity, **more):
            self.asked = more
            return self

    parts = {"codec": Opened(), "model": Opened()}
    model = Model(None, None, None, parts, torch.device("cpu"), opening={"precision": "int8"})  # type: ignore[arg-type]
    model.session(2)
    model.session(2, "codec")
    assert (parts["model"].asked, parts["codec"].asked) == ({"precision": "int8"}, {})


def test_without_a_compiler_it_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(native_decoder, "library", lambda: None)
    config = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 8}
    with pytest.raises(RequestError, match=r"--weights int8: .*install g\+\+"):
        reader_of(Decoder(DecoderConfig.model_validate(config | heads)), "int8")
