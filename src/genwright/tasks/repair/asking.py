"""A request to mend a picture, read: what is missing, what may change, what is to be mended; or what is to be said where it does not say."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from genwright.console import say
from genwright.errors import RequestError
from genwright.tasks.repair import seen
from genwright.tasks.repair.mending import MEAN, Job
from genwright.tasks.repair.original import Original, original_of, read

_HALF = 128
"""A mask's pixels of this luma or more are white."""


def job_of(request: Any, background: str, max_pixels: int) -> Job:
    """Raises RequestError where there is nothing to do, or it can't be done."""
    original = original_of(request.picture, max_pixels)
    kinds = (*request.fix, *(["scale"] if request.scale > 1 else []))
    marked = _marked(request, original, max_pixels)
    if not kinds and marked is None:
        marked, original = _transparent(request, original)
    if request.scale > 1:
        if original.height * original.width * request.scale**2 > max_pixels:
            most = f"{max_pixels:,} pixels, which is `prepare.max_pixels` of the model"
            raise RequestError(f"`scale`: {_named(request)} would have more than {most}; cut a part out of it first.")
        original = original.larger(request.scale)
    everywhere = np.ones((original.height, original.width), np.bool_)
    changes = everywhere if marked is None else marked
    holes = np.zeros_like(changes) if kinds else changes
    if "strength" in request.model_fields_set and not kinds:
        raise RequestError("`strength` is of `fix` and `scale`: a missing part is filled, or it is not; leave it out.")
    return Job(original, holes, changes, kinds, background, request.strength)


def controls_of(request: Any, job: Job) -> dict[str, Any]:
    """The steps of the answer that is asked for. Raises RequestError where more than one is asked of what has one."""
    answer = answer_of(request, job)
    if answer == "sample":
        return {"steps": request.steps, "solver": request.solver, "guidance": request.guidance}
    if request.n > 1:
        raise RequestError("`n`: the answer `mean` is one picture; ask for `answer` sample to have several.")
    steered = {"steps", "solver"} & request.model_fields_set
    if steered:
        raise RequestError(
            f"`{min(steered)}` is of the answer `sample`; this one is `mean`, made in one step; leave it out."
        )
    return MEAN | {"guidance": request.guidance}


def answer_of(request: Any, job: Job) -> str:
    if request.answer != "auto":
        return request.answer
    return "sample" if job.holes.any() else "mean"


def _named(request: Any) -> str:
    return request.picture.name or "the picture"


def _marked(request: Any, original: Original, max_pixels: int) -> NDArray[np.bool_] | None:
    """What the mask or the box marks; None without either."""
    if request.box:
        return _box(request, original)
    if request.mask is None:
        return None
    mask, name = read(request.mask, "mask", max_pixels), request.mask.name or "the mask"
    if mask.size != (original.width, original.height):
        sizes = "{} x {} pixels, and {} has {} x {}".format(
            *mask.size, _named(request), original.width, original.height
        )
        raise RequestError(f"`mask`: {name} has {sizes}; make it as large as the picture, upright.")
    layer = mask.convert("RGBA") if mask.mode not in ("I;16", "I") else _grey(mask)
    white = np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "black"), layer).convert("L")) >= _HALF
    if not white.any():
        raise RequestError(
            f"`mask`: {name} marks nothing, for no pixel of it is white; paint white what is to be filled."
        )
    return white


def _grey(mask: Image.Image) -> Image.Image:
    """Of 16 bits at 8."""
    return Image.fromarray((np.asarray(mask).astype(np.int64) // 257).clip(0, 255).astype(np.uint8)).convert("RGBA")


def _box(request: Any, original: Original) -> NDArray[np.bool_]:
    left, top, width, height = request.corners
    marked = np.zeros((original.height, original.width), np.bool_)
    marked[top : top + height, left : left + width] = True
    if left + width > original.width or top + height > original.height or not marked.any():
        size = f"{_named(request)} has {original.width} x {original.height} pixels"
        raise RequestError(
            f"`box`: {request.box} is empty or does not lie in the picture: {size}; give x,y,width,height."
        )
    return marked


def _transparent(request: Any, original: Original) -> tuple[NDArray[np.bool_], Original]:
    """The transparent pixels as what is missing, where nothing else is asked for; else says what is seen of the picture, and asks."""
    clear = None if original.alpha is None else original.alpha == 0
    if clear is not None and clear.any():
        say(f"{_named(request)}: its transparent pixels are filled ({clear.mean():.1%} of it).")
        return clear, original.opaque(clear)
    phrases, kinds = seen.told(original.picture())
    found = (
        f"{' and '.join(phrases)} can be seen in it"
        if phrases
        else "no noise, no JPEG blocks and no blur can be seen in it"
    )
    fixes = "".join(f" `fix` {kind}," for kind in kinds)
    raise RequestError(
        f"{_named(request)}: {original.width} x {original.height} pixels; {found}. Say what is to be mended:{fixes or ' `fix` noise, blur or jpeg,'}"
        " `scale` 2 or 4, or what is missing with `mask` or `box`."
    )
