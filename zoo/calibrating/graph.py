"""Surgery on a classifier's graph: all up to `prob` is kept, what follows is replaced.

Former outputs that are computed anew are renamed inside the graph, nodes that nothing needs any
more are dropped (the former tables among them), and the calibration is appended in the standard
operator domain: no loop, no branch, the same opset.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zoo.calibrating.calibrator import Calibrator, ScopeTable
from zoo.calibrating.evidence import FLOOR
from zoo.calibrating.scores import SMALLEST, Table
from zoo.card import CellZooBlock, ProbKind
from zoo.onnx_graph import OnnxGraph, Tensor, ensure_plain, require_onnx


def calibrated_graph(
    graph: bytes, calibrator: Calibrator, *, before: CellZooBlock, after: CellZooBlock
) -> bytes:
    """The graph with a calibration appended.

    Parameters
    ----------
    graph
        Bytes of `model.onnx` as it was.
    before, after
        The cards of the graph as it was and as it will be: outputs, name, version.

    Raises
    ------
    InvalidGraph
        If the graph has control flow, functions or operators that the contract does not allow.
    MissingExtra

    """
    onnx = require_onnx("calibrate", "calibrate a model")
    model = onnx.load_from_string(graph)
    ensure_plain(model, before.reference)
    names = after.output_names
    changed = OnnxGraph(onnx, model, prefix="calibration")
    builder = CalibrationNodes(changed)
    anew = _outputs_anew(calibrator, before)
    former = {name: changed.set_aside(name) for name in anew}
    kind = before.prob_kind or "softmax"
    builder.append_classes(former["prob"], calibrator, kind)
    if calibrator.scope is not None:
        builder.append_scope(former, calibrator.scope)
    changed.keep_only(names)
    return changed.finish({"cellzoo_name": after.name, "cellzoo_version": after.version})


def _outputs_anew(calibrator: Calibrator, before: CellZooBlock) -> list[str]:
    """Outputs that the calibration computes."""
    scope = () if calibrator.scope is None else ("ood_z", "ood_p")
    return [
        *("label", "prob", "conformal_p", "in_set"),
        *(name for name in scope if name in before.output_names),
    ]


class CalibrationNodes:
    """Appends a calibration to a graph."""

    def __init__(self, graph: OnnxGraph) -> None:
        self._graph = graph
        self._node, self._constant, self._axis = graph.node, graph.constant, graph.axis

    def append_classes(
        self, prob: Tensor, calibrator: Calibrator, kind: ProbKind, *, anew: bool = True
    ) -> None:
        """`conformal_p` and `in_set` from probabilities; `label` and `prob` too if `anew`."""
        scaling, tables = calibrator.scaling, calibrator.tables
        classes = len(scaling.bias)
        logits = self._logits(prob, kind)
        slope = self._constant(np.float32(scaling.slope))
        bias = self._constant(scaling.bias.astype(np.float32))
        scaled = self._node("Add", self._node("Mul", logits, slope), bias)  # (cells, classes)
        label = self._node("ArgMax", scaled, name="label" if anew else "", axis=1, keepdims=0)
        if anew:
            self._node("Softmax", scaled, name="prob", axis=1)
        score = self._log_odds_against(scaled, label, classes)
        column = self._node("Unsqueeze", score, self._axis(2))  # (cells, classes, 1)
        within = self.share_as_high(column, tables.of_class)
        among_all = self.share_as_high(column, [tables.pooled])
        self._node("Max", within, among_all, name="conformal_p")
        alpha = self._constant(np.float32(calibrator.alpha))
        self._node("Greater", "conformal_p", alpha, name="in_set")
        proto, cells = self._graph.onnx.TensorProto, self._graph.cells
        if anew:
            self._graph.declare("label", proto.INT64, [cells])
            self._graph.declare("prob", proto.FLOAT, [cells, classes])
        self._graph.declare("conformal_p", proto.FLOAT, [cells, classes])
        self._graph.declare("in_set", proto.BOOL, [cells, classes])

    def append_scope(self, former: dict[str, Tensor], scope: ScopeTable) -> None:
        """`ood_z` and `ood_p` against the labelled cells, as far as the model has them."""
        if "ood_z" in former:
            unlike = former["ood_z"]
            centred = self._node("Sub", unlike, self._constant(np.float32(scope.mean)))
            self._node("Div", centred, self._constant(np.float32(scope.sd)), name="ood_z")
        else:
            unlike = self._node("Neg", former["ood_p"])
        if "ood_p" in former:
            column = self._node("Unsqueeze", unlike, self._axis(1))  # (cells, 1)
            self.share_as_high(column, [scope.table], name="ood_p", axis=1)

    # -- pieces ----------------------------------------------------------------------------------

    def _logits(self, prob: Tensor, kind: ProbKind) -> Tensor:
        """As `evidence.logits_of`."""
        floor = self._constant(np.float32(FLOOR))
        log_prob = self._node("Log", self._node("Max", prob, floor))
        if kind == "softmax":
            return log_prob
        one = self._constant(np.float32(1))
        others = self._node("Max", self._node("Sub", one, prob), floor)
        return self._node("Sub", log_prob, self._node("Log", others))

    def _log_odds_against(self, logits: Tensor, label: Tensor, classes: int) -> Tensor:
        """As `scores.log_odds_against`: [cells, classes]."""
        log_prob = self._node("LogSoftmax", logits, axis=1)
        prob = self._node("Exp", log_prob)
        every = self._constant(np.arange(classes, dtype=np.int64))
        top = self._node("Equal", self._node("Unsqueeze", label, self._axis(1)), every)
        zero, one = self._constant(np.float32(0)), self._constant(np.float32(1))
        not_top = self._node("Where", top, zero, prob)
        rest = self._node("ReduceSum", not_top, self._axis(1), keepdims=1)  # (cells, 1)
        others = self._node("Where", top, rest, self._node("Sub", one, prob))
        floored = self._node("Max", others, self._constant(np.float32(SMALLEST)))
        return self._node("Sub", self._node("Log", floored), log_prob)

    def share_as_high(
        self, scores: Tensor, tables: Sequence[Table], *, name: str = "", axis: int = 2
    ) -> Tensor:
        """As `Table.p`: the last axis of `scores` is 1 and is compared with each table's scores."""
        size = max(len(table.scores) for table in tables)
        padded = np.full((len(tables), size), -np.inf, dtype=np.float32)
        for row, table in zip(padded, tables, strict=True):
            row[: len(table.scores)] = table.scores
        total = np.array([len(table.scores) + 1 for table in tables], dtype=np.float32)
        as_high = self._node("LessOrEqual", scores, self._constant(padded))
        counted = self._node("Cast", as_high, to=self._graph.onnx.TensorProto.FLOAT)
        number = self._node("ReduceSum", counted, self._axis(axis), keepdims=0)
        itself_too = self._node("Add", number, self._constant(np.float32(1)))
        return self._node("Div", itself_too, self._constant(total), name=name)
