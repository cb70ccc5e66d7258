"""NVIDIA cards of this machine, whatever torch can do with them: torch-free, so that a command that needs no torch can tell."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_QUERY = ("name", "memory.total", "driver_version", "compute_cap")
_WSL = "/usr/lib/wsl/lib/nvidia-smi"
_TIMEOUT_S = 20
_DRIVER, _DEVICES = Path("/proc/driver/nvidia/gpus"), Path("/dev")
INSTALL = "https://pytorch.org/get-started/locally"
"""Where the wheel index for a driver is named."""


@dataclass(frozen=True)
class Card:
    """What the driver says of a card; None where it does not."""

    name: str
    memory_bytes: int | None = None
    driver: str | None = None
    capability: tuple[int, int] | None = None


@dataclass(frozen=True)
class Build:
    """The torch that is installed. `cuda`, `hip`: versions that it is built for, None where it is not."""

    version: str
    cuda: str | None
    hip: str | None

    @property
    def for_cards(self) -> bool:
        return bool(self.cuda or self.hip)


@lru_cache
def seen() -> tuple[Card, ...]:
    """The cards that nvidia-smi tells of; else those of the driver's folder in /proc, or of /dev."""
    program = shutil.which("nvidia-smi") or (_WSL if Path(_WSL).exists() else None)
    if program is not None:
        command = [program, f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader,nounits"]
        try:
            answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
        except (OSError, subprocess.SubprocessError):
            answer = None
        if answer is not None and answer.returncode == 0 and (cards := told(answer.stdout)):
            return cards
    models = [re.search(r"Model:\s*(.+)", _text(file)) for file in sorted(_DRIVER.glob("*/information"))]
    if models:
        return tuple(Card(model[1].strip() if model else "an NVIDIA card") for model in models)
    return tuple(Card("an NVIDIA card") for file in sorted(_DEVICES.glob("nvidia*")) if file.name[6:].isdigit())


def told(answer: str) -> tuple[Card, ...]:
    """The cards in nvidia-smi's answer, a line each: "NVIDIA H100 80GB HBM3, 81559, 550.54.15, 9.0"."""
    cards = []
    for line in answer.splitlines():
        name, *rest = (word.strip() for word in line.split(","))
        if len(rest) != len(_QUERY) - 1:
            continue
        memory, driver, capability = rest
        numbers = re.fullmatch(r"(\d+)\.(\d+)", capability)
        cards.append(
            Card(
                name,
                int(memory) << 20 if memory.isdigit() else None,
                driver if driver[:1].isdigit() else None,
                (int(numbers[1]), int(numbers[2])) if numbers else None,
            )
        )
    return tuple(cards)


def hidden() -> bool:
    """Whether the user has hidden the cards from programs."""
    return os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1", "NoDevFiles")


def build() -> Build | None:
    """Of the torch that is installed, which is not imported for it; None where there is none, or it says nothing of itself."""
    found = find_spec("torch")
    if found is None or found.origin is None:
        return None
    try:
        said = runpy.run_path(str(Path(found.origin).with_name("version.py")))
        return Build(said["__version__"], said["cuda"], said["hip"])
    except (OSError, KeyError, SyntaxError):
        return None


def unused(reached: bool | None = None) -> str | None:
    """One sentence where a card is here that torch can't use. `reached`: whether it finds one, where it was asked."""
    installed, cards = build(), seen()
    if installed is None or hidden() or not cards:
        return None
    if not installed.for_cards:
        why = f"this torch ({installed.version}) is a CPU build and can't use it"
    elif reached is False:
        why = f"this torch ({installed.version}) does not find it"
    else:
        return None
    return f"a card is here ({cards[0].name}), but {why}; `genwright doctor` says what to do."


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
