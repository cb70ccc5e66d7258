"""A flow over `network: transformer` as diffusers' stock `PRXPixelPipeline`, drawn with there and compared.

    model_index.json  transformer/ (PRXTransformer2DModel)  text_encoder/ (transformers' Qwen3Model)  tokenizer/  scheduler/

The transformer has diffusers' names and shapes already (networks/dit.py); `leap_in`, which is nothing for steps of no length, stays behind,
so the folder is the plain flow and not its few steps. diffusers divides by the noise's share, but by no less than 0.05; the scheduler ends its
grid at 1/16, so that this never happens and 16 steps are those of equal length that `--solver euler --steps 16` takes here.

Of alpha diffusers' pipeline knows nothing.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from tokenizers import Tokenizer, processors
from torch import Tensor

from genwright.errors import RequestError
from genwright.exporters.pictures.folder import PictureComparison, PictureWork, drawn, noise_of
from genwright.families.flow.options import Controls
from genwright.networks.dit import DiT
from genwright.networks.hugging_face import to_hf_config, to_hf_state
from genwright.networks.told import CaptionTokens
from genwright.tasks.image.facts import DrawFacts

VERSION = "0.42.1"
"""Of diffusers, that the layout was read from and is tested with."""
STEPS = 16
GUIDANCE = Controls.model_validate({}).guidance
_LEFT_OUT = ("encoder.", "leap_in.")


def write_folder(work: PictureWork) -> None:
    """Raises RequestError for a model that has no such layout."""
    network = _network(work)
    assert isinstance(network.encoder, CaptionTokens)
    _save_transformer(network, work.folder / "transformer")
    _save_text_encoder(network.encoder, work.folder / "text_encoder")
    _save_tokenizer(work.facts, work.folder / "tokenizer")
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": VERSION}
    scheduler |= {"num_train_timesteps": 1000, "shift": 1.0, "shift_terminal": 1 / STEPS}
    _write(work.folder / "scheduler" / "scheduler_config.json", scheduler)
    _write(
        work.folder / "model_index.json",
        {
            "_class_name": "PRXPixelPipeline",
            "_diffusers_version": VERSION,
            "default_sample_size": network.shape[1],
            "prompt_max_tokens": work.facts.tokens,
            "noise_scale": 1.0,
            "transformer": ["diffusers", "PRXTransformer2DModel"],
            "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
            "text_encoder": ["transformers", "Qwen3Model"],
            "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        },
    )


def missing() -> str:
    """Why nothing can be compared here; "" where it can."""
    absent = [name for name in ("diffusers", "transformers", "ftfy") if find_spec(name) is None]
    if not absent:
        return ""
    return f"not compared in diffusers, because {' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed (pip install diffusers=={VERSION} ftfy)"


def compare(work: PictureWork) -> PictureComparison:
    """Stock diffusers draws what `solver: euler` does here from the same noise. Raises WorkError where it does not."""
    diffusers: Any = import_module("diffusers")  # no dependency of ours, so a type checker need not find it
    made = diffusers.PRXPixelPipeline.from_pretrained(str(work.folder))
    made.set_progress_bar_config(disable=True)
    shape, worst, prompts = list(_network(work).shape), 0.0, work.prompts()
    controls = {"solver": "euler", "steps": STEPS, "guidance": GUIDANCE}
    for number, prompt in enumerate(prompts):
        ours = drawn(work.model, work.facts.encode(prompt, ""), number, controls, {})
        noise = noise_of(shape, number)[None]
        theirs = made(
            prompt,
            latents=noise,
            num_inference_steps=STEPS,
            guidance_scale=GUIDANCE,
            output_type="pt",
            use_resolution_binning=False,
        ).images[0]
        worst = max(worst, float((theirs - ours).abs().max()))
    note = f"{STEPS} steps with a guidance of {GUIDANCE}"
    return PictureComparison(
        runtime="diffusers",
        version=str(diffusers.__version__),
        pictures=len(prompts),
        largest_difference=worst,
        notes=[note],
    ).checked()


def _network(work: PictureWork) -> DiT:
    network = work.model.family.modules["network"] if work.model.family.name == "flow" else None
    if not isinstance(network, DiT):
        raise RequestError(
            "--as diffusers: only a flow over patches has diffusers' layout; train one with `model: {family: flow, network: transformer}`, or "
            "take `--as onnx`."
        )
    if network.beside or network.shape[0] != 3:
        raise RequestError(
            "--as diffusers: diffusers' pipeline draws RGB from words alone, and this network sees or makes more; take `--as onnx`."
        )
    if work.facts.condition != "text":
        raise RequestError(
            f"--as diffusers: diffusers' pipeline draws from words, and this model has `condition: {work.facts.condition}`; train one with "
            "`condition: text`, or take `--as onnx`."
        )
    return network


def _save_transformer(network: DiT, folder: Path) -> None:
    """`to_out.0` and the like are named as diffusers names them."""
    state = {name: value for name, value in network.state_dict().items() if not name.startswith(_LEFT_OUT)}
    _write(
        folder / "config.json",
        {"_class_name": "PRXTransformer2DModel", "_diffusers_version": VERSION, **transformer_config(network)},
    )
    _save(state, folder / "diffusion_pytorch_model.safetensors")


def transformer_config(network: DiT) -> dict[str, Any]:
    """What `PRXTransformer2DModel` is built with."""
    block: Any = network.blocks[0]
    width, head = block.gate_proj.in_features, block.attention.norm_q.normalized_shape[0]
    first: Any = network.img_in[0]
    return {
        "in_channels": network.shape[0],
        "patch_size": network.patch,
        "context_in_dim": network.txt_in.in_features,
        "hidden_size": width,
        "mlp_ratio": block.gate_proj.out_features / width,
        "num_heads": width // head,
        "depth": len(network.blocks),
        "axes_dim": [head // 2, head // 2],
        "theta": 10_000,
        "time_factor": 1000.0,
        "time_max_period": 10_000,
        "bottleneck_size": first.out_features,
        "resolution_embeds": False,
    }


def _save_text_encoder(encoder: CaptionTokens, folder: Path) -> None:
    """The decoder without the layer that gives logits: transformers' Qwen3Model."""
    config = to_hf_config(encoder.decoder.config) | {"architectures": ["Qwen3Model"]}
    _write(folder / "config.json", config)
    tensors = to_hf_state(encoder.decoder.config, encoder.decoder.state_dict())
    _save({name.removeprefix("model."): value for name, value in tensors.items()}, folder / "model.safetensors")


def _save_tokenizer(facts: DrawFacts, folder: Path) -> None:
    """The captions' own tokenizer, with the token that opens every caption put before it."""
    made = Tokenizer.from_str(facts.captions.to_str())
    start = made.token_to_id("<start>")
    made.post_processor = processors.TemplateProcessing(  # type: ignore[assignment]
        single="<start> $A", pair="<start> $A $B", special_tokens=[("<start>", start)]
    )
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>", "bos_token": "<start>"}
    settings |= {"model_max_length": facts.tokens, "padding_side": "right", "clean_up_tokenization_spaces": False}
    _write(folder / "tokenizer_config.json", settings)


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, file, metadata={"format": "pt"})


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
