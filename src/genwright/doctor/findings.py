"""What is wrong with a machine, and what would help. Pure: from what it has to sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import BaseModel

from genwright.console import size
from genwright.doctor.machine import Machine
from genwright.hardware import cards

GB = 10**9
_LITTLE_MEMORY, _LITTLE_DISK = 4 * GB, 5 * GB
_LITTLE_CARD = 6 * GB
_OLDEST_GLIBC = (2, 28)
"""Of the wheels that torch and most other packages come as."""
_BF16 = (8, 0)

GAINS = {
    "repair": "mended pictures beside OpenCV's ways, and colour of 16 bits",
    "metrics": "scores of pictures: KID, coverage, nearest training pictures",
    "metrics-text": "scores of chats by meaning",
    "documents": "Word, PDF, epub, rich text and web pages read as text",
    "pictures": "photographs of phones (HEIC) and drawings (SVG) read as pictures",
    "weights": "starting from GGUF files",
    "export": "`genwright export --as hf|gguf|onnx`, each loaded there and compared",
    "npm": "data from npm packages without npm on the machine",
    "tensorboard": "`train.track: tensorboard`",
    "mlflow": "`train.track: mlflow`",
    "wandb": "`train.track: wandb`",
    "trackio": "`train.track: trackio`",
}
"""What an extra of the package brings."""


class Finding(BaseModel):
    """`wrong`: something that is here does not work as it could. `gain`: something is missing that would help."""

    kind: Literal["wrong", "gain"]
    text: str
    cure: str


def findings(machine: Machine) -> list[Finding]:
    """What hurts most comes first."""
    wrong = [*_cards(machine), *_reached(machine), *_room(machine), *_processor(machine)]
    gains = [*_compiler(machine), *_extras(machine)]
    return [
        *(Finding(kind="wrong", text=text, cure=cure) for text, cure in wrong),
        *(Finding(kind="gain", text=text, cure=cure) for text, cure in gains),
    ]


Told = Iterator[tuple[str, str]]
"""Sentences: what it is, what to do."""


def _cards(machine: Machine) -> Told:
    if not machine.cards or machine.reached:
        return
    torch, card = machine.torch, machine.cards[0]
    if machine.cards_hidden:
        yield f"{card.name} is here, but CUDA_VISIBLE_DEVICES hides it.", "Unset CUDA_VISIBLE_DEVICES."
    elif not torch.for_cards:
        version = torch.version.partition("+")[0]
        yield (
            f"{card.name} is here, but torch {torch.version} is a CPU build, so nothing runs on it.",
            f"Install the same torch for CUDA: `python -m pip install --force-reinstall torch=={version} --index-url INDEX`, where INDEX "
            f"is the one that {cards.INSTALL} names for your driver{_driver(card)}. In a checkout: `make clean`, then `make setup "
            "TORCH_INDEX_URL=INDEX`.",
        )
    else:
        yield (
            f"{card.name} is here, but torch {torch.version} does not find it: the driver{_driver(card)} may be older than CUDA "
            f"{torch.cuda} needs, or this user may not open the card.",
            f"Bring the driver up to date, or take a torch for an older CUDA from {cards.INSTALL}; in a container, give it the card.",
        )


def _driver(card: cards.Card) -> str:
    return f" ({card.driver})" if card.driver else ""


def _reached(machine: Machine) -> Told:
    for card in machine.reached:
        if card.capability and machine.architectures and not _built_for(card.capability, machine.architectures):
            yield (
                f"torch {machine.torch.version} has no kernels for {card.name} (compute capability {card.capability[0]}.{card.capability[1]}; "
                f"it has {', '.join(machine.architectures)}).",
                f"Take a newer torch for a new card, an older one for an old card, from {cards.INSTALL}; or `--device cpu`.",
            )
        if card.memory_bytes is not None and card.memory_bytes < _LITTLE_CARD:
            yield (
                f"{card.name} has {size(card.memory_bytes)} of memory, which only small models fit in.",
                "Give `train.batch` and `model.width` smaller values, or `train.accumulate` a larger one.",
            )
    if machine.reached and not machine.triton:
        yield (
            "triton is missing, so nothing is compiled for the card: training is slower.",
            "`python -m pip install triton`.",
        )


def _built_for(capability: tuple[int, int], architectures: Iterable[str]) -> bool:
    """Whether there are kernels of the same generation, or code for an older one that the driver can translate."""
    for name in architectures:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)[af]?", name)
        if found is None:
            continue
        built = (int(found[2]), int(found[3]))
        if built <= capability and (found[1] == "compute" or built[0] == capability[0]):
            return True
    return False


def _room(machine: Machine) -> Told:
    for folder in machine.folders:
        if folder.wrong:
            yield (
                f"The folder for {folder.what}: {folder.wrong}",
                "Name another: GENWRIGHT_CACHE for the cache, --run-dir for runs.",
            )
        elif folder.free_bytes is not None and folder.free_bytes < _LITTLE_DISK:
            yield (
                f"The disk of {folder.path} ({folder.what}) has {size(folder.free_bytes)} free; a run takes one or two GB, a package of data more.",
                "Make room, or name another disk: GENWRIGHT_CACHE for the cache, --run-dir for runs.",
            )
    if machine.memory_bytes < _LITTLE_MEMORY:
        yield (
            f"The machine has {size(machine.memory_bytes)} of memory; training and scores want about four GB.",
            "Choose small sizes, and close other programs.",
        )


def _processor(machine: Machine) -> Told:
    if machine.omp_threads and machine.threads < machine.cores:
        yield (
            f"OMP_NUM_THREADS={machine.omp_threads} is set, so {machine.threads} of {machine.cores} cores compute.",
            "Unset it, or give a command `--threads`.",
        )
    if machine.instructions.get("AVX2") is False:
        yield (
            "The processor has no AVX2, or it is hidden from this machine: computing takes several times as long.",
            "Use another machine, or have the virtual one show its processor's instructions.",
        )
    if machine.glibc is not None and machine.glibc < _OLDEST_GLIBC:
        yield (
            f"glibc {machine.glibc[0]}.{machine.glibc[1]} is older than the wheels of torch and other packages are made for (2.28).",
            "Use a newer system, or a container with one.",
        )
    if machine.native_off:
        yield (
            "GENWRIGHT_NATIVE=0 is set, so text is written by torch alone, which is slower on a processor.",
            "Unset it.",
        )


def _compiler(machine: Machine) -> Told:
    if not machine.compiler:
        yield (
            "No C++ compiler: with one, text is written two to four times as fast on a processor, int8 can be had, and trainings of four "
            "minutes and more are compiled (a step a third shorter).",
            "Install g++ (Debian, Ubuntu: `apt install g++`; Fedora: `dnf install gcc-c++`; macOS: `xcode-select --install` and `brew install libomp`).",
        )
    elif not machine.openmp and not machine.native_off:
        yield (
            f"{machine.compiler} can't compile our code ({machine.trouble}): with that, text is written two to four times as fast on a processor.",
            "Mend that; where it is the compiler, install g++, or OpenMP for yours (`apt install libomp-dev`, `brew install libomp`), or name another with CXX.",
        )


def _extras(machine: Machine) -> Told:
    for name, gain in GAINS.items():
        missing = machine.extras.get(name)
        if missing and not (name == "npm" and machine.npm):
            yield f"{name}: {gain} ({', '.join(missing)} missing).", f"`python -m pip install 'genwright[{name}]'`"
