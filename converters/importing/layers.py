"""The nodes that importers write: normalization, scaling, dense layers and their activations."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import ValueKind
from zoo.importers import Values
from zoo.onnx_graph import OnnxGraph, Tensor, require_onnx

OPSET, IR = 18, 10


def new_graph(
    genes: int, *, total_counts: bool, gene_present: bool, opset: int = OPSET
) -> OnnxGraph:
    """A graph with the contract's inputs and nothing else."""
    onnx = require_onnx("convert", "convert weights")
    graph = OnnxGraph.empty(onnx, prefix="imported", opset=opset, ir=IR)
    number = onnx.TensorProto.FLOAT
    graph.add_input("counts", number, ["cells", genes])
    if gene_present:
        graph.add_input("gene_present", number, [genes])
    if total_counts:
        graph.add_input("total_counts", number, ["cells", 1])
    return graph


def value_kinds_of(values: Values) -> tuple[ValueKind, ...]:
    """What a model with this normalization takes: a cell's scale matters for plain counts alone."""
    return ("counts",) if values == "counts" else ("counts", "log_normalized")


def normalized(graph: OnnxGraph, values: Values, target_sum: float) -> Tensor:
    """[cells, genes]: what the weights were trained on, from `counts`."""
    if values == "counts":
        return "counts"
    total = "total_counts"
    if values == "panel_log1p":
        total = graph.node("ReduceSum", "counts", graph.axis(1), keepdims=1)  # (cells, 1)
    zero, one = graph.constant(np.float32(0)), graph.constant(np.float32(1))
    # A cell without counts gets 0 / 1.
    safe = graph.node("Where", graph.node("Greater", total, zero), total, one)
    factor = graph.node("Div", graph.constant(np.float32(target_sum)), safe)
    return graph.node("Log", graph.node("Add", graph.node("Mul", "counts", factor), one))


def normalized_by_numpy(
    values: Values, target_sum: float, counts: npt.NDArray[Any], total: npt.NDArray[Any] | None
) -> npt.NDArray[np.float64]:
    """The same in float64: counts [cells, genes], total [cells, 1]."""
    x = counts.astype(np.float64)
    if values == "counts":
        return x
    sums = x.sum(axis=1, keepdims=True) if values == "panel_log1p" or total is None else total
    found: npt.NDArray[np.float64] = np.log1p(x * (target_sum / np.where(sums > 0, sums, 1.0)))
    return found


def scaled(
    graph: OnnxGraph, x: Tensor, mean: npt.NDArray[Any] | None, sd: npt.NDArray[Any] | None
) -> Tensor:
    """(x − mean) / sd; without a mean or sd that step is left out."""
    if mean is not None:
        x = graph.node("Sub", x, graph.constant(mean.astype(np.float32)))
    if sd is not None:
        x = graph.node("Div", x, graph.constant(sd.astype(np.float32)))
    return x


def dense(
    graph: OnnxGraph, x: Tensor, weight: npt.NDArray[Any], bias: npt.NDArray[Any] | None
) -> Tensor:
    """x W + b, for W [in, out]."""
    x = graph.node("MatMul", x, graph.constant(weight.astype(np.float32)))
    return x if bias is None else graph.node("Add", x, graph.constant(bias.astype(np.float32)))


def activated(graph: OnnxGraph, x: Tensor, activation: str) -> Tensor:
    """One of `ACTIVATIONS` of x."""
    if activation == "identity":
        return x
    if activation == "gelu":  # the operator Gelu is newer than the contract's oldest opset
        half, one = graph.constant(np.float32(0.5)), graph.constant(np.float32(1))
        erf = graph.node("Erf", graph.node("Mul", x, graph.constant(np.float32(0.5**0.5))))
        return graph.node("Mul", graph.node("Mul", x, half), graph.node("Add", erf, one))
    if activation == "silu":
        return graph.node("Mul", x, graph.node("Sigmoid", x))
    attributes = {"leaky_relu": {"alpha": 0.01}, "softmax": {"axis": 1}}.get(activation, {})
    return graph.node(ACTIVATIONS[activation], x, **attributes)


ACTIVATIONS = {
    "identity": "Identity",
    "relu": "Relu",
    "leaky_relu": "LeakyRelu",
    "elu": "Elu",
    "selu": "Selu",
    "gelu": "Gelu",
    "silu": "Silu",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "softmax": "Softmax",
}
"""Activation functions, with the usual parameters, and the operators of the same name."""


def activated_by_numpy(x: npt.NDArray[np.float64], activation: str) -> npt.NDArray[np.float64]:
    """The simple ones in float64: identity, relu, tanh and sigmoid."""
    simple = {"relu": lambda v: np.maximum(v, 0), "tanh": np.tanh, "sigmoid": sigmoid}
    found: npt.NDArray[np.float64] = x if activation == "identity" else simple[activation](x)
    return found


def declare_classes(graph: OnnxGraph, prob: Tensor, classes: int, *, scores: Tensor = "") -> None:
    """Outputs `label` and `prob`; the label is the first of the largest `scores` (else prob)."""
    if prob != "prob":
        graph.node("Identity", prob, name="prob")
    graph.node("ArgMax", scores or "prob", name="label", axis=1, keepdims=0)
    proto = graph.onnx.TensorProto
    graph.declare("label", proto.INT64, ["cells"])
    graph.declare("prob", proto.FLOAT, ["cells", classes])


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Softmax over the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    found: npt.NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return found


def sigmoid(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """1 / (1 + exp(−x)), in float64 and without overflow."""
    found: npt.NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * logits.astype(np.float64)))
    return found
