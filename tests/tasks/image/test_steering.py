"""Strips between prompts and along directions: they end where plain drawing does, for every family."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.tasks.image import steering
from genwright.tasks.image.sampling import sample
from helpers.drawing_models import drawing_model


def differ(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
@pytest.mark.parametrize("condition", ["text", "label"])
def test_a_strip_between_two_prompts_begins_and_ends_with_what_each_draws(family: str, condition: str) -> None:
    model = drawing_model(family, condition=condition, size=16)
    prompts = ("red apple", "cat face") if condition == "text" else model.facts.labels[:2]
    start, stop = (model.facts.encode(one, one) for one in prompts)
    strip = steering.between(model, Engine(), start, stop, seed=3, steps=5)
    for place, one in ((0, start), (-1, stop)):
        assert differ(strip[place], sample(model, Engine(), one[None], 3)[0]) <= 1
    steps = [differ(a, b) for a, b in pairwise(strip)]
    assert min(steps) > 0 and max(steps) <= differ(strip[0], strip[-1]) + 20


@pytest.mark.parametrize("family", ["flow", "gan", "vae"])
def test_a_direction_of_no_length_changes_nothing_and_both_ways_differ(family: str) -> None:
    model = drawing_model(family, size=16)
    those, others = (np.stack([model.facts.encode(one, "") for one in some]) for some in (["cat"], ["", "red"]))
    start = model.facts.encode("red apple", "")
    back, here, there = steering.along(model, Engine(), start, those, others, 3, [-2.0, 0.0, 2.0])
    assert differ(here, sample(model, Engine(), start[None], 3)[0]) <= 1
    assert min(differ(back, here), differ(there, here), differ(back, there)) > 1
    # Nothing stays behind when it is done.
    assert differ(here, sample(model, Engine(), start[None], 3)[0]) <= 1


def test_a_model_without_words_has_no_directions() -> None:
    model = drawing_model("gan", condition="none", size=16)
    assert not steering.can_steer(model)
    with pytest.raises(RequestError, match="there are no directions in a model of gan with `condition: none`"):
        steering.between(model, Engine(), np.zeros(1), np.zeros(1), 0, 3)
