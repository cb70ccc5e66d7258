"""The decoder as an ONNX graph with its cache going in and coming out, built node by node from the weights.

Inputs and outputs are named and shaped as Hugging Face Optimum names and shapes them, so that onnxruntime-genai and
transformers.js know them:

    input_ids, position_ids int64[B,T]; attention_mask int64[B,S]; past_key_values.N.key and .value float[B,K,S-T,H]
    logits float[B,T,V]; present.N.key and .value float[B,K,S,H]

Only operators of the standard set, version 17, which every runtime of the last years has.

B batch, T tokens, S tokens attended to, D width, F feed-forward width, N query heads, K key/value heads, G = N/K, H head width,
V vocabulary
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from genwright.networks.decoder import DecoderConfig
from genwright.networks.rope import rope_frequencies

OPSET = 17
IR_VERSION = 8
_NEVER = -1e30
"""Added to the score of what may not be seen; finite, so that a row of padding gives no NaN."""


class _Graph:
    """Nodes and constants under way. Every method that adds a node returns its output's name."""

    def __init__(self, tensors: Mapping[str, Tensor]):
        self.tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        return self.nodes_of(kind, *inputs, names=[name or f"{kind.lower()}_{len(self.nodes)}"], **attributes)[0]

    def nodes_of(self, kind: str, *inputs: str, names: list[str], **attributes: Any) -> list[str]:
        self.nodes.append(helper.make_node(kind, list(inputs), names, name=f"{kind}_{len(self.nodes)}", **attributes))
        return names

    def integers(self, *values: int) -> str:
        return self._constant("i_" + "_".join(map(str, values)), np.array(values, np.int64))

    def integer(self, value: int) -> str:
        return self._constant(f"i0_{value}", np.array(value, np.int64))

    def number(self, value: float) -> str:
        return self._constant(f"f_{value!r}", np.array(value, np.float32))

    def weight(self, name: str, *, turned: bool = False) -> str:
        """A weight by Hugging Face's name; `turned`: as MatMul wants it, inputs first."""
        value = self.tensors[name].detach().cpu().float()
        return self._constant(name, np.ascontiguousarray((value.T if turned else value).numpy()))

    def vector(self, name: str, value: np.ndarray) -> str:
        return self._constant(name, value)

    def linear(self, x: str, name: str) -> str:
        out = self.node("MatMul", x, self.weight(f"{name}.weight", turned=True))
        return self.node("Add", out, self.weight(f"{name}.bias")) if f"{name}.bias" in self.tensors else out

    def rms_norm(self, x: str, name: str, eps: float) -> str:
        squares = self.node("ReduceMean", self.node("Pow", x, self.number(2.0)), axes=[-1], keepdims=1)
        root = self.node("Sqrt", self.node("Add", squares, self.number(eps)))
        return self.node("Mul", self.node("Div", x, root), self.weight(f"{name}.weight"))

    def _constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(value, name)
        return name


def build(config: DecoderConfig, tensors: Mapping[str, Tensor]) -> onnx.ModelProto:
    """The graph of a decoder; `tensors` under Hugging Face's names, computed in fp32."""
    graph = _Graph(tensors)
    embeddings = graph.weight("model.embed_tokens.weight")
    x_BTD = graph.node("Gather", embeddings, "input_ids")
    lengths = _lengths(graph)
    mask_BTS = _mask(graph, config, *lengths)
    rope = _rope(graph, config)
    for layer in range(config.num_hidden_layers):
        name = f"model.layers.{layer}"
        normed = graph.rms_norm(x_BTD, f"{name}.input_layernorm", config.rms_norm_eps)
        x_BTD = graph.node("Add", x_BTD, _attention(graph, config, layer, normed, rope, mask_BTS, lengths))
        normed = graph.rms_norm(x_BTD, f"{name}.post_attention_layernorm", config.rms_norm_eps)
        x_BTD = graph.node("Add", x_BTD, _feed_forward(graph, f"{name}.mlp", normed))
    hidden = graph.rms_norm(x_BTD, "model.norm", config.rms_norm_eps)
    if config.tie_word_embeddings:
        # The embedding once, turned by the runtime: the file holds no second copy.
        graph.node("MatMul", hidden, graph.node("Transpose", embeddings, perm=[1, 0]), name="logits")
    else:
        graph.node("MatMul", hidden, graph.weight("lm_head.weight", turned=True), name="logits")
    made = helper.make_graph(
        graph.nodes, "decoder", _inputs(config), _outputs(config), initializer=list(graph.constants.values())
    )
    return helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="genwright",
    )


def cache_names(config: DecoderConfig) -> list[tuple[str, str]]:
    """The cache's inputs, each with the output that takes its place in the next step."""
    return [
        (f"past_key_values.{layer}.{part}", f"present.{layer}.{part}")
        for layer in range(config.num_hidden_layers)
        for part in ("key", "value")
    ]


def _inputs(config: DecoderConfig) -> list[onnx.ValueInfoProto]:
    ids = {"input_ids": ["batch", "tokens"], "attention_mask": ["batch", "total"], "position_ids": ["batch", "tokens"]}
    shape = ["batch", config.num_key_value_heads, "past", config.head_dim]
    return [
        *(helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name, axes in ids.items()),
        *(helper.make_tensor_value_info(past, TensorProto.FLOAT, shape) for past, _ in cache_names(config)),
    ]


def _outputs(config: DecoderConfig) -> list[onnx.ValueInfoProto]:
    shape = ["batch", config.num_key_value_heads, "total", config.head_dim]
    return [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "tokens", config.vocab_size]),
        *(helper.make_tensor_value_info(present, TensorProto.FLOAT, shape) for _, present in cache_names(config)),
    ]


def _lengths(graph: _Graph) -> tuple[str, str]:
    """T and S, as int64[1] each."""
    new = graph.node("Shape", "input_ids", start=1, end=2)
    total = graph.node("Shape", "attention_mask", start=1, end=2)
    return new, total


def _mask(graph: _Graph, config: DecoderConfig, new: str, total: str) -> str:
    """What is added to the scores, B,1,1,T,S: nothing for what may be seen, very little chance for the rest."""
    total_0 = graph.node("Squeeze", total)
    past_0 = graph.node("Sub", total_0, graph.node("Squeeze", new))
    key_S = graph.node("Range", graph.integer(0), total_0, graph.integer(1))
    query_T = graph.node("Range", past_0, total_0, graph.integer(1))
    query_T1 = graph.node("Unsqueeze", query_T, graph.integers(1))
    seen = graph.node("LessOrEqual", key_S, query_T1)
    if config.sliding_window is not None:
        oldest = graph.node("Sub", query_T1, graph.integer(config.sliding_window))
        seen = graph.node("And", seen, graph.node("Greater", key_S, oldest))
    kept_BS = graph.node("Cast", "attention_mask", to=TensorProto.BOOL)
    seen = graph.node("And", seen, graph.node("Unsqueeze", kept_BS, graph.integers(1, 2, 3)))
    return graph.node("Where", seen, graph.number(0.0), graph.number(_NEVER))


def _rope(graph: _Graph, config: DecoderConfig) -> tuple[str, str]:
    """Cosine and sine of each token's angles, B,1,T,H/2."""
    frequency_H = rope_frequencies(config.head_dim, config.rope_theta, config.rope_scaling).numpy()
    position = graph.node("Cast", "position_ids", to=TensorProto.FLOAT)
    position_B1T1 = graph.node("Unsqueeze", position, graph.integers(1, 3))
    angle = graph.node("Mul", position_B1T1, graph.vector("rope_frequencies", frequency_H))
    return graph.node("Cos", angle), graph.node("Sin", angle)


def _rotate(graph: _Graph, config: DecoderConfig, x_BNTH: str, rope: tuple[str, str]) -> str:
    half = config.head_dim // 2
    number = len(graph.nodes)
    first, second = graph.nodes_of(
        "Split", x_BNTH, graph.integers(half, half), names=[f"first_{number}", f"second_{number}"], axis=-1
    )
    cos, sin = rope
    turned = graph.node("Sub", graph.node("Mul", first, cos), graph.node("Mul", second, sin))
    other = graph.node("Add", graph.node("Mul", second, cos), graph.node("Mul", first, sin))
    return graph.node("Concat", turned, other, axis=-1)


def _attention(
    graph: _Graph,
    config: DecoderConfig,
    layer: int,
    x_BTD: str,
    rope: tuple[str, str],
    mask: str,
    lengths: tuple[str, str],
) -> str:
    name = f"model.layers.{layer}.self_attn"
    heads, kv_heads, head = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    group = heads // kv_heads

    def split(part: str, count: int, normed: bool) -> str:
        out = graph.linear(x_BTD, f"{name}.{part}_proj")
        out = graph.node("Reshape", out, graph.integers(0, 0, count, head))
        if normed:
            out = graph.rms_norm(out, f"{name}.{part}_norm", config.rms_norm_eps)
        return graph.node("Transpose", out, perm=[0, 2, 1, 3])

    q_BNTH = _rotate(graph, config, split("q", heads, config.qk_norm), rope)
    k_BKTH = _rotate(graph, config, split("k", kv_heads, config.qk_norm), rope)
    v_BKTH = split("v", kv_heads, False)
    k_BKSH = graph.node("Concat", f"past_key_values.{layer}.key", k_BKTH, axis=2, name=f"present.{layer}.key")
    v_BKSH = graph.node("Concat", f"past_key_values.{layer}.value", v_BKTH, axis=2, name=f"present.{layer}.value")
    # The queries that share a key go as rows of one product, so that no key is copied.
    scale = graph.number(head**-0.5)
    q_BKRH = graph.node("Reshape", graph.node("Mul", q_BNTH, scale), graph.integers(0, kv_heads, -1, head))
    score_BKRS = graph.node("MatMul", q_BKRH, graph.node("Transpose", k_BKSH, perm=[0, 1, 3, 2]))
    new, total = lengths
    grouped = graph.node("Concat", graph.integers(0, kv_heads, group), new, total, axis=0)
    score_BKGTS = graph.node("Add", graph.node("Reshape", score_BKRS, grouped), mask)
    weight_BKGTS = graph.node("Softmax", score_BKGTS, axis=-1)
    rows = graph.node("Concat", graph.integers(0, kv_heads, -1), total, axis=0)
    out_BKRH = graph.node("MatMul", graph.node("Reshape", weight_BKGTS, rows), v_BKSH)
    out_BNTH = graph.node(
        "Reshape", out_BKRH, graph.node("Concat", graph.integers(0, heads), new, graph.integers(head), axis=0)
    )
    out_BTNH = graph.node("Transpose", out_BNTH, perm=[0, 2, 1, 3])
    return graph.linear(graph.node("Reshape", out_BTNH, graph.integers(0, 0, heads * head)), f"{name}.o_proj")


def _feed_forward(graph: _Graph, name: str, x_BTD: str) -> str:
    gate = graph.linear(x_BTD, f"{name}.gate_proj")
    silu = graph.node("Mul", gate, graph.node("Sigmoid", gate))
    return graph.linear(graph.node("Mul", silu, graph.linear(x_BTD, f"{name}.up_proj")), f"{name}.down_proj")
