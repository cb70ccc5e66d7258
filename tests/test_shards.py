"""Prepared examples: what goes in comes out, and a part is whole or not there."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from genwright.shards import ExampleStore, read_about, write_part

ragged = st.lists(arrays.arrays(np.uint16, st.integers(0, 9)), max_size=6)


@settings(max_examples=30, deadline=None)
@given(st.lists(ragged, min_size=1, max_size=3))
def test_what_goes_in_comes_out(parts: list[list[np.ndarray]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(i) for i in range(len(parts))]
        for folder, part in zip(folders, parts, strict=True):
            write_part(folder, ((f"{folder.name}-{i}", {"tokens": tokens}) for i, tokens in enumerate(part)))
        store = ExampleStore(folders)
        expected = [tokens for part in parts for tokens in part]
        assert len(store) == len(expected) == len(set(store.ids))
        for i, tokens in enumerate(expected):
            np.testing.assert_array_equal(store[i]["tokens"], tokens)
        np.testing.assert_array_equal(store.lengths("tokens"), [len(t) for t in expected])
        if expected:
            np.testing.assert_array_equal(store.flat("tokens"), np.concatenate(expected))


def test_pictures_keep_their_shape(tmp_path: Path) -> None:
    pictures = [np.full((4, 4, 3), i, np.uint8) for i in range(3)]
    write_part(tmp_path / "a", ((str(i), {"image": p, "label": np.array(i, np.int64)}) for i, p in enumerate(pictures)))
    store = ExampleStore([tmp_path / "a"])
    assert store[2]["image"].shape == (4, 4, 3)
    assert int(store[2]["label"]) == 2
    with pytest.raises(IndexError):
        store[3]


def test_a_part_that_was_interrupted_is_not_there(tmp_path: Path) -> None:
    def examples():
        yield "a", {"tokens": np.arange(3, dtype=np.uint16)}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path / "part", examples())
    assert read_about(tmp_path / "part") is None


def test_mixed_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="tokens"):
        write_part(
            tmp_path / "p", [("a", {"tokens": np.zeros(1, np.uint16)}), ("b", {"tokens": np.zeros(1, np.uint32)})]
        )
    with pytest.raises(ValueError, match="same fields"):
        write_part(tmp_path / "p", [("a", {"tokens": np.zeros(1, np.uint16)}), ("b", {"image": np.zeros(1, np.uint8)})])
