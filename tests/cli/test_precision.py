"""`--weights int8`: offered where text is written, refused elsewhere."""

from dataclasses import replace

import pytest
import torch

from genwright import api
from genwright.cli.app import main
from genwright.cli.generate import _command
from genwright.errors import RequestError
from genwright.families.transformer.options import Opening
from genwright.families.transformer.reader import reader_of
from genwright.families.transformer.session import TextSession
from genwright.model import Model
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.native import decoder as native_decoder
from genwright.registry import about
from genwright.request import opening_class, request_class
from helpers.random_models import text_folder


def offered(task: str, family: str) -> bool:
    command = _command(request_class(task, family), opening_class(task, family), about(task))
    return "weights" in {option.name for option in command.params}


def test_only_text_models_offer_it():
    assert offered("write", "transformer") and offered("chat", "transformer")
    assert not offered("draw", "gan")


def test_how_a_model_is_opened_reaches_its_session(tmp_path, capsys):
    folder = text_folder(tmp_path)
    session = api.load(folder, "cpu", speculate=False, capacity=3).model.session()
    assert isinstance(session, TextSession) and not session.speculate and session.capacity == 3
    with pytest.raises(RequestError, match=r"`weights`: .*'auto', 'float32', 'bfloat16' or 'int8' \(given: 'int4'\)"):
        api.load(folder, "cpu", weights="int4")
    texts = []
    for option in ("--speculate", "--no-speculate"):
        with pytest.raises(SystemExit) as ended:
            main(["generate", str(folder), "The", "--max-tokens", "20", "--device", "cpu", option])
        assert not ended.value.code
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != ""


def test_a_model_opens_a_session_a_part_and_only_the_one_that_generates_so():
    class Opened:
        Opening = Opening

        def __init__(self):
            self.asked = []

        def open(self, capacity, opening):
            self.asked.append((capacity, opening.weights))
            return object()

    parts = {"codec": Opened(), "model": Opened()}
    device, chosen = torch.device("cpu"), Opening(weights="int8")
    model = Model(None, None, None, parts, device, opening=chosen, capacity=3)  # type: ignore[arg-type]
    assert model.session() is model.session("model") is not model.session("codec")
    assert (parts["model"].asked, parts["codec"].asked) == ([(3, "int8")], [(3, "auto")])
    other = replace(model, parts={"model": Opened()})
    assert other.session() is not model.session(), "a model with other parts has sessions of its own"


def test_without_a_compiler_it_is_refused_in_one_sentence(monkeypatch):
    monkeypatch.setattr(native_decoder, "library", lambda: None)
    config = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "head_dim": 4}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 8}
    with pytest.raises(RequestError, match=r"--weights int8: .*install g\+\+"):
        reader_of(Decoder(DecoderConfig.model_validate(config | heads)), "int8")
