"""Causal attention inside the documents that share a row, in the fastest way the device has.

A mask would be right everywhere and costs the whole square of a row. Instead, on a CPU, documents of similar length are laid into
one batch, padded at their ends, where causal attention never looks: its cost is the sum of the documents' squares. On a GPU the
variable-length kernels of FlashAttention (arXiv:2205.14135) do the same without padding. `choose` says which way is taken.

B batch, T tokens, M all tokens of a batch, N query heads, K key/value heads, H head width, E document ends, G documents laid
side by side, L the longest of them, P places for tokens with their padding
"""

from __future__ import annotations

from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.utils.weak import WeakTensorKeyDictionary

from genwright.networks.elementwise import autocast_dtype

_SPARED = 0.6
"""Documents are laid out by themselves on a CPU where their squares add up to less than this share of the rows'; else moving them
costs more than it spares."""
_SIMILAR = 0.7
"""Documents are laid side by side when the shortest has at least this share of the longest's tokens: a third is padding at most."""
_GROUPED = "enable_gqa" in signature(varlen_attn).parameters
"""Whether torch's kernels for documents take fewer keys than queries (from 2.12)."""
_SHORT = 16
"""All documents up to this length go together: a call costs more than their padding."""


def choose(
    segment_BT: Tensor | None, dtype: torch.dtype, window: int | None = None, ends_E: Tensor | None = None
) -> tuple[Tensor | None, Tensor | None]:
    """How tokens of equal `segment_BT`, which stand together in their row, attend to each other: a mask or document ends.

    Both None: plain causal attention. The mask is bool, B,1,T,T; the ends are for `document_attention`. `dtype` is what queries,
    keys and values will be in; `window` bounds how far back a token sees. `ends_E` are the document ends, where they are known: on a GPU
    to look for them would mean to wait for all that was asked of it before.
    """
    if segment_BT is None:
        return None, None
    kind = segment_BT.device.type
    if kind == "cpu" and bool((segment_BT == segment_BT[:, :1]).all()):
        return None, None
    if window is None and kind == "cpu":
        ends_E = document_ends(segment_BT)
        rows, length = segment_BT.shape
        if int(ends_E.diff().square().sum()) < _SPARED * rows * length**2:
            return None, ends_E
    if window is None and kind == "cuda" and _has_flash_attention(segment_BT.device, dtype):
        return None, document_ends(segment_BT, even=True) if ends_E is None else ends_E
    return within_segments(segment_BT), None


def _has_flash_attention(device: torch.device, dtype: torch.dtype) -> bool:
    return dtype in (torch.bfloat16, torch.float16) and torch.cuda.get_device_capability(device) >= (8, 0)


def within_segments(segment_BT: Tensor) -> Tensor:
    """Who may attend to whom, B,1,T,T: causal, and only inside one document."""
    same_BTT = segment_BT[:, :, None] == segment_BT[:, None, :]
    return same_BTT.tril()[:, None]


def document_ends(segment_BT: Tensor, even: bool = False) -> Tensor:
    """0, then where each document ends in the batch read row by row: int32[E]; the last value repeated to a common length, so that
    compiled code sees few shapes. A new row begins a new document. `even` is for a GPU, whose kernel spends a little on every document,
    empty ones included (a CPU drops those first): the next multiple of 128 instead of one for each token."""
    begins_BT = torch.ones_like(segment_BT, dtype=torch.bool)
    begins_BT[:, 1:] = segment_BT[:, 1:] != segment_BT[:, :-1]
    starts = begins_BT.flatten().nonzero().squeeze(1)
    tokens = segment_BT.numel()
    length = (len(starts) // 128 + 1) * 128 + 1 if even else tokens + 1
    ends = torch.full((length,), tokens, dtype=torch.int32, device=segment_BT.device)
    ends[: len(starts)] = starts
    return ends


def document_attention(q_BTNH: Tensor, k_BTKH: Tensor, v_BTKH: Tensor, ends_E: Tensor) -> Tensor:
    """Causal attention within each document of `document_ends`: B,T,N,H."""
    kind = q_BTNH.device.type
    if (dtype := autocast_dtype(q_BTNH.device)) is not None:
        q_BTNH, k_BTKH, v_BTKH = q_BTNH.to(dtype), k_BTKH.to(dtype), v_BTKH.to(dtype)
    heads, kv_heads, length = q_BTNH.shape[2], k_BTKH.shape[2], q_BTNH.shape[1]
    q_MNH, k_MKH, v_MKH = (x.flatten(0, 1) for x in (q_BTNH, k_BTKH, v_BTKH))
    if kind == "cuda":
        grouped: dict[str, Any] = {"enable_gqa": heads != kv_heads} if _GROUPED else {}
        if not grouped:
            k_MKH, v_MKH = (_repeated(x, heads // kv_heads) for x in (k_MKH, v_MKH))
        out = varlen_attn(q_MNH, k_MKH, v_MKH, ends_E, ends_E, length, length, window_size=(-1, 0), **grouped)
        assert isinstance(out, Tensor)
        return out.view_as(q_BTNH)
    k_MKH, v_MKH = (_repeated(x, heads // kv_heads) for x in (k_MKH, v_MKH))
    return _grouped(q_MNH, k_MKH, v_MKH, ends_E)[0].view_as(q_BTNH)


def _repeated(x_MKH: Tensor, times: int) -> Tensor:
    """Each key/value head as often as query heads share it."""
    return x_MKH if times == 1 else x_MKH.repeat_interleave(times, dim=1)


@dataclass(frozen=True)
class Layout:
    """Documents of similar length laid side by side. `places` is the token in each place of all groups, padding included, which
    repeats a document's last token; `slots` is where each token stands in them."""

    places: Tensor
    slots: Tensor
    padding: Tensor
    groups: list[tuple[int, int]]
    """Documents and length of each group."""

    def lay(self, x_MN: Tensor) -> list[Tensor]:
        """Each group's tokens, heads first: G,N,L and what follows."""
        return self._cut(x_MN.index_select(0, self.places))

    def lay_gradient(self, x_MN: Tensor) -> list[Tensor]:
        """The same, with zeros for padding, so that nothing flows from it."""
        return self._cut(x_MN.index_select(0, self.places).index_fill_(0, self.padding, 0.0))

    def take(self, groups: list[Tensor]) -> Tensor:
        """The reverse of `lay`."""
        return torch.cat([x_GNL.transpose(1, 2).flatten(0, 1) for x_GNL in groups]).index_select(0, self.slots)

    def _cut(self, x_PN: Tensor) -> list[Tensor]:
        pieces = x_PN.split([count * length for count, length in self.groups])
        return [piece.unflatten(0, group).transpose(1, 2) for piece, group in zip(pieces, self.groups, strict=True)]


_layouts: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def layout_of(ends_E: Tensor) -> Layout:
    """The layout of `document_ends`, made once for all layers."""
    layout = _layouts.get(ends_E)
    if layout is None:
        layout = _layouts[ends_E] = _lay_out(ends_E)
    return layout


def _lay_out(ends_E: Tensor) -> Layout:
    lengths_E = ends_E.diff()
    lengths, order = lengths_E[lengths_E > 0].sort(descending=True)
    starts = ends_E[:-1][lengths_E > 0][order]
    groups: list[tuple[int, int]] = []
    places: list[Tensor] = []
    inside: list[Tensor] = []
    first, sizes = 0, lengths.tolist()
    for place in range(1, len(sizes) + 1):
        longest = sizes[first]
        if place < len(sizes) and (sizes[place] >= _SIMILAR * longest or longest <= _SHORT):
            continue
        offset_L, length_G1 = torch.arange(longest), lengths[first:place, None]
        places.append((starts[first:place, None] + torch.minimum(offset_L, length_G1 - 1)).flatten())
        inside.append((offset_L < length_G1).flatten())
        groups.append((place - first, longest))
        first = place
    place_P, inside_P = torch.cat(places).int(), torch.cat(inside)
    slots = torch.empty(int(ends_E[-1]), dtype=torch.int32)
    slots[place_P[inside_P].long()] = inside_P.nonzero().squeeze(1).int()
    return Layout(place_P, slots, (~inside_P).nonzero().squeeze(1), groups)


# An operator of its own, so that torch.compile takes it as it is: how documents group differs from batch to batch.
@torch.library.custom_op("genwright::grouped_attention", mutates_args=(), device_types="cpu")
def _grouped(q_MNH: Tensor, k_MNH: Tensor, v_MNH: Tensor, ends_E: Tensor) -> tuple[Tensor, Tensor]:
    """Attention and the logarithm of its normaliser, M,N."""
    layout = layout_of(ends_E)
    laid = zip(*(layout.lay(x) for x in (q_MNH, k_MNH, v_MNH)), strict=True)
    results = [torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*x, 0.0, True) for x in laid]
    out, normaliser = zip(*results, strict=True)
    return layout.take(list(out)), layout.take(list(normaliser))


@torch.library.custom_op("genwright::grouped_attention_backward", mutates_args=(), device_types="cpu")
def _grouped_backward(
    gradient_MNH: Tensor,
    q_MNH: Tensor,
    k_MNH: Tensor,
    v_MNH: Tensor,
    out_MNH: Tensor,
    normaliser_MN: Tensor,
    ends_E: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    layout = layout_of(ends_E)
    given = [layout.lay(x) for x in (q_MNH, k_MNH, v_MNH, out_MNH, normaliser_MN)]
    backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    results = [backward(*x, 0.0, True) for x in zip(layout.lay_gradient(gradient_MNH), *given, strict=True)]
    q_grad, k_grad, v_grad = (layout.take(list(x)) for x in zip(*results, strict=True))
    return q_grad, k_grad, v_grad


@_grouped.register_fake
def _(q_MNH: Tensor, k_MNH: Tensor, v_MNH: Tensor, ends_E: Tensor) -> tuple[Tensor, Tensor]:
    summed_in = torch.float64 if q_MNH.dtype == torch.float64 else torch.float32
    return q_MNH.new_empty(q_MNH.shape), q_MNH.new_empty(q_MNH.shape[:2], dtype=summed_in)


@_grouped_backward.register_fake
def _(gradient_MNH: Tensor, q_MNH: Tensor, k_MNH: Tensor, v_MNH: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
    return tuple(x.new_empty(x.shape) for x in (q_MNH, k_MNH, v_MNH))


def _keep(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:3], *output, inputs[3])


def _differentiate(ctx: Any, gradient_MNH: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    return *_grouped_backward(gradient_MNH, *ctx.saved_tensors), None


_grouped.register_autograd(_differentiate, setup_context=_keep)
