"""STCAT's cascade as a graph, and the same in numpy: the part that asks no other cell.

With x = log(1 + 10⁴ counts / counts of the cell over its whole library), a cell is

    no T cell       if CD3D, CD3E and CD3G have no count
    unconventional  if the model of all states names one of five classes
    CD8 or CD4      by counts: CD8A + CD8B > CD4, else CD4; its state is what that model names

`prob` holds the sigmoids of the model that decided and 0 for the classes that were not asked about.
The package goes on and lets clusters of cells vote, which a graph of single cells cannot.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from converters.importing.layers import dense, normalized, normalized_by_numpy, scaled, sigmoid
from converters.stcat.linear_models import (
    CD4_GENES,
    CD8_GENES,
    T_CELL_GENES,
    LinearModel,
    StateModels,
)
from zoo.evaluation.cells import Placed
from zoo.onnx_graph import OnnxGraph, Tensor

TARGET_SUM = 1e4
CLIP = 10.0
_NEVER = np.float32(-3e38)


def write(graph: OnnxGraph, states: StateModels) -> Tensor:
    """Write nodes to `label` and `prob`; returns the scaled values of the model of all states."""
    x = normalized(graph, "library_log1p", TARGET_SUM)
    found = {key: _scores(graph, x, model) for key, model in states.models.items()}
    every, values = found["all"]
    t_cell = graph.node("Greater", _counts(graph, states, T_CELL_GENES), _zero(graph))
    cd8 = _counts(graph, states, CD8_GENES), _counts(graph, states, CD4_GENES)
    as_cd8 = graph.node("Greater", *cd8)  # (cells, 1)
    named = graph.node("ArgMax", every, axis=1, keepdims=1)
    table = np.isin(np.arange(len(states.models["all"].classes)), states.unconventional)
    unusual = graph.node("Gather", graph.constant(table), named, axis=0)
    usual = graph.node("And", t_cell, graph.node("Not", unusual))
    few = graph.node("Gather", every, graph.constant(states.unconventional), axis=1)
    none = graph.node("Mul", _counts(graph, states, T_CELL_GENES), _zero(graph))
    asked = (
        (found["cd4"][0], graph.node("And", usual, graph.node("Not", as_cd8))),
        (found["cd8"][0], graph.node("And", usual, as_cd8)),
        (few, graph.node("And", t_cell, unusual)),
        (none, graph.node("Not", t_cell)),
    )
    never, one = graph.constant(_NEVER), graph.constant(np.float32(1))
    scores = [graph.node("Where", mask, score, never) for score, mask in asked]
    sigmoids = [
        graph.node("Where", mask, graph.node("Sigmoid", score), _zero(graph))
        for score, mask in asked[:-1]
    ]
    rule = graph.node("Where", asked[-1][1], one, _zero(graph))
    graph.node("Concat", *sigmoids, rule, name="prob", axis=1)
    graph.node("ArgMax", graph.node("Concat", *scores, axis=1), name="label", axis=1, keepdims=0)
    proto = graph.onnx.TensorProto
    graph.declare("label", proto.INT64, ["cells"])
    graph.declare("prob", proto.FLOAT, ["cells", len(states.labels)])
    return values


def answers(states: StateModels, placed: Placed) -> dict[str, npt.NDArray[np.float32]]:
    """`label` [cells] and `prob` [cells, classes] without the graph."""
    x = normalized_by_numpy("library_log1p", TARGET_SUM, placed.counts, placed.total_counts)
    score = {key: _by_numpy(x, placed.present, model) for key, model in states.models.items()}

    def count(genes: tuple[str, ...]) -> npt.NDArray[np.float32]:
        return placed.counts[:, states.places(genes)].sum(axis=1)

    t_cell, as_cd8 = count(T_CELL_GENES) > 0, count(CD8_GENES) > count(CD4_GENES)
    unusual = np.isin(score["all"].argmax(axis=1), states.unconventional)
    none = np.zeros((len(x), 1))
    asked = (
        (score["cd4"], t_cell & ~unusual & ~as_cd8),
        (score["cd8"], t_cell & ~unusual & as_cd8),
        (score["all"][:, states.unconventional], t_cell & unusual),
        (none, ~t_cell),
    )
    scores = np.concatenate([np.where(m[:, None], s, _NEVER) for s, m in asked], axis=1)
    prob = [np.where(m[:, None], sigmoid(s), 0) for s, m in asked[:-1]]
    whole = np.concatenate([*prob, asked[-1][1][:, None]], axis=1)
    return {"label": scores.argmax(axis=1), "prob": whole.astype(np.float32)}


# -- parts ---------------------------------------------------------------------------------------


def _scores(graph: OnnxGraph, x: Tensor, model: LinearModel) -> tuple[Tensor, Tensor]:
    """Decision scores [cells, classes] and scaled values [cells, genes of the model]."""
    columns = graph.constant(model.columns)
    z = scaled(graph, graph.node("Gather", x, columns, axis=1), model.mean, model.sd)
    z = graph.node("Min", z, graph.constant(np.float32(CLIP)))
    z = graph.node("Mul", z, graph.node("Gather", "gene_present", columns, axis=0))
    return dense(graph, z, model.weight, model.bias), z


def _by_numpy(
    x: npt.NDArray[np.float64], present: npt.NDArray[np.float32], model: LinearModel
) -> npt.NDArray[np.float64]:
    values = x[:, model.columns]
    if model.mean is not None:
        values = values - model.mean
    z = np.minimum(values / model.sd, CLIP) * present[model.columns]
    return z @ model.weight + model.bias


def _counts(graph: OnnxGraph, states: StateModels, genes: tuple[str, ...]) -> Tensor:
    """[cells, 1]: summed counts of some genes."""
    own = graph.node("Gather", "counts", graph.constant(states.places(genes)), axis=1)
    return graph.node("ReduceSum", own, graph.axis(1), keepdims=1)


def _zero(graph: OnnxGraph) -> Tensor:
    return graph.constant(np.float32(0))
