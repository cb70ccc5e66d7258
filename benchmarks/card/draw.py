"""GAN, flow and the others on emoji of 64 pixels, one seed, as the program chooses all else: pictures a second and KID; beside R3GAN's own code.

R3GAN's networks are built by its own classes with as many parameters as ours, and stepped with its own losses as its training loop
does, on the same pictures: its speed alone is measured.
"""

from __future__ import annotations

import importlib
import statistics
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import packaging.version
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

from card import common
from card.common import ASSETS, row
from genwright.registry import families_of
from genwright.run import read_json, read_json_lines
from genwright.scores import ScoreSheet

BUDGET_S = 90.0
KID_BEFORE = 0.96
"""Of the GAN of commit 484daea after 90 seconds on an H200, which the new one is held against."""
TIMES = 1.5
_AFTER_S = 45.0
"""Kept for the evaluation of a run."""
_FIRST = ("gan", "flow")
"""Share the time evenly; the others take what is left."""


def rows(options: Any) -> Iterator[dict[str, Any]]:
    families = ("vae",) if options.small else (*_FIRST, *(name for name in families_of("draw") if name not in _FIRST))
    with common.work() as place:
        for number, family in enumerate(families):
            sharing = max(1, len(_FIRST) - number)
            budget = 3.0 if options.small else min(BUDGET_S, (common.left(options) - 30) / sharing - _AFTER_S)
            if budget < 3:
                yield row(f"{family}: not run, no time was left", None, "")
                continue
            yield from _run(place, family, budget, options)
            if family == "gan" and options.r3gan is not None:
                yield from _beside(place / family, options)


def source(options: Any) -> dict[str, Any]:
    if options.small:
        join = {"table": "emoji.jsonl", "path": "{image}", "text": "{text}"}
        return {"folder": str(ASSETS / "pictures"), "join": join}
    join = {"table": "emoji.json", "path": "img/{image}", "text": "{name}", "label": "{category}"}
    return {"folder": str(common.folder(options, "pictures")), "join": join}


def _run(place: Path, family: str, budget: float, options: Any) -> Iterator[dict[str, Any]]:
    size, batch = (16, 8) if options.small else (64, None)
    content = {
        "task": "draw",
        "data": {"sources": [source(options)]},
        "model": {"family": family, "size": size},
        "train": {"budget": f"{budget:.0f}s", "seed": 0, **({"batch": batch} if batch else {})},
        "evaluate": {"samples": 40} if options.small else {},
    }
    (place / f"{family}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    name = f"{family}, {size} pixels, {budget:.0f} s"
    start = time.monotonic()
    for stage in ("collect", "prepare", "train"):
        common.genwright(place, stage, f"{family}.yaml", "--run-dir", family)
    folder = place / family / "train"
    records = read_json_lines(next(folder.glob("*/metrics.jsonl")))
    rates = [record["items_per_second"] for record in records[len(records) // 4 :]]
    summary = read_json(folder / "stage.json")["summary"] if (folder / "stage.json").exists() else {}
    yield row(f"{name}: pictures a second", statistics.median(rates), "pictures/s", title=summary.get("title"), steps=records[-1]["step"])  # fmt: skip
    common.genwright(place, "evaluate", f"{family}.yaml", "--run-dir", family)
    scores = ScoreSheet.read(place / family / "evaluate" / "scores.json")
    goal = KID_BEFORE if family == "gan" and not options.small else None
    kid, floor = (scores.row(kind).scores["kid"].value for kind in ("model", "floor"))
    yield row(f"{name}: KID (beside: the floor row)", kid, "KID", floor, goal, lower=True)
    yield row(f"{name}: all stages but export", time.monotonic() - start, "s")


def _beside(run: Path, options: Any) -> Iterator[dict[str, Any]]:
    """R3GAN's speed with as many parameters and as large a batch as the run had."""
    part = next((run / "train").glob("*/plan.json"))
    plan = read_json(part)
    batch, parameters = plan["settings"]["batch"], plan["measured"]["parameters"]
    ours = statistics.median(r["items_per_second"] for r in read_json_lines(part.with_name("metrics.jsonl"))[10:])
    theirs, detail = r3gan(options.r3gan, _pictures(options), batch, parameters)
    yield row("gan, pictures a second beside R3GAN's own code", ours, "pictures/s", theirs, TIMES * theirs, parameters=parameters, batch=batch, **detail)  # fmt: skip


def _pictures(options: Any) -> Tensor:
    """The pictures on white, [N, 3, 64, 64] in [-1, 1]."""
    files = sorted((common.folder(options, "pictures") / "img").glob("*.png"))
    found = []
    for file in files:
        drawn = Image.open(file).convert("RGBA")
        laid = Image.new("RGBA", drawn.size, "white")
        laid.alpha_composite(drawn)
        found.append(np.asarray(laid.convert("RGB").resize((64, 64)), dtype=np.float32))
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).contiguous() / 127.5 - 1


def r3gan(
    checkout: Path, pictures: Tensor, batch: int, parameters: int, size: int = 64
) -> tuple[float, dict[str, Any]]:
    """Pictures a second of its own networks and losses, and how they were run.

    Its fused CUDA operators are compiled where the machine can; where it can't, its own reference ones are used.
    """
    device = common.device()
    networks, training, operators = _modules(checkout, device)
    generator, discriminator = _of_size(networks, parameters, size)
    for network in (generator, discriminator):
        network.to(device).train()
    for stages in (generator.MainLayers[1:], discriminator.MainLayers[:-1]) if device.type == "cuda" else ():
        for stage in stages:  # all but the smallest, as its presets have it
            stage.DataType = torch.bfloat16
    adversarial = training.AdversarialTraining(generator, discriminator)
    pairs = [(network, torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.0, 0.9), eps=1e-8)) for network in (discriminator, generator)]  # fmt: skip
    average = [parameter.detach().clone() for parameter in generator.parameters()]

    def step() -> None:
        for number, (network, optimizer) in enumerate(pairs):
            real = pictures[torch.randint(len(pictures), (batch,))].to(device, non_blocking=True)
            noise = torch.randn(batch, 64, device=device)
            optimizer.zero_grad(set_to_none=True)
            for other, _ in pairs:
                other.requires_grad_(other is network)
            if number == 0:
                adversarial.AccumulateDiscriminatorGradients(noise, real, None, 1.0)
            else:
                adversarial.AccumulateGeneratorGradients(noise, real, None)
            optimizer.step()
        torch._foreach_lerp_(average, [parameter.detach() for parameter in generator.parameters()], 0.01)

    torch.backends.cudnn.benchmark = True
    common.first_step(step)
    seconds = common.seconds_a_step(step, 3 if size < 64 else 20)
    torch.backends.cudnn.benchmark = False
    count = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    return batch / seconds, {"r3gan_parameters": count, "operators": operators}


def _modules(checkout: Path, device: torch.device) -> tuple[Any, Any, str]:
    """Its modules, and which of its operators they use: fused where they can be compiled and run, else its reference ones."""
    sys.path.insert(0, str(checkout))
    # It asks pkg_resources for versions, which newer setuptools have no more.
    versions = types.ModuleType("pkg_resources")
    vars(versions)["parse_version"] = packaging.version.parse
    sys.modules.setdefault("pkg_resources", versions)
    fused, resamplers = (importlib.import_module(f"R3GAN.{name}") for name in ("FusedOperators", "Resamplers"))

    operators = "its fused ones"
    try:
        if device.type != "cuda":
            raise RuntimeError("no card")
        fused.BiasedActivationCUDA(8).to(device)(torch.zeros(1, 8, 4, 4, device=device))
        resamplers.InterpolativeUpsamplerCUDA([1, 2, 1]).to(device)(torch.zeros(1, 8, 4, 4, device=device))
    except Exception as error:  # no compiler for CUDA, or one of another version
        operators = f"its reference ones ({type(error).__name__})"
        fused.BiasedActivation = fused.BiasedActivationReference
        resamplers.InterpolativeUpsampler = resamplers.InterpolativeUpsamplerReference
        resamplers.InterpolativeDownsampler = resamplers.InterpolativeDownsamplerReference
    return importlib.import_module("R3GAN.Networks"), importlib.import_module("R3GAN.Trainer"), operators


def _of_size(networks: Any, parameters: int, size: int) -> tuple[nn.Module, nn.Module]:
    """Its generator and discriminator, shaped as its presets, in the width that comes nearest to so many parameters."""

    def build(width: int) -> tuple[nn.Module, nn.Module]:
        stages = (size // 4).bit_length()
        widths = [min(width * 2 ** (stages - 1 - stage), 4 * width) for stage in range(stages)]
        groups = [max(1, one * 2 // 16) for one in widths]
        generator = networks.Generator(64, widths, groups, [1] * stages, 2)
        return generator, networks.Discriminator(widths[::-1], groups[::-1], [1] * stages, 2)

    def off(width: int) -> int:
        with torch.device("meta"):
            return abs(sum(p.numel() for network in build(width) for p in network.parameters()) - parameters)

    return build(min(range(16, 400, 16), key=off))
