"""How unlike known cells a cell is: distances in the imported network, from cells that may be used.

One half of the labelled cells gives centres of classes and the spread around them, the other half
the distances that new cells of the same kind have:

    e       f A, features on their principal axes (all of them where they are few)
    d       min_k ‖(e − c_k) L‖, with c_k a class's centre and L Lᵀ the inverse within-class spread
    ood_z   (log d − mean) / sd of the other half
    ood_p   (1 + #{cells of the other half with a distance ≥ d}) / (n + 1)

The Mahalanobis distance follows Lee et al. 2018. The folder holds centres, axes and distances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.calibrating.calibrator import ScopeTable
from zoo.calibrating.graph import CalibrationNodes
from zoo.calibrating.scores import Table
from zoo.card import Output
from zoo.onnx_graph import OnnxGraph, Tensor

Float64 = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]

MINIMUM_CELLS = 100
"""Labelled cells from which distances are measured: half of them make the table."""
_AXES = 10
_FEW = 16
_CLASS_FROM = 5
_MOST_FOR_AXES = 2000
_SHRINKAGE = 0.1
_TINY = 1e-12

OUTPUTS = (
    Output(
        name="ood_z",
        description="log distance to the nearest class against labelled cells",
        unit="standard deviations",
    ),
    Output(
        name="ood_p",
        description="share of labelled cells at least as far from every class",
        unit="p-value",
    ),
)


@dataclass(frozen=True)
class Scope:
    """Centres of the classes of labelled cells, and how far others of them lie.

    Attributes
    ----------
    projection
        float64 [features, axes]: A L.
    centres
        float64 [classes seen, axes]: c_k L.
    table
        Distances of the other half.

    """

    projection: Float64
    centres: Float64
    table: ScopeTable
    cells: int

    @classmethod
    def fit(cls, features: npt.NDArray[np.floating], label: Int64) -> Scope | None:
        """Fit to the features [cells, n] of labelled cells; None where they are too few."""
        first = _half(label)
        seen = [k for k in np.unique(label[first]) if (label[first] == k).sum() >= _CLASS_FROM]
        if len(label) < MINIMUM_CELLS or not seen:
            return None
        e = features[first].astype(np.float64)
        axes = _axes(e)
        e, truth = e @ axes, label[first]
        centres = np.stack([e[truth == k].mean(axis=0) for k in seen])
        known = np.isin(truth, seen)
        rest = e[known] - centres[np.searchsorted(seen, truth[known])]
        whitening = _whitening(rest)
        scope = cls(axes @ whitening, centres @ whitening, _placeholder(), len(label))
        table = ScopeTable.of(scope.distance(features[~first]))
        return None if table is None else cls(scope.projection, scope.centres, table, len(label))

    def distance(self, features: npt.NDArray[np.floating]) -> Float64:
        """float64 [cells]: log d."""
        e = features.astype(np.float64) @ self.projection
        square = ((e[:, None, :] - self.centres[None]) ** 2).sum(axis=2)  # (cells, classes)
        found: Float64 = 0.5 * np.log(square.min(axis=1) + _TINY)
        return found

    def append(self, graph: OnnxGraph, features: Tensor) -> None:
        """The same as nodes, with the outputs `ood_z` and `ood_p`."""
        node, constant, axis = graph.node, graph.constant, graph.axis
        e = node("MatMul", features, constant(self.projection.astype(np.float32)))
        centres = constant(self.centres.astype(np.float32))
        offset = node("Sub", node("Unsqueeze", e, axis(1)), centres)  # (cells, classes, axes)
        square = node("ReduceSum", node("Mul", offset, offset), axis(2), keepdims=0)
        nearest = node("ReduceMin", square, axis(1), keepdims=1)  # (cells, 1)
        log = node("Log", node("Add", nearest, constant(np.float32(_TINY))))
        distance = node("Mul", log, constant(np.float32(0.5)))
        centred = node("Sub", distance, constant(np.float32(self.table.mean)))
        z = node("Div", centred, constant(np.float32(self.table.sd)))
        node("Squeeze", z, axis(1), name="ood_z")
        CalibrationNodes(graph).share_as_high(distance, [self.table.table], name="ood_p", axis=1)
        for name in ("ood_z", "ood_p"):
            graph.declare(name, graph.onnx.TensorProto.FLOAT, ["cells"])


def _half(label: Int64) -> npt.NDArray[np.bool_]:
    """bool [cells]: every other cell of each class, drawn with seed 0."""
    order = np.random.default_rng(0).permutation(len(label))
    first = np.zeros(len(label), dtype=bool)
    for k in np.unique(label):
        first[order[label[order] == k][::2]] = True
    return first


def _axes(e: Float64) -> Float64:
    """float64 [features, axes]: principal axes, or all of few features."""
    if e.shape[1] <= _FEW:
        return np.eye(e.shape[1])
    some = e[:_MOST_FOR_AXES]
    right = np.linalg.svd(some - some.mean(axis=0), full_matrices=False)[2]
    axes: Float64 = right[: min(_AXES, len(some) // 5)].T
    return axes


def _whitening(rest: Float64) -> Float64:
    """float64 [axes, axes]: L of the spread around the centres, shrunk towards its diagonal."""
    spread = rest.T @ rest / max(len(rest) - 1, 1)
    diagonal = np.diag(np.maximum(np.diag(spread), np.diag(spread).max() * 1e-6 + _TINY))
    return np.linalg.cholesky(
        np.linalg.inv((1 - _SHRINKAGE) * spread + _SHRINKAGE * diagonal)
    ).astype(np.float64)


def _placeholder() -> ScopeTable:
    return ScopeTable(0.0, 1.0, Table(np.zeros(1, dtype=np.float32)))
