"""A medium from outside the package: recordings in WAV files of 16 bits, read by Python's own `wave`."""

from __future__ import annotations

import base64
import io
import platform
import wave
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from genwright.ledger import Drop
from genwright.media.base import Measures, Probed


@dataclass
class Recording:
    """Samples of one channel, int16 in the file's byte order, so many of them a second."""

    rate: int
    samples: bytes


def decode(data: bytes) -> Recording | Drop:
    try:
        with wave.open(io.BytesIO(data)) as file:
            samples = file.readframes(file.getnframes())
            if (file.getnchannels(), file.getsampwidth()) != (1, 2):
                return Drop("undecodable", "not one channel of 16 bits")
            if len(samples) < 2 * file.getnframes():
                return Drop("undecodable", "cut short")
            return Recording(file.getframerate(), samples)
    except (wave.Error, EOFError) as error:
        return Drop("undecodable", str(error))


class Wav:
    name, noun, plural = "wav", "recording", "recordings"
    suffixes = (".wav",)
    textual = False
    size = ("seconds",)
    size_title = "seconds a recording"

    def is_kind(self, head: bytes) -> bool:
        return head[:4] == b"RIFF" and head[8:12] == b"WAVE"

    def probe(self, data: bytes) -> Probed | Drop:
        found = decode(data)
        if isinstance(found, Drop):
            return found
        return Probed({"seconds": len(found.samples) / 2 / found.rate, "rate": found.rate})

    def limit(self, measures: Measures, size_bytes: int, settings: Mapping[str, Any]) -> Drop | None:
        seconds, least = measures["seconds"], settings["min_seconds"]
        return Drop("too_small", f"{seconds:g} seconds; the recipe asks for {least:g}") if seconds < least else None

    def decoder(self) -> str:
        return f"wave of Python {platform.python_version()}"

    def words(self, total: Measures, middle: Measures) -> str:
        return f"{total['seconds']:,.1f} seconds, {middle['seconds']:.1f} in the middle one"

    def encode(self, data: Recording, metadata: Mapping[str, Any]) -> bytes:
        out = io.BytesIO()
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(data.rate)
            file.writeframes(data.samples)
        return out.getvalue()

    def show(self, file: Path, title: str, public: bool) -> str:
        found = base64.b64encode(file.read_bytes()).decode("ascii")
        return Markup('<audio controls src="data:audio/wav;base64,{}" aria-label="{}"></audio>').format(found, title)


WAV = Wav()
