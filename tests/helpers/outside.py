"""What stands in tests/outside, registered for a while; `python -m helpers.outside ...` is the `genwright` command with all of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from genwright.cli.app import main
from genwright.registry import FAMILIES, MEDIA, METRICS, SOURCES, TASKS, Entry, Registry
from helpers import ROOT, TESTS

FOLDER = TESTS / "outside"
ENTRIES: list[tuple[Registry, str, Entry]] = [
    (SOURCES, "lines", Entry("lines:LinesSource")),
    (METRICS, "ink", Entry("ink:Ink")),
    (MEDIA, "wav", Entry("wav:WAV")),
    (FAMILIES, "gaussian", Entry("gaussian:Gaussian", "gaussian_options")),
    (FAMILIES, "straight", Entry("straight:Straight", "straight_options")),
    (FAMILIES, "codec", Entry("codec:Codec", "codec_options")),
    (FAMILIES, "code_prior", Entry("code_prior:CodePrior", "code_prior_options")),
    (FAMILIES, "mean", Entry("loudness:Mean", "loudness_options")),
    (TASKS, "names", Entry("names:Names", "names_options")),
    (TASKS, "mosaic", Entry("mosaic:Mosaic", "mosaic_options")),
    (TASKS, "loudness", Entry("loudness:Loudness", "loudness_options")),
]


@contextmanager
def registered() -> Iterator[None]:
    sys.path.insert(0, str(FOLDER))
    for registry, name, entry in ENTRIES:
        registry.register(name, entry)
    try:
        yield
    finally:
        for registry, name, _ in ENTRIES:
            registry.unregister(name)
        sys.path.remove(str(FOLDER))


def environment() -> dict[str, str]:
    """In which `python -m helpers.outside` is found."""
    return os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(TESTS)))}


if __name__ == "__main__":
    with registered():
        main()
