"""Draws with a model that Genwright exported as ONNX; stands beside it, and needs numpy, onnxruntime, tokenizers and Pillow.

    python drawing.py "a red heart" heart.png [SEED]

or, in a program of your own:

    from drawing import Pipeline
    Pipeline("folder")("a red heart", seed=1).save("heart.png")
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from PIL import Image


class Pipeline:
    """`about` is pipeline.json; its `defaults` may be changed with each call."""

    def __init__(self, folder: str | Path, threads: int = 0):
        self.folder = Path(folder)
        self.about: dict[str, Any] = json.loads((self.folder / "pipeline.json").read_text(encoding="utf-8"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        file = str(self.folder / self.about["network"])
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def __call__(self, prompt: str = "", seed: int = 0, **controls: Any) -> Image.Image:
        """A picture. `controls`: truncation; of a flow steps, guidance, solver ("leap" or "euler") and beside."""
        noise = np.random.default_rng(seed).standard_normal((1, *self.about["noise"]), np.float32)
        return self.picture(self.draw(noise, self.condition(prompt), **controls)[0])

    def condition(self, prompt: str) -> np.ndarray:
        """A prompt as the network is told it: int64[1, L]."""
        told = self.about["condition"]
        if told["kind"] == "none":
            return np.zeros((1, 1), np.int64)
        if told["kind"] == "ids":  # of a task without words: `draw` takes them as they are
            return np.zeros((1, told["count"]), np.int64)
        if told["kind"] == "label":
            return np.array([[told["labels"].index(prompt)]], np.int64)
        from tokenizers import Tokenizer

        found = Tokenizer.from_file(str(self.folder / told["tokenizer"])).encode(prompt).ids
        ids = [told["start"], *found][: told["tokens"]]
        return np.array([ids + [told["pad"]] * (told["tokens"] - len(ids))], np.int64)

    def draw(self, noise: np.ndarray, condition: np.ndarray, **controls: Any) -> np.ndarray:
        """Pictures in [-1, 1], float32[B, C, H, W], from noise float32[B, ...] and conditions int64[B, L]."""
        chosen = {**self.about["defaults"], **controls}
        noise = np.float32(chosen["truncation"]) * noise
        if self.about["family"] != "flow":
            return self._run(noise=noise, condition=condition)
        return self._flow(noise, condition, chosen)

    def _flow(self, z: np.ndarray, condition: np.ndarray, chosen: dict[str, Any]) -> np.ndarray:
        count, steps, scale = len(z), chosen["steps"], np.float32(chosen["guidance"])
        beside = {"beside": chosen["beside"]} if "beside" in chosen else {}
        for number in range(steps):
            time, until = number / steps, (number + 1) / steps
            when = np.full(count, time, np.float32)
            where = np.full(count, until if chosen["solver"] == "leap" else time, np.float32)
            inputs = {"z": z, "time": when, "until": where, "condition": condition, **beside}
            clean = self._run(**inputs, told=np.ones(count, bool))
            if scale != 1 and self.about["condition"]["kind"] != "none":
                other = self._run(**inputs, told=np.zeros(count, bool))
                clean = other + scale * (clean - other)
            z = z + np.float32(until - time) * (clean - z) / np.float32(1 - time)
        return z

    def _run(self, **inputs: np.ndarray) -> np.ndarray:
        (found,) = self.session.run(["image"], inputs)
        return np.asarray(found)

    @staticmethod
    def picture(image_chw: np.ndarray) -> Image.Image:
        values = np.round((np.clip(image_chw, -1, 1) + 1) * 127.5).astype(np.uint8)
        return Image.fromarray(values.transpose(1, 2, 0))


if __name__ == "__main__":
    words, place, *seed = sys.argv[1:]
    Pipeline(Path(__file__).parent)(words, seed=int(seed[0]) if seed else 0).save(place)
