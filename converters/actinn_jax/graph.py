"""The hierarchy as one graph, and the same in numpy.

All networks read the same values, so their first layers are one product: [genes, 100 × networks].
A class's probability is that of its group times that within the group; the label is chosen as the
package does, the likeliest group first and then the likeliest class in it, which need not be the
class with the largest product.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from converters.actinn_jax.saved_model import Hierarchy, Network
from converters.importing.layers import softmax
from zoo.onnx_graph import OnnxGraph, Tensor

TARGET_SUM = 1e4


def write(graph: OnnxGraph, model: Hierarchy, *, half: bool) -> Tensor:
    """Write nodes from `counts` to `label` and `prob`; returns the coarse network's last layer.

    Parameters
    ----------
    half
        Keep the first layers' weights as float16, which halves the file.

    """
    logits, hidden = _networks(graph, model.networks, half=half)
    groups = graph.node("Softmax", logits[0], axis=1)  # (cells, groups)
    within = _within(graph, model, logits[1:])  # (cells, classes)
    of_class = graph.node("Gather", groups, graph.constant(model.group_of), axis=1)
    graph.node("Mul", of_class, within, name="prob")
    best = graph.node("ArgMax", groups, axis=1, keepdims=1)  # (cells, 1)
    eligible = graph.node("Equal", best, graph.constant(model.group_of[None, :]))
    chosen = graph.node("Where", eligible, within, graph.constant(np.float32(-1)))
    graph.node("ArgMax", chosen, name="label", axis=1, keepdims=0)
    proto = graph.onnx.TensorProto
    graph.declare("label", proto.INT64, ["cells"])
    graph.declare("prob", proto.FLOAT, ["cells", len(model.classes)])
    return hidden


def answers(
    model: Hierarchy, counts: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[np.float32]]:
    """`label` [cells] and `prob` [cells, classes] without the graph."""
    total = counts.sum(axis=1, keepdims=True, dtype=np.float64)
    x = np.log2(1 + counts * (TARGET_SUM / np.where(total > 0, total, 1)))
    found = []
    for network in model.networks:
        h = x
        for number, (weight, bias) in enumerate(network.layers):
            h = (np.maximum(h, 0) if number else h) @ weight + bias
        found.append(softmax(h))
    within = np.ones((len(counts), len(model.classes)))
    for network, prob in zip(model.fine.values(), found[1:], strict=True):
        within[:, [model.classes.index(name) for name in network.classes]] = prob
    groups = found[0]
    eligible = model.group_of[None, :] == groups.argmax(axis=1)[:, None]
    label = np.where(eligible, within, -1).argmax(axis=1)
    return {"label": label, "prob": (groups[:, model.group_of] * within).astype(np.float32)}


# -- parts ---------------------------------------------------------------------------------------


def _networks(
    graph: OnnxGraph, networks: list[Network], *, half: bool
) -> tuple[list[Tensor], Tensor]:
    """Logits of each network, and the last hidden layer of the first."""
    first = np.concatenate([network.layers[0][0] for network in networks], axis=1)
    bias = np.concatenate([network.layers[0][1] for network in networks])
    weight = graph.half_constant(first) if half else graph.constant(first)
    every = graph.node("Add", graph.node("MatMul", _values(graph), weight), graph.constant(bias))
    sizes = [len(network.layers[0][1]) for network in networks]
    logits, hidden = [], every
    for number, (network, start) in enumerate(zip(networks, np.cumsum([0, *sizes]), strict=False)):
        span = (graph.axis(int(start)), graph.axis(int(start + sizes[number])))
        h = graph.node("Slice", every, *span, graph.axis(1))
        last = h
        for weight_, bias_ in network.layers[1:]:
            last = graph.node("Relu", h)
            h = graph.node("MatMul", last, graph.constant(weight_))
            h = graph.node("Add", h, graph.constant(bias_))
        if number == 0:
            hidden = last
        logits.append(h)
    return logits, hidden


def _values(graph: OnnxGraph) -> Tensor:
    """log2(1 + counts per 10,000 of the model's genes): [cells, genes]."""
    total = graph.node("ReduceSum", "counts", graph.axis(1), keepdims=1)  # (cells, 1)
    zero, one = graph.constant(np.float32(0)), graph.constant(np.float32(1))
    safe = graph.node("Where", graph.node("Greater", total, zero), total, one)
    factor = graph.node("Div", graph.constant(np.float32(TARGET_SUM)), safe)
    logs = graph.node("Log", graph.node("Add", graph.node("Mul", "counts", factor), one))
    return graph.node("Mul", logs, graph.constant(np.float32(1 / np.log(2))))


def _within(graph: OnnxGraph, model: Hierarchy, logits: list[Tensor]) -> Tensor:
    """[cells, classes]: probability within its group; 1 for the only class of a group."""
    parts = [graph.node("Softmax", logit, axis=1) for logit in logits]
    column, where = 0, np.zeros(len(model.classes), dtype=np.int64)
    for network in model.fine.values():
        for name in network.classes:
            column += 1
            where[model.classes.index(name)] = column
    # Column 0 is 1 for every cell: exp(0 × total).
    total = graph.node("ReduceSum", "counts", graph.axis(1), keepdims=1)
    one = graph.node("Exp", graph.node("Mul", total, graph.constant(np.float32(0))))
    whole = graph.node("Concat", one, *parts, axis=1)
    return graph.node("Gather", whole, graph.constant(where), axis=1)
