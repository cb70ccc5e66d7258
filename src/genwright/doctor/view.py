"""`genwright doctor`: what this machine has, what is wrong, and what would help."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from genwright.console import Printed, size
from genwright.doctor.findings import Finding, findings
from genwright.doctor.machine import Machine, look
from genwright.hardware.cards import Build, Card
from genwright.version import __version__


class Diagnosis(Printed, BaseModel):
    genwright: str
    machine: Machine
    findings: list[Finding]

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title="this machine", show_header=False, title_justify="left")
        table.add_column(style="bold")
        table.add_column()
        for name, value in self._rows():
            table.add_row(name, Text(value))
        told: list[Any] = [table]
        for kind, title in (("wrong", "What is wrong"), ("gain", "What would help")):
            found = [finding for finding in self.findings if finding.kind == kind]
            told.append(Text(f"\n{title}" if found else f"\n{title}: nothing.", "bold"))
            for finding in found:
                told += [Text(f"- {finding.text}"), Text(f"  -> {finding.cure}")]
        return Group(*told)

    def _rows(self) -> Iterator[tuple[str, str]]:
        machine = self.machine
        has = [name for name, there in machine.instructions.items() if there]
        lacks = [name for name, there in machine.instructions.items() if not there]
        glibc = f", glibc {machine.glibc[0]}.{machine.glibc[1]}" if machine.glibc else ""
        yield "system", f"{machine.system}{glibc}"
        yield "genwright, Python", f"{self.genwright}, {machine.python}"
        yield "processor", f"{machine.processor}, {machine.cores} cores, {machine.threads} threads"
        yield "instructions", ", ".join(has or ["none"]) + (f" (not {', '.join(lacks)})" if lacks else "")
        yield "memory", f"{size(machine.memory_bytes)}, {size(machine.free_memory_bytes)} free"
        yield "cards", "; ".join(map(_card, machine.reached or machine.cards)) or "none seen"
        if machine.mps:
            yield "Apple GPU", "MPS"
        yield "torch", f"{machine.torch.version}, {_build(machine.torch)}"
        yield "C++ compiler", (machine.compiler or "none") + (", with OpenMP" if machine.openmp else "")
        for folder in machine.folders:
            free = f", {size(folder.free_bytes)} free" if folder.free_bytes is not None else ""
            yield f"folder: {folder.what}", f"{folder.path}{free}"
        whole = [name for name, missing in machine.extras.items() if not missing and name != "dev"]
        yield "extras", ", ".join(whole) or "none"


def diagnose(here: Path) -> Diagnosis:
    machine = look(here)
    return Diagnosis(genwright=__version__, machine=machine, findings=findings(machine))


def _build(build: Build) -> str:
    if build.cuda:
        return f"for CUDA {build.cuda}"
    return f"for ROCm {build.hip}" if build.hip else "a CPU build"


def _card(card: Card) -> str:
    said = [card.name]
    if card.memory_bytes:
        said.append(size(card.memory_bytes))
    if card.capability:
        said.append(f"compute capability {card.capability[0]}.{card.capability[1]}")
    if card.driver:
        said.append(f"driver {card.driver}")
    return ", ".join(said)
