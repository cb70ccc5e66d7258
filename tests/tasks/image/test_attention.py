"""Attention maps word by word: of the tokens that a word is, and where a network that was built to look there looks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.networks import dit, unet
from genwright.tasks.image import attention
from genwright.tasks.image.attention import look, word_tokens
from genwright.tasks.image.sampling import sample
from helpers.drawing_models import drawing_model


@pytest.mark.parametrize("network", ["unet", "transformer"])
def test_the_picture_is_the_one_that_is_drawn_and_every_word_has_a_map(network: str) -> None:
    model = drawing_model("flow", network=network, width=32, size=16)
    found = look(model, Engine(), "a red apple!", seed=2)
    plain = sample(model, Engine(), model.facts.encode("a red apple!", "")[None], 2)[0]
    assert np.abs(found.picture.astype(int) - plain.astype(int)).max() <= 1
    assert [one.word for one in found.words] == ["a", "red", "apple"]
    for one in found.words:
        assert one.map.shape == (16, 16) and one.map.min() == 0 and one.map.max() == pytest.approx(1)
    assert 0 < sum(one.share for one in found.words) < 1
    tiles = found.tiles()
    assert len(tiles) == 4 and tiles[0][1] == "a red apple" and tiles[1][1].startswith("a  ")
    assert all((lit <= found.picture).all() for lit, _ in tiles[1:])


@pytest.mark.parametrize("kind", ["unet", "transformer"])
def test_shares_are_those_that_attention_mixes_by(kind: str) -> None:
    """With values that say which token they come from, what attention gives out is the share itself."""
    torch.manual_seed(0)
    x, token = torch.randn(1, 64, 4, 4), torch.randn(1, 3, 16)
    real = torch.tensor([[True, True, False]])
    if kind == "unet":
        layer = unet.Attention(64, 16)
        q, k, _, seen = layer._parts(x, token, real)
        share = layer.looked_at(x, token, real)
    else:
        layer, token = dit.Attention(64), torch.randn(1, 3, 64)
        turn, seen = dit.turns(4, 32), torch.nn.functional.pad(real, (0, 16), value=True)[:, None, None]
        q, k, _ = layer._parts(x.flatten(2).transpose(1, 2), token, turn)
        share = layer.looked_at(x.flatten(2).transpose(1, 2), token, seen, turn)
    marks = torch.eye(19)[None, None].expand(1, 2, -1, -1)
    mixed = torch.nn.functional.scaled_dot_product_attention(q, k, marks, attn_mask=seen).mean(1)
    torch.testing.assert_close(share.flatten(2), mixed[..., :3].transpose(1, 2))
    assert share.shape == (1, 3, 4, 4) and not share[0, 2].any()


def test_a_word_is_all_of_its_tokens_and_what_is_not_read_has_none() -> None:
    facts = drawing_model("flow", size=16).facts
    words = word_tokens(facts, "Zyxwv red, apple " + "heart " * 200)
    assert [word for word, _ in words[:3]] == ["Zyxwv", "red", "apple"]
    assert len(words[0][1]) > 1
    places = [place for _, tokens in words for place in tokens]
    assert places[0] == 1 and places == sorted(places) and max(places) < facts.tokens


def test_what_has_no_such_maps_says_so() -> None:
    for model in (drawing_model("gan", size=16), drawing_model("flow", size=16, condition="label")):
        assert not attention.can_look(model)
        with pytest.raises(RequestError, match="attention maps are for a flow that was trained with words"):
            look(model, Engine(), "red", 0)
    with pytest.raises(RequestError, match="a prompt with a word"):
        look(drawing_model("flow", size=16), Engine(), " ! ", 0)
