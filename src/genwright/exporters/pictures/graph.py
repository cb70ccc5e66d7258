"""The networks that draw as ONNX graphs, by torch's exporter of traced programs: standard operators of version 17, which every runtime of
the last years has.

    gan, vae   noise float[B,Z], condition int64[B,L]                                                      -> image float[B,C,H,W]
    flow       z float[B,C,H,W], time, until float[B], condition int64[B,L], told bool[B][, beside float[B,E,H,W]] -> clean picture

What the exporter lacks is written down here: norms over the last axis, and an order that keeps equal ones as they stand.

# Shapes: B batch, Z latent width, L condition length, C E channels, H W pixels
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genwright.errors import RequestError
from genwright.model import Model

OPSET = 17
_INT64 = 7
"""`onnx.TensorProto.INT64`."""


class _Gan(nn.Module):
    def __init__(self, modules: nn.ModuleDict):
        super().__init__()
        self.generator = modules["generator"]

    def forward(self, noise_BZ: Tensor, condition_BL: Tensor) -> Tensor:
        return self.generator(noise_BZ, {"condition": condition_BL})


class _Vae(nn.Module):
    def __init__(self, modules: nn.ModuleDict):
        super().__init__()
        self.decoder, self.prior = modules["decoder"], modules["prior"]

    def forward(self, noise_BZ: Tensor, condition_BL: Tensor) -> Tensor:
        given = {"condition": condition_BL}
        mean_BZ, log_variance_BZ = self.prior(given)
        return self.decoder(mean_BZ + noise_BZ * torch.exp(0.5 * log_variance_BZ), given).chunk(2, 1)[0]


class _Flow(nn.Module):
    def __init__(self, modules: nn.ModuleDict):
        super().__init__()
        self.network = modules["network"]

    def forward(
        self, z_BX: Tensor, time_B: Tensor, until_B: Tensor, condition_BL: Tensor, told_B: Tensor, *beside: Tensor
    ) -> Tensor:
        given = {"condition": condition_BL} | dict(zip(("beside",), beside, strict=False))
        return self.network(z_BX, time_B, until_B, given, told_B)


_NETWORKS: dict[str, Callable[[nn.ModuleDict], nn.Module]] = {"gan": _Gan, "vae": _Vae, "flow": _Flow}


@dataclass(frozen=True)
class Shapes:
    """Of one row: noise, the ids of a condition, and the channels of a picture beside (0: none)."""

    noise: tuple[int, ...]
    condition: int
    beside: int


def shapes_of(model: Model, condition: int) -> Shapes:
    """Raises RequestError for a family that can't leave as ONNX."""
    family: Any = model.family
    name = type(family).name
    if name not in _NETWORKS or len(model.parts) > 1:
        raise RequestError(
            f"--as onnx: a model of `{model.task.name}` by {model.task.family} can't be written as onnx; families that can are "
            f"{', '.join(sorted(_NETWORKS))}, and its model folder is its export."
        )
    if name == "flow":
        return Shapes(tuple(family.shape), condition, family.modules["network"].beside)
    return Shapes((family.latent,), condition, 0)


def write(model: Model, shapes: Shapes, file: Path) -> list[str]:
    """The graph of a model, in fp32; the names of its inputs."""
    network = _NETWORKS[type(model.family).name](model.family.modules).eval()
    inputs = _example(shapes, model.family.name == "flow")
    axes = {name: {0: "batch"} for name in (*inputs, "image")}
    _register()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of shapes that a trace can't see changing: they don't
            torch.onnx.export(
                network,
                tuple(inputs.values()),
                str(file),
                input_names=list(inputs),
                output_names=["image"],
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    finally:
        for name in _SYMBOLS:
            torch.onnx.unregister_custom_op_symbolic(name, OPSET)  # pyright: ignore[reportPrivateImportUsage]
    return list(inputs)


def _example(shapes: Shapes, flow: bool) -> dict[str, Tensor]:
    condition = torch.zeros(2, shapes.condition, dtype=torch.long)
    condition[:, 0] = torch.tensor([0, 0])
    if not flow:
        return {"noise": torch.zeros(2, *shapes.noise), "condition": condition}
    inputs = {"z": torch.zeros(2, *shapes.noise), "time": torch.tensor([0.0, 0.5]), "until": torch.tensor([0.5, 1.0])}
    inputs |= {"condition": condition, "told": torch.tensor([True, False])}
    if shapes.beside:
        inputs["beside"] = torch.zeros(2, shapes.beside, *shapes.noise[1:])
    return inputs


def _register() -> None:
    for name, symbol in _SYMBOLS.items():
        torch.onnx.register_custom_op_symbolic(name, symbol, OPSET)  # pyright: ignore[reportPrivateImportUsage]


def _rms_norm(g: Any, x: Any, shape: Any, weight: Any, eps: Any) -> Any:
    squares = g.op("ReduceMean", g.op("Mul", x, x), axes_i=[-1], keepdims_i=1)
    root = g.op("Sqrt", g.op("Add", squares, g.op("Constant", value_t=torch.tensor(_number(eps)))))
    return _weighted(g, g.op("Div", x, root), weight)


def _layer_norm(g: Any, x: Any, shape: Any, weight: Any, bias: Any, eps: Any, cudnn: Any) -> Any:
    middle = g.op("Sub", x, g.op("ReduceMean", x, axes_i=[-1], keepdims_i=1))
    found = _rms_norm(g, middle, shape, weight, eps)
    return found if bias.node().mustBeNone() else g.op("Add", found, bias)


def _argsort(g: Any, x: Any, *rest: Any) -> Any:
    """Along axis 1, ascending; TopK gives the lower index first where two are equal, so it is stable."""
    x = g.op("Cast", x, to_i=_INT64)
    count = g.op("Shape", x, start_i=1, end_i=2)
    return g.op("TopK", x, count, axis_i=1, largest_i=0, sorted_i=1, outputs=2)[1]


def _number(value: Any) -> float:
    """A constant of the traced program; the default of torch where none is given."""
    node = value.node()
    return torch.finfo(torch.float32).eps if node.mustBeNone() else float(node.t("value"))


def _weighted(g: Any, x: Any, weight: Any) -> Any:
    return x if weight.node().mustBeNone() else g.op("Mul", x, weight)


_SYMBOLS = {"aten::rms_norm": _rms_norm, "aten::layer_norm": _layer_norm, "aten::argsort": _argsort}
