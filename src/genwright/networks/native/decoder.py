"""A `Decoder` read by compiled code: see decoder.cpp for what it does and why.

R rows, L layers, S slots, T tokens of room, K key/value heads, H head width, V vocabulary, W rows whose logits are wanted
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_double, c_int64, c_void_p
from typing import Any

import torch
from torch import Tensor

from genwright.networks.decoder import Block, Decoder
from genwright.networks.native.build import library
from genwright.networks.quantized import quantise

_LARGE_PAGE = 2 * 2**20
_MADV_COLLAPSE = 25
"""madvise(2), Linux 6.1; older ones answer with an error, which changes nothing."""


class _Matrix(Structure):
    _fields_ = [(name, c_void_p) for name in ("data", "scale", "bias")] + [
        (name, c_int64) for name in ("outputs", "inputs", "group")
    ]


class _Layer(Structure):
    _fields_ = [(name, c_void_p) for name in ("input_norm", "post_norm", "q_norm", "k_norm")] + [
        (name, _Matrix) for name in ("qkv", "o", "gate_up", "down")
    ]


class _Model(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("layers", "width", "feed", "heads", "kv_heads", "head_dim", "window")),
        ("epsilon", c_double),
        *((name, c_void_p) for name in ("embedding", "norm", "cosine", "sine")),
        ("output", _Matrix),
        ("layer", POINTER(_Layer)),
    ]


class _Work(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("rows", "wanted", "threads", "reach")),
        *((name, c_void_p) for name in ("token", "slot", "position", "want", "keys", "values")),
        *((name, c_int64) for name in ("layer_stride", "slot_stride", "head_stride")),
        *((name, c_void_p) for name in ("scratch", "logits")),
    ]


class NativeDecoder:
    """The weights of `network` where they lie (or int8 copies of its matrices), and room to compute in."""

    def __init__(self, network: Decoder, int8: bool = False):
        """Raises RuntimeError where `available` is False."""
        compiled = library()
        if compiled is None or not fits(network):
            raise RuntimeError("the compiled decoder needs a C++ compiler and float32 weights on the processor")
        self._library = compiled
        self._library.genwright_scratch.restype = c_int64
        self._library.genwright_read.restype = None
        self._network, self._int8 = network, int8
        self._quantised: dict[str, Any] = {}
        self._kept: list[Tensor] = []
        """Tensors that only an address holds."""
        self._scratch = torch.empty(0)
        self.point()

    def point(self) -> None:
        """Take the addresses of the weights; again after something has moved them."""
        network, config = self._network, self._network.config
        self._kept = []
        self._layers = (_Layer * config.num_hidden_layers)()
        for index, block in enumerate(network.layers):
            assert isinstance(block, Block)
            attention, feed = block.self_attn, block.mlp
            self._layers[index] = _Layer(
                self._address(block.input_layernorm.weight),
                self._address(block.post_attention_layernorm.weight),
                self._address(attention.q_norm.weight if config.qk_norm else None),
                self._address(attention.k_norm.weight if config.qk_norm else None),
                self._matrix(f"{index}.qkv", attention.qkv_proj.weight, attention.qkv_proj.bias),
                self._matrix(f"{index}.o", attention.o_proj.weight, attention.o_proj.bias),
                self._matrix(f"{index}.gate_up", feed.gate_up_proj.weight, None),
                self._matrix(f"{index}.down", feed.down_proj.weight, None),
            )
        self._model = _Model(
            config.num_hidden_layers,
            config.hidden_size,
            config.intermediate_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
            config.sliding_window or 0,
            config.rms_norm_eps,
            self._address(network.embed_tokens.weight),
            self._address(network.norm.weight),
            self._address(network.rope_cos),
            self._address(network.rope_sin),
            self._matrix("output", network.output_matrix, None),
            self._layers,
        )

    def _address(self, tensor: Tensor | None) -> int | None:
        if tensor is None:
            return None
        tensor = tensor.detach().contiguous()
        self._kept.append(tensor)
        use_large_pages(tensor)
        return tensor.data_ptr()

    def _matrix(self, name: str, weight: Tensor, bias: Tensor | None) -> _Matrix:
        outputs, inputs = weight.shape
        if not self._int8:
            return _Matrix(self._address(weight), None, self._address(bias), outputs, inputs, inputs)
        if name not in self._quantised:
            self._quantised[name] = quantise(weight)
            use_large_pages(self._quantised[name].values)
        small = self._quantised[name]
        return _Matrix(
            small.values.data_ptr(), small.scales.data_ptr(), self._address(bias), outputs, inputs, small.group
        )

    def read(
        self,
        tokens: list[int],
        slots: list[int],
        positions: list[int],
        wanted: list[int],
        keys_LSKTH: Tensor,
        values_LSKTH: Tensor,
    ) -> Tensor:
        """Read one token a row, each into its slot at its position; the logits after the rows `wanted`, W,V.

        A row attends to what its slot holds below its position, and to rows of the same call. Positions that are skipped are
        taken as they lie in the cache.
        """
        rows, vocabulary = len(tokens), self._network.config.vocab_size
        indices = (c_int64 * (3 * rows + len(wanted)))(*tokens, *slots, *positions, *wanted)
        start = ctypes.addressof(indices)
        logits_WV = torch.empty(len(wanted), vocabulary)
        work = _Work(
            rows,
            len(wanted),
            torch.get_num_threads(),
            max(positions) + 1,
            *(start + 8 * place for place in (0, rows, 2 * rows, 3 * rows)),
            keys_LSKTH.data_ptr(),
            values_LSKTH.data_ptr(),
            *keys_LSKTH.stride()[:3],
            None,
            logits_WV.data_ptr(),
        )
        needed = self._library.genwright_scratch(byref(self._model), byref(work))
        if needed > self._scratch.numel():
            self._scratch = torch.empty(needed)
        work.scratch = self._scratch.data_ptr()
        self._library.genwright_read(byref(self._model), byref(work))
        return logits_WV


def use_large_pages(tensor: Tensor) -> None:
    """Ask Linux to put a large tensor on pages of 2 MiB where it lies: a sixth faster to read through. Elsewhere nothing happens."""
    size = tensor.numel() * tensor.element_size()
    if not sys.platform.startswith("linux") or size < _LARGE_PAGE // 2:
        return
    # To whole pages outwards, since tensors lie side by side; what else lies there keeps its content too.
    first = tensor.data_ptr() // _LARGE_PAGE * _LARGE_PAGE
    last = -(-(tensor.data_ptr() + size) // _LARGE_PAGE) * _LARGE_PAGE
    ctypes.CDLL(None).madvise(c_void_p(first), ctypes.c_size_t(last - first), _MADV_COLLAPSE)


def fits(network: Decoder) -> bool:
    weight = network.embed_tokens.weight
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def available(network: Decoder) -> bool:
    """Whether the compiled code can read this network here."""
    return fits(network) and library() is not None
