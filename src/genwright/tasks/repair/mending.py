"""A trained model at work on damaged pictures: many small ones for the scores, or one of any size over tiles.

Two answers: `mean` is one step from noise, which finds the mean of all pictures that it could have been, and so what PSNR rewards;
`sample` takes several steps and finds one of them.

Shapes: N pictures, S side, H W pixels, R rows, P pixels of a padded row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.console import Line
from genwright.engine.engine import Engine
from genwright.errors import RequestError
from genwright.families.base import Foresees
from genwright.media.image import colour
from genwright.model import Model
from genwright.seeds import request_stream
from genwright.shards import Example
from genwright.tasks.image.pixels import Pictures, to_bytes
from genwright.tasks.image.tiles import Tiling, Turns, Work, noise, reflected
from genwright.tasks.repair.damage import beside, told
from genwright.tasks.repair.original import Original

MEAN = {"steps": 1, "solver": "euler", "guidance": 1.0}
"""Controls of the answer `mean`: along the direction at pure noise, which points to the mean."""
SAMPLE = {"steps": 8, "solver": "leap", "guidance": 1.0}


def mended(
    model: Model, engine: Engine, examples: Sequence[Example], controls: dict[str, Any], seed: int, first: int = 0
) -> Iterator[Pictures]:
    """Damaged pictures of the network's size, each with a stream of its own -> uint8[S, S, 3], what is known as it was seen."""
    asked = model.family.Controls.model_validate(controls)
    outputs = []
    for index, example in enumerate(examples):
        seen = beside(example["seen"][None], example["known"][None])[0]
        given = {"condition": torch.from_numpy(example["condition"]).long(), "beside": seen}
        rng = request_stream(seed, first + index)
        outputs.append(engine.submit(model.session(), lambda s, given=given, rng=rng: s.start(given, rng, asked)))
    try:
        for output, example in zip(outputs, examples, strict=True):
            for image_CHW in output:
                yield kept(example, to_bytes(image_CHW[None])[0])
    finally:
        for output in outputs:
            output.close()


def kept(example: Example, found: Pictures) -> Pictures:
    """Where parts are missing, the others stay as they were seen; else all is as it was found."""
    if example["known"].all():
        return found
    return np.where(example["known"][..., None] > 0, example["seen"], found)


@dataclass(frozen=True)
class Job:
    """One picture to mend: `holes` is where it is not known, `changes` where it may change, `kinds` what is to be mended there."""

    original: Original
    holes: np.ndarray
    changes: np.ndarray
    kinds: tuple[str, ...]
    background: str
    strength: float = 1.0

    def look(self, tiling: Tiling) -> Any:
        """What the network sees beside the noise, of some rows of the padded picture."""
        columns = reflected(0, tiling.padded_width, tiling.width)
        ground = colour(self.background)

        def rows(first: int, count: int) -> Tensor:
            chosen = reflected(first, count, tiling.height)
            seen_RPC = torch.from_numpy(self.original.seen(chosen, columns, ground)).permute(2, 0, 1)
            known_RP = torch.from_numpy(~self.holes[chosen][:, columns]).float()[None]
            return torch.cat([seen_RPC * known_RP, known_RP])

        return rows


def over_tiles(
    model: Model, job: Job, controls: dict[str, Any], rng: torch.Generator, size: int, line: Line
) -> Iterator[Original]:
    """Mends a picture of any size in tiles of `size`; work for `Turns`, which gives the new picture after each band, as far as it is mended."""
    family = model.family
    if not isinstance(family, Foresees):
        raise RequestError(f"a model by `{model.task.family}` can't mend pictures in steps; train one by flow.")
    original, made, tiling = job.original, job.original.copy(), Tiling(job.original.height, job.original.width, size)
    condition = torch.from_numpy(told(*job.kinds)).long().to(model.device)
    starts = (row * tiling.stride for row in range(tiling.rows))
    wanted = [tiling.touched(row, job.changes[top : top + size]) for row, top in enumerate(starts)]
    line.total, done = controls["steps"] * sum(map(len, wanted)), 0

    def foresee(z: Tensor, seen: Tensor, time: float, until: float) -> Tensor:
        given = {"condition": condition.expand(len(z), -1), "beside": seen}
        return family.foresee(z, time, until, given, controls["guidance"])

    def worked(tiles: int) -> None:
        nonlocal done
        done += tiles
        line.update(done, "tiles")

    work = Work(tiling, foresee, job.look(tiling), wanted, model.capacity, model.device, worked)
    steps = controls["steps"]
    bands = work.steps(noise(tiling, 3, rng), [step / steps for step in range(steps + 1)], controls["solver"] == "leap")
    top, ground, columns = 0, colour(job.background), np.arange(tiling.width)
    for band_CRP in bands:
        rows = np.arange(top, min(top + band_CRP.shape[1], original.height))
        found_RWC = band_CRP[:, : len(rows), : tiling.width].permute(1, 2, 0).clamp(-1, 1).numpy()
        if job.strength < 1:
            before = original.seen(rows, columns, ground)
            share = np.where(job.holes[rows], 1, job.strength)[..., None].astype(np.float32)
            found_RWC = before + share * (found_RWC - before)
        if len(rows):
            made.put(top, found_RWC, job.changes[rows], ground)
        top += band_CRP.shape[1]
        yield made


def repaired(
    model: Model, engine: Engine, job: Job, controls: dict[str, Any], seed: int, index: int, size: int, line: Line
) -> Original:
    """The picture mended, by the engine."""
    work = over_tiles(model, job, controls, request_stream(seed, index), size, line)
    turns = Turns()
    *_, made = engine.submit(turns, lambda session: turns.start(work))
    return made
