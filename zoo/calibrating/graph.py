"""Surgery on a classifier's graph: all up to `prob` is kept, what follows is replaced.

Former outputs that are computed anew are renamed inside the graph, nodes that nothing needs any
more are dropped (the former tables among them), and the calibration is appended in the standard
operator domain: no loop, no branch, the same opset. The one place where onnx is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.calibrating.calibrator import Calibrator, ScopeTable
from zoo.calibrating.evidence import FLOOR
from zoo.calibrating.scores import SMALLEST, Table
from zoo.card import CellZooBlock
from zoo.errors import InvalidGraph, MissingExtra

CONTROL_FLOW = frozenset({"Loop", "Scan", "If"})

Tensor = str
"""Name of a tensor of the graph."""


def require_onnx() -> Any:
    """The package onnx.

    Raises
    ------
    MissingExtra

    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("calibrate", "calibrate a model") from error
    return onnx


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
    onnx = require_onnx()
    model = onnx.load_from_string(graph)
    _ensure_plain(model, before.reference)
    names = after.output_names
    builder = _Builder(onnx, model.graph)
    anew = _outputs_anew(calibrator, before)
    former = {name: builder.set_aside(name) for name in anew}
    kind = before.calibration.prob_kind if before.calibration else "softmax"
    builder.append_classes(former["prob"], calibrator, kind)
    if calibrator.scope is not None:
        builder.append_scope(former, calibrator.scope)
    builder.keep_only(names)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties |= {"cellzoo_name": after.name, "cellzoo_version": after.version}
    model.ClearField("metadata_props")
    onnx.helper.set_model_props(model, properties)
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _outputs_anew(calibrator: Calibrator, before: CellZooBlock) -> list[str]:
    """Outputs that the calibration computes."""
    scope = () if calibrator.scope is None else ("ood_z", "ood_p")
    return [
        *("label", "prob", "conformal_p", "in_set"),
        *(name for name in scope if name in before.output_names),
    ]


def _ensure_plain(model: Any, reference: str) -> None:
    kinds = {node.op_type for node in model.graph.node} & CONTROL_FLOW
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if kinds or domains or model.functions:
        raise InvalidGraph(reference, f"it uses {sorted(kinds | domains) or 'functions'}")


class _Builder:
    """Appends nodes to a graph; a tensor is known by its name."""

    def __init__(self, onnx: Any, graph: Any) -> None:
        self._onnx, self._graph = onnx, graph
        self._names = {
            name for node in graph.node for name in (*node.input, *node.output, node.name)
        } | {value.name for value in (*graph.input, *graph.initializer)}
        self._outputs = {value.name: value for value in graph.output}
        (counts,) = [value for value in graph.input if value.name == "counts"]
        self._cells = counts.type.tensor_type.shape.dim[0].dim_param or "cells"

    def set_aside(self, output: str) -> Tensor:
        """Rename a tensor (if there is one), so that another may take its name."""
        renamed = self._fresh(f"former_{output}")
        for node in self._graph.node:
            node.input[:] = [renamed if name == output else name for name in node.input]
            node.output[:] = [renamed if name == output else name for name in node.output]
        for value in (*self._graph.initializer, *self._graph.value_info):
            if value.name == output:
                value.name = renamed
        return renamed

    def append_classes(
        self, prob: Tensor, calibrator: Calibrator, kind: Literal["softmax", "independent"]
    ) -> None:
        """`label`, `prob`, `conformal_p` and `in_set` from the former probabilities."""
        scaling, tables = calibrator.scaling, calibrator.tables
        classes = len(scaling.bias)
        logits = self._logits(prob, kind)
        slope = self._constant(np.float32(scaling.slope))
        bias = self._constant(scaling.bias.astype(np.float32))
        scaled = self._node("Add", self._node("Mul", logits, slope), bias)  # (cells, classes)
        label = self._node("ArgMax", scaled, name="label", axis=1, keepdims=0)
        self._node("Softmax", scaled, name="prob", axis=1)
        score = self._log_odds_against(scaled, label, classes)
        column = self._node("Unsqueeze", score, self._axis(2))  # (cells, classes, 1)
        within = self._share_as_high(column, tables.of_class)
        among_all = self._share_as_high(column, [tables.pooled])
        self._node("Max", within, among_all, name="conformal_p")
        alpha = self._constant(np.float32(calibrator.alpha))
        self._node("Greater", "conformal_p", alpha, name="in_set")
        proto = self._onnx.TensorProto
        for name, type_, shape in (
            ("label", proto.INT64, [self._cells]),
            ("prob", proto.FLOAT, [self._cells, classes]),
            ("conformal_p", proto.FLOAT, [self._cells, classes]),
            ("in_set", proto.BOOL, [self._cells, classes]),
        ):
            self._outputs[name] = self._onnx.helper.make_tensor_value_info(name, type_, shape)

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
            self._share_as_high(column, [scope.table], name="ood_p", axis=1)

    def keep_only(self, outputs: Sequence[str]) -> None:
        """Set the outputs, and drop what none of them needs."""
        needed, kept = set(outputs), []
        for node in reversed(self._graph.node):  # nodes come after what they read
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        initializers = [value for value in self._graph.initializer if value.name in needed]
        for field, values in (
            ("node", list(reversed(kept))),
            ("initializer", initializers),
            ("output", [self._outputs[name] for name in outputs]),
        ):
            copies = [type(value).FromString(value.SerializeToString()) for value in values]
            self._graph.ClearField(field)
            getattr(self._graph, field).extend(copies)
        self._graph.ClearField("value_info")

    # -- pieces ----------------------------------------------------------------------------------

    def _logits(self, prob: Tensor, kind: Literal["softmax", "independent"]) -> Tensor:
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

    def _share_as_high(
        self, scores: Tensor, tables: Sequence[Table], *, name: str = "", axis: int = 2
    ) -> Tensor:
        """As `Table.p`: the last axis of `scores` is 1 and is compared with each table's scores."""
        size = max(len(table.scores) for table in tables)
        padded = np.full((len(tables), size), -np.inf, dtype=np.float32)
        for row, table in zip(padded, tables, strict=True):
            row[: len(table.scores)] = table.scores
        total = np.array([len(table.scores) + 1 for table in tables], dtype=np.float32)
        as_high = self._node("LessOrEqual", scores, self._constant(padded))
        counted = self._node("Cast", as_high, to=self._onnx.TensorProto.FLOAT)
        number = self._node("ReduceSum", counted, self._axis(axis), keepdims=0)
        itself_too = self._node("Add", number, self._constant(np.float32(1)))
        return self._node("Div", itself_too, self._constant(total), name=name)

    def _node(self, kind: str, *inputs: Tensor, name: str = "", **attributes: int) -> Tensor:
        output = name or self._fresh(f"calibration_{kind.lower()}")
        self._graph.node.append(
            self._onnx.helper.make_node(kind, list(inputs), [output], **attributes)
        )
        return output

    def _constant(self, value: npt.NDArray[Any] | np.generic) -> Tensor:
        name = self._fresh("calibration_constant")
        tensor = self._onnx.numpy_helper.from_array(np.asarray(value), name)
        self._graph.initializer.append(tensor)
        return name

    def _axis(self, axis: int) -> Tensor:
        return self._constant(np.array([axis], dtype=np.int64))

    def _fresh(self, wanted: str) -> Tensor:
        """A name that nothing in the graph has."""
        name, number = wanted, 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name
