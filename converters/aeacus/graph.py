"""The mixture of experts as a graph, and the same in numpy."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from converters.aeacus.checkpoint import EPSILON, Checkpoint, Part
from converters.importing.layers import normalized, normalized_by_numpy, scaled, sigmoid, softmax
from zoo.onnx_graph import OnnxGraph, Tensor

TARGET_SUM = 1e6
"""Counts per million."""


def write(graph: OnnxGraph, model: Checkpoint, *, half: bool) -> Tensor:
    """Write nodes from `counts` and `total_counts` to `label` and `prob`; returns the gate's layer.

    A gene that the file lacks counts as 0 before it is scaled, as in the package.

    Parameters
    ----------
    half
        Keep the first layers' weights as float16, which halves the file.

    """
    x = scaled(graph, normalized(graph, "library_log1p", TARGET_SUM), model.mean, model.sd)
    logits = [_part(graph, x, expert, half=half)[0] for expert in model.experts]
    gate, hidden = _part(graph, x, model.gate, half=half)
    weight = graph.node("Softmax", gate, axis=1)  # (cells, experts)
    weighted = graph.node("Mul", graph.node("Concat", *logits, axis=1), weight)
    logit = graph.node("ReduceSum", weighted, graph.axis(1), keepdims=1)  # (cells, 1)
    logit = graph.node("Div", logit, graph.constant(np.float32(model.temperature)))
    malignant = graph.node("Sigmoid", logit)
    normal = graph.node("Sigmoid", graph.node("Neg", logit))
    graph.node("Concat", normal, malignant, name="prob", axis=1)
    flat = graph.node("Squeeze", malignant, graph.axis(1))
    threshold = graph.constant(np.float32(model.threshold))
    proto = graph.onnx.TensorProto
    above = graph.node("GreaterOrEqual", flat, threshold)
    graph.node("Cast", above, name="label", to=proto.INT64)
    graph.declare("label", proto.INT64, ["cells"])
    graph.declare("prob", proto.FLOAT, ["cells", 2])
    return hidden


def _part(graph: OnnxGraph, x: Tensor, part: Part, *, half: bool) -> tuple[Tensor, Tensor]:
    """Output of an expert or the gate, and its hidden layer."""

    def constant(value: npt.NDArray[np.float64]) -> Tensor:
        return graph.constant(value.astype(np.float32))

    first = part.weight.astype(np.float32)
    weight = graph.half_constant(first) if half else graph.constant(first)
    h = graph.node("Add", graph.node("MatMul", x, weight), constant(part.bias))
    norm = constant(part.norm_weight), constant(part.norm_bias)
    h = graph.node("LayerNormalization", h, *norm, axis=-1, epsilon=EPSILON)
    root = graph.node("Erf", graph.node("Mul", h, graph.constant(np.float32(1 / math.sqrt(2)))))
    gate = graph.node("Add", root, graph.constant(np.float32(1)))
    # GELU, written out: opset 18 has no operator for it.
    h = graph.node("Mul", graph.node("Mul", h, gate), graph.constant(np.float32(0.5)))
    out = graph.node("MatMul", h, constant(part.out_weight))
    return graph.node("Add", out, constant(part.out_bias)), h


def answers(
    model: Checkpoint, counts: npt.NDArray[np.float32], total: npt.NDArray[np.float32] | None
) -> dict[str, npt.NDArray[np.float32]]:
    """`label` [cells] and `prob` [cells, 2] without the graph."""
    x = normalized_by_numpy("library_log1p", TARGET_SUM, counts, total)
    x = (x - model.mean) / model.sd
    logits = np.concatenate([_by_numpy(x, expert) for expert in model.experts], axis=1)
    logit = (logits * softmax(_by_numpy(x, model.gate))).sum(axis=1) / model.temperature
    malignant = sigmoid(logit)
    prob = np.stack([1 - malignant, malignant], axis=1).astype(np.float32)
    return {"label": (malignant >= model.threshold).astype(np.int64), "prob": prob}


def _by_numpy(x: npt.NDArray[np.float64], part: Part) -> npt.NDArray[np.float64]:
    h = x @ part.weight + part.bias
    centred = h - h.mean(axis=1, keepdims=True)
    h = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    h = h * part.norm_weight + part.norm_bias
    erf = np.vectorize(math.erf, otypes=[np.float64])
    found: npt.NDArray[np.float64] = (
        h * 0.5 * (1 + erf(h / math.sqrt(2)))
    ) @ part.out_weight + part.out_bias
    return found
