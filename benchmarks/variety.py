"""Why a GAN's pictures of one word are alike: how much of its picture comes from noise and how much from the word, by training step.

    genwright train benchmarks/variety.yaml --run-dir runs/variety     # emoji of two artists, each word with two pictures
    genwright train benchmarks/variety.yaml --run-dir runs/variety-one --set 'data.sources=[...]'     # of one artist alone
    python benchmarks/variety.py runs/variety

Looks at every checkpoint that is kept and at the same networks before training. Variety within a word is that of the score sheet, by
the features of KID and by pixels (of words with several pictures, where there are any); at the end also with the noise scaled by the
control `truncation`. For the inputs of the generator's stages it tells the mean norm of a weight's column from noise and from the word.
What the discriminator makes of it: how often it prefers the real picture to one drawn for the same word, and to another word's picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from genwright.families.gan.family import Gan
from genwright.metrics import features
from genwright.metrics.variety import sizes, variety
from genwright.model import ModelConfig
from genwright.model_folder import build_parts, build_task
from genwright.recipe import load
from genwright.run import Run, read_json
from genwright.stages.prepare.stage import load_splits
from genwright.tasks.image.pixels import given_of, to_bytes
from genwright.training import checkpoint

TRUNCATIONS = (0.5, 1.0, 2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    run = Run(parser.parse_args().run)
    recipe = load(run.recipe)
    task = build_task(recipe)
    splits = load_splits(run, task)
    facts = task.load_facts(run.stage("prepare") / "facts")
    plan = read_json(run.stage("train") / "plan.json")
    config = ModelConfig.model_validate(plan["config"])
    torch.manual_seed(recipe.train.seed)
    family = build_parts(task, config, facts, torch.device("cpu"))["model"]
    assert isinstance(family, Gan)
    train = splits["train"]
    conditions = np.stack([train[i]["condition"] for i in range(len(train))])
    images = np.stack([train[i]["image"] for i in range(len(train))])
    words, place, counts = np.unique(conditions, axis=0, return_inverse=True, return_counts=True)
    count, each = sizes(500)
    several = np.flatnonzero(counts > 1)
    there = len(several) >= count  # else the data has one picture a word, but for some by chance
    chosen = np.random.default_rng(0).permutation(several if there else np.arange(len(words)))[:count]
    print(f"{len(train)} training pictures, {len(words)} words; {len(chosen)} words, {each} samples of each")
    if there:
        groups = [np.flatnonzero(place.ravel() == word)[:each] for word in chosen]
        print("real".ljust(26), by_both([images[group] for group in groups]))
    kept = sorted((run.stage("train") / "model" / "checkpoints").iterdir())
    for folder in (None, *kept):
        if folder is not None:
            put_in(family, folder)
        print("before training" if folder is None else folder.name, shares(family))
        for truncation in TRUNCATIONS if folder in (None, kept[-1]) else (1.0,):
            drawn = draw(family, words[np.repeat(chosen, each)], truncation)
            groups = list(drawn.reshape(len(chosen), each, *images.shape[1:]))
            print(f"  noise x {truncation}".ljust(26), by_both(groups), flush=True)
        print("  discriminator".ljust(26), preferences(family, conditions, images))


def put_in(family: Gan, folder: Path) -> None:
    """A checkpoint's weights, as they were trained (not averaged)."""
    weights, _ = checkpoint.read(folder)
    for module in family.modules:
        start = f"{module}."
        state = {key.removeprefix(start): value for key, value in weights.items() if key.startswith(start)}
        family.modules[module].load_state_dict(state)


@torch.no_grad()
def draw(family: Gan, conditions: np.ndarray, truncation: float) -> np.ndarray:
    noise = torch.randn(len(conditions), family.latent, generator=torch.Generator().manual_seed(1))
    return to_bytes(family.modules["generator"](noise * truncation, rows(conditions)))


def rows(conditions: np.ndarray) -> dict[str, torch.Tensor]:
    return {name: torch.stack([given_of(row)[name] for row in conditions]) for name in given_of(conditions[0])}


def by_both(groups: list[np.ndarray]) -> str:
    """Variety by features and by pixels."""
    cuts = np.cumsum([len(group) for group in groups])[:-1]
    flat = np.concatenate(groups)
    found = []
    for values in (features.extract(flat), flat.reshape(len(flat), -1).astype(np.float32)):
        score = variety([list(group) for group in np.split(values, cuts)], distance, 0)
        found.append(f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})")
    return f"variety by features {found[0]}, by pixels {found[1]}"


def distance(one: np.ndarray, two: np.ndarray) -> float:
    return float(np.linalg.norm(one - two))


def shares(family: Gan) -> str:
    generator = family.modules["generator"]
    layers = [generator.into, *generator.styles]  # type: ignore[misc,union-attr]
    parts = [layer.weight.norm(dim=0).split((family.latent, layer.in_features - family.latent)) for layer in layers]
    return "columns of noise and word: " + ", ".join(
        f"{float(n.detach().mean()):.2f} and {float(w.detach().mean()):.2f}" for n, w in parts
    )


@torch.no_grad()
def preferences(family: Gan, conditions: np.ndarray, images: np.ndarray) -> str:
    """Shares of pairs in which the real picture of a word is preferred."""
    some = np.random.default_rng(1).permutation(len(images))[:256]
    given = rows(conditions[some])
    real = torch.from_numpy(images[some]).permute(0, 3, 1, 2).float() / 127.5 - 1
    drawn = family.modules["generator"](torch.randn(len(some), family.latent), given)
    judge = family.modules["discriminator"]
    logit, of_drawn, of_others = (judge(x, given) for x in (real, drawn, real.roll(1, 0)))
    return (
        f"prefers the real picture to one drawn for its word in {float((logit > of_drawn).float().mean()):.2f} of pairs, "
        f"to another word's in {float((logit > of_others).float().mean()):.2f}"
    )


if __name__ == "__main__":
    main()
