"""Bad input where pictures have captions beside them, and pictures of extreme sizes: a row with one reason each, in bounded memory."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright import ledger, recipe
from genwright.errors import RequestError
from genwright.ledger import Item
from genwright.model_folder import build_task
from genwright.run import Run
from genwright.stages import enough
from genwright.stages.collect import stage as collect

MOST_KILOBYTES = 1_500_000
"""A square of 50,000 pixels would be five times as much."""


def picture(width: int, height: int, kind: str = "PNG", seed: int = 0, noise: bool = False) -> bytes:
    out = io.BytesIO()
    rng = np.random.default_rng(seed)
    pixels = (
        rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        if noise
        else np.full((height, width, 3), seed, np.uint8)
    )
    Image.fromarray(pixels).save(out, kind)
    return out.getvalue()


@dataclass
class Case:
    name: str
    make: Callable[[Path], object]
    reasons: dict[str, str | None]
    """Path in the ledger -> reason, None: kept."""
    says: list[str] = field(default_factory=list)
    """What standard error names."""


def both(name: str, content: bytes, caption: bytes = b"a thing") -> Callable[[Path], object]:
    return lambda folder: (
        (folder / name).write_bytes(content),
        (folder / name).with_suffix(".txt").write_bytes(caption),
    )


CASES = [
    Case("a caption without a picture", lambda f: (f / "alone.txt").write_text("a thing"), {"alone.txt": "unreferenced"}, ["alone.txt"]),
    Case("a picture without a caption", lambda f: (f / "silent.png").write_bytes(picture(16, 16, seed=9)), {"silent.png": None}, ["found one for"]),
    Case("an empty caption", both("hushed.png", picture(16, 16, seed=8), b" \n"), {"hushed.png": "missing_text"}, ["hushed.txt"]),
    Case("a picture called caption", both("twin.png", picture(16, 16, seed=7), picture(4, 4)), {"twin.png": "missing_text"}, ["twin.png"]),
    Case("one pixel", both("dot.png", picture(1, 1)), {"dot.png": "too_small"}, ["dot.png"]),
    Case("50,000 pixels in a line", both("line.png", picture(50_000, 1)), {"line.png": "too_small"}, ["line.png"]),
    Case("50,000 pixels in a strip", both("strip.png", picture(50_000, 8, seed=3)), {"strip.png": None}),
    Case("50,000 pixels of one colour", both("sky.png", picture(50_000, 2_000, seed=2)), {"sky.png": "bomb"}, ["sky.png"]),
    Case("50,000 pixels of detail", both("wide.jpg", picture(50_000, 1_100, "JPEG", noise=True)), {"wide.jpg": "too_large"}, ["wide.jpg"]),
    Case("a truncated AVIF", both("cut.avif", picture(64, 64, "AVIF", noise=True)[:-400]), {"cut.avif": "undecodable"}, ["cut.avif"]),
    Case("an AVIF without its pixels", both("head.avif", picture(64, 64, "AVIF", noise=True)[:200]), {"head.avif": "undecodable"}, ["head.avif"]),
]  # fmt: skip


def run(*command: str, where: Path) -> tuple[int, str, int]:
    """The exit status, standard error and peak of memory in kilobytes of a command."""
    environment = {**os.environ, "GENWRIGHT_CACHE": str(where / "cache"), "OMP_NUM_THREADS": "1"}
    with (where / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "genwright", *command],
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    kilobytes = usage.ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return process.returncode, (where / "stderr").read_text("utf-8", "replace"), kilobytes


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Item], str, int]:
    where = tmp_path_factory.mktemp("bad")
    (where / "data").mkdir()
    for number in range(24):
        both(f"good-{number:02}.png", picture(16, 16, seed=100 + number), f"good thing {number}".encode())(
            where / "data"
        )
    for case in CASES:
        case.make(where / "data")
    (where / "r.yaml").write_text(
        "task: draw\ndata: {sources: [{folder: data, captions: beside}]}\nprepare: {workers: 1}\nmodel: {size: 16}\n"
    )
    said, most = "", 0
    for stage in ("collect", "prepare"):
        status, stderr, kilobytes = run(stage, "r.yaml", where=where)
        assert status == 0, stderr
        said, most = said + stderr, max(most, kilobytes)
    return ledger.read_run(Run(where / "runs" / "r")), said, most


def test_each_costs_a_row_with_one_reason(outcome: tuple[list[Item], str, int], subtests: pytest.Subtests) -> None:
    rows, said, _ = outcome
    items = {item.path: item for item in rows}
    for case in CASES:
        with subtests.test(case.name):
            assert {path: items[path].reason for path in case.reasons} == case.reasons
            assert all(words in said for words in case.says), said
    assert "Traceback" not in said and "Warning" not in said
    assert all(item.kept for path, item in items.items() if path.startswith("good"))
    account = ledger.account(rows)
    assert account.offered == account.kept + sum(account.dropped.values()) == len(rows)


def test_memory_is_bounded(outcome: tuple[list[Item], str, int]) -> None:
    assert outcome[2] < MOST_KILOBYTES


ONE = [
    ("a folder without any caption", "captions: beside", ["x.png"], ["folder:data", "finds no caption", "a.png needs a.txt"]),
    ("captions without any picture", "captions: beside", ["x.txt"], ["data: nothing usable for `draw`", "wrong_medium"]),
    ("a style of one picture", "", ["x.png"], ["1 pictures are kept", "too little for `draw`", "--anyway"]),
    ("a role that the task does not know", "as: b", ["x.png"], ["`data.sources.0.as`", "`draw` has no use for `b`"]),
    ("a partner that nothing has", "files: {text: '*.cap'}", ["x.png"], ["`files.text` finds no file", "*.cap"]),
    ("a language that no caption has", "captions: beside, language: xx", ["x.png", "x.txt"], ["nothing usable", "`xx`"]),
    ("words that no file says", "text: '{title}'", ["x.png"], ["nothing usable", "nothing in `title`"]),
    ("a wrong place in the words", "text: '{titel'", ["x.png"], ["`text`", "brace"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spec", "files", "says"), ONE, ids=[case[0] for case in ONE])
def test_what_can_only_be_a_slip_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, spec: str, files: list[str], says: list[str]
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    for file in files:
        text = b"A thing.\nde.utf8=Ein Ding.\n"
        (tmp_path / "data" / file).write_bytes(text if file.endswith(".txt") else picture(16, 16))
    (tmp_path / "r.yaml").write_text(f"task: draw\ndata: {{sources: [{{folder: data{', ' if spec else ''}{spec}}}]}}\n")
    with pytest.raises(RequestError) as refused:
        loaded = recipe.load(tmp_path / "r.yaml")
        task = build_task(loaded)
        collect.run(loaded, Run(tmp_path / "run"), task=task)
        enough.check(task, Run(tmp_path / "run"), trains=True, anyway=False)
    assert all(words in str(refused.value) for words in says), refused.value
