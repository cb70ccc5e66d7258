"""What the model fills into the same few holes of held-out files, time after time."""

from __future__ import annotations

from pathlib import Path

from genwright.engine.engine import Engine
from genwright.model import Model
from genwright.tasks.base import Splits
from genwright.tasks.complete.holes import Hole, fill_by_model, held_out_files, line_holes

_HOLES = 6
_SHOWN = 240


def preview(model: Model, engine: Engine, splits: Splits, file_stem: Path) -> Path:
    split = "validation" if len(splits["validation"]) else "train"
    holes = line_holes(held_out_files(splits, split), _HOLES)
    fills = fill_by_model(model, engine, holes, 0, "fill holes for a preview")
    passages = [shown(hole, fill) for hole, fill in zip(holes, fills, strict=True)]
    file = file_stem.with_name(f"{file_stem.name}.txt")
    file.write_text("\n\n----\n\n".join(passages) + "\n", encoding="utf-8")
    return file


def shown(hole: Hole, fill: str) -> str:
    """The lines around a hole, the filling between >>> and <<<, and what really stands there."""
    before, after = hole.text[: hole.start][-_SHOWN:], hole.text[hole.stop :][:_SHOWN]
    before = before[before.find("\n") + 1 :]
    return f"{hole.path}\n{before}>>>{fill}<<<{after.rpartition(chr(10))[0]}\n\nreally: {hole.text[hole.start : hole.stop]}"
