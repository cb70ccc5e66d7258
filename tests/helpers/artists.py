"""Small folders laid out as the packages of three artists who drew the same emoji, and their recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TONES = ("1F3FB", "1F3FF")


def _picture(file: Path, seed: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, lossless=True)


def write_artists(place: Path, count: int = 12) -> None:
    """noto/ and twemoji/ with emoji.json and pictures by its column `image`; fluent/ with pictures by code point, none of the last."""
    rows: list[dict[str, Any]] = []
    for number in range(count):
        code = f"1F{0x440 + number:X}"
        row: dict[str, Any] = {
            "name": f"THING {number}",
            "unified": code,
            "image": f"{code.lower()}.png",
            "category": "Things",
        }
        if number % 3 == 0:
            inner = {
                tone: {"unified": f"{code}-{tone}", "image": f"{code.lower()}-{tone.lower()}.png"} for tone in TONES
            }
            row["skin_variations"] = inner
        rows.append(row)
    for seed, artist in enumerate(("noto", "twemoji")):
        folder = place / artist
        for index, row in enumerate([*rows, *(v for r in rows for v in r.get("skin_variations", {}).values())]):
            _picture(folder / "img" / artist / "64" / row["image"], 1000 * seed + index)
        (folder / "emoji.json").write_text(json.dumps(rows))
        (folder / "README.md").write_text(
            "* Noto images are available under the Apache License 2.0.\n"
            if artist == "noto"
            else "* Twitter images are under the Creative Commons Attribution 4.0 license.\n"
        )
    for index, row in enumerate(rows[:-1]):
        for more, code in enumerate([row["unified"], *(v["unified"] for v in row.get("skin_variations", {}).values())]):
            _picture(place / "fluent" / "assets" / f"{code.lower()}.webp", 5000 + 10 * index + more)
    (place / "fluent" / "LICENSE").write_text("MIT License\n")


def artists_sources(place: Path) -> list[dict[str, Any]]:
    """The three as sources of a recipe for `draw`: artist as a condition, all drawings of a thing in one group."""
    rows = {"table": "emoji.json", "inside": "skin_variations", "label": "{category}"}

    def join(artist: str, path: str, **rest: Any) -> dict[str, Any]:
        fields = {"group": "{outer.unified}", "artist": artist}
        return {**rows, "path": path, "text": f"{{name}}, in the style of {artist}", "fields": fields, **rest}

    noto = {"folder": str(place / "noto")}
    return [
        {**noto, "join": join("noto", "img/noto/64/{image}")},
        {"folder": str(place / "twemoji"), "join": join("twemoji", "img/twemoji/64/{image}")},
        {"folder": str(place / "fluent"), "join": join("fluent", "assets/{unified}.webp", **{"from": noto})},
    ]
