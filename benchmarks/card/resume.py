"""Killed with SIGKILL in the middle and gone on with: are the weights bit for bit those of a training that was let alone?

Every task with every family, tiny recipes on real data, on the device as it is: bf16 and compiled where it has both. Where recipes know
`train.deterministic`, all of it once more with it on, and its price in the time of a step.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
import yaml
from PIL import Image

from card import common
from card.common import ASSETS, row
from genwright.recipe import TrainSettings
from genwright.registry import TASKS, families_of
from genwright.run import read_json_lines
from genwright.training import checkpoint

SWITCH = "deterministic"
_WAIT_S = 120
_AT_ONCE = 6
"""More only wait for each other while they are compiled."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    pairs = [(task, family) for task in TASKS for family in families_of(task)]
    if options.small:
        pairs = [("write", "transformer")]
    modes: list[dict[str, Any]] = [{}] + ([{SWITCH: True}] if SWITCH in TrainSettings.model_fields else [])
    with common.work() as place:
        for mode in modes[:1] if options.small else modes:
            # Side by side: what counts here is what comes out, and most of the time goes to starting programs.
            with ThreadPoolExecutor(1 if options.small else _AT_ONCE) as pool:
                yield from (
                    done.result()
                    for done in as_completed(
                        [pool.submit(_killed, place, *pair, mode, options.small) for pair in pairs]
                    )
                )
        if len(modes) > 1 and not options.small:
            yield from _price(place)


def _killed(place: Path, task: str, family: str, mode: dict[str, Any], small: bool) -> dict[str, Any]:
    name = f"{task} by {family}{', deterministic' if mode else ''}"
    try:
        return _compared(place / name.replace(" ", "-").replace(",", ""), name, task, family, mode, small)
    except (RuntimeError, TimeoutError, OSError) as error:
        return row(f"{name}: failed: {error}"[:300], 0, "bit-equal", goal=1)


def _compared(here: Path, name: str, task: str, family: str, mode: dict[str, Any], small: bool) -> dict[str, Any]:
    here.mkdir(parents=True)
    every = 10 if small else 60
    recipe = recipe_of(here, task, family, mode, steps=6 * every, every=every, plain=small)
    for stage in ("collect", "prepare"):
        common.genwright(here, stage, recipe, "--run-dir", "whole")
    shutil.copytree(here / "whole", here / "killed")
    common.genwright(here, "train", recipe, "--run-dir", "whole", "--anyway")
    at = _kill(here, recipe, after=2 * every)
    common.genwright(here, "train", recipe, "--run-dir", "killed", "--anyway")
    equal = all(_equal(part, here / "killed" / "train" / part.name) for part in _parts(here / "whole"))
    return row(f"{name}, killed after step {at}", int(equal), "bit-equal", goal=1, parts=len(_parts(here / "whole")))


def _kill(here: Path, recipe: str, after: int) -> int:
    """Start the training, kill it once a checkpoint of that step stands; the newest step that stands then."""
    command = [sys.executable, "-m", "genwright", "train", recipe, "--run-dir", "killed", "--anyway"]
    with (here / "killed.log").open("w") as log:
        child = subprocess.Popen(command, cwd=here, stdout=log, stderr=log)
    until = time.monotonic() + _WAIT_S
    while not any(_steps(here / "killed", after)):
        if child.poll() is not None or time.monotonic() > until:
            child.kill()
            raise TimeoutError(f"no checkpoint of step {after} was seen before the training ended")
        time.sleep(0.002)
    running = child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    if not running:
        raise TimeoutError("the training had ended before it was killed")
    return max(_steps(here / "killed", 0))


def _steps(run: Path, least: int) -> list[int]:
    found = [int(place.name.removeprefix("step-")) for place in run.glob("train/*/checkpoints/step-*")]
    return [step for step in found if step >= least]


def _parts(run: Path) -> list[Path]:
    return [place.parent for place in sorted(run.glob("train/*/checkpoints"))]


def _equal(one: Path, other: Path) -> bool:
    (weights, state), (again, state_again) = (checkpoint.read(checkpoint.all_in(at / "checkpoints")[0]) for at in (one, other))  # fmt: skip
    same = weights.keys() == again.keys() and all(torch.equal(weights[name], again[name]) for name in weights)
    return same and state["step"] == state_again["step"] and state["best"] == state_again["best"]


def recipe_of(here: Path, task: str, family: str, mode: dict[str, Any], *, steps: int, every: int, plain: bool) -> str:
    """Write the recipe of a pair into a folder; its name."""
    sources, model = _data(here, task)
    width = 16 if plain else 32
    if (task, family) == ("draw", "transformer"):
        model = {**model, "codec": {"width": width}, "prior": {"layers": 2, "width": 64}}
    elif family != "transformer":
        model = {**model, "width": width}
    train = {
        "budget": f"{steps} steps",
        "batch": 8,
        "checkpoint_every": f"{every} steps",
        "validate_times": 3,
        "previews": 0,
        "patience": 0,
        "compile": "on"
        if (task, family) == ("write", "transformer") and torch.cuda.is_available() and not plain
        else "off",
        **dict.fromkeys(mode, "on"),
    }
    content = {"task": task, "data": {"sources": sources}, "model": {"family": family, **model}, "train": train}
    (here / "r.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return "r.yaml"


def _data(here: Path, task: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The sources and the model's settings. Raises RuntimeError for a task that has no data here."""
    text = {"layers": 2, "width": 64, "context": 64}
    if task == "write":
        return [{"folder": str(ASSETS / "text")}], text
    if task == "complete":
        return [{"folder": str(ASSETS / "runs" / "484daea" / "data" / "code")}], text
    if task == "chat":
        _conversations(here / "chats.jsonl")
        return [{"table": str(here / "chats.jsonl")}], text
    if task == "draw":
        join = {"table": "emoji.jsonl", "path": "{image}", "text": "{text}"}
        return [{"folder": str(ASSETS / "pictures"), "join": join}], {"size": 16}
    if task == "repair":
        return [{"folder": str(ASSETS / "pictures")}], {"size": 16}
    if task == "restyle":
        _two_hands(here / "hands")
        sides = (("plain", "a"), ("turned", "b"))
        return [{"folder": str(here / "hands" / hand), "as": side} for hand, side in sides], {"size": 16}
    raise RuntimeError(f"no data for the task {task} stands in card/resume.py")


def _two_hands(folder: Path) -> None:
    """The emoji as they are, and with their colours turned, under other names: two sets that nothing pairs."""
    for number, file in enumerate(sorted((ASSETS / "pictures").glob("*.png"))):
        plain = Image.open(file).convert("RGBA")
        red, green, blue, alpha = plain.split()
        for hand, picture in (("plain", plain), ("turned", Image.merge("RGBA", (blue, red, green, alpha)))):
            (folder / hand).mkdir(parents=True, exist_ok=True)
            picture.save(folder / hand / f"{hand}-{number:02}.png")


def _conversations(file: Path) -> None:
    said = (ASSETS / "chats" / "chitchat.jsonl").read_text(encoding="utf-8").splitlines()
    with file.open("w", encoding="utf-8") as out:
        for one in map(json.loads, said):
            turns = [" ".join(line["text"] for line in turn) for turn in one["messages"]]
            roles = ("user", "assistant") * len(turns)
            messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
            out.write(json.dumps({"messages": messages}) + "\n")


def _price(place: Path) -> Iterator[dict[str, Any]]:
    """How much longer a step takes with `deterministic`, of a text model and of a GAN, one after the other."""
    for task, family in (("write", "transformer"), ("draw", "gan")):
        rates = []
        for mode in ({}, {SWITCH: True}):
            here = place / f"price-{task}-{len(mode)}"
            here.mkdir()
            recipe = recipe_of(here, task, family, mode, steps=400, every=400, plain=False)
            for stage in ("collect", "prepare", "train"):
                common.genwright(here, stage, recipe, "--run-dir", "run")
            records = read_json_lines(next(here.glob("run/train/*/metrics.jsonl")))
            rates.append(statistics.median(record["items_per_second"] for record in records[len(records) // 2 :]))
        yield row(f"{task} by {family}: a step with deterministic beside one without", rates[0] / rates[1], "times")
