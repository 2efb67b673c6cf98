"""What is explained: the log-odds of a class against all others.

Probabilities saturate: at 0.999 nothing moves them, though a gene may still speak for the class.
The log-odds do not. Their gradient is entered where the graph computes `prob`, at the logits if it
does so by Softmax or Sigmoid, else at the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.card import ProbKind
from zoo.explaining.recording import Recording
from zoo.onnx_graph import OnnxGraph, Tensor

_LAST = (-1, 1)
_SMALLEST = 1e-30
"""Probabilities count as no smaller; float32 ends at 1e-38."""


@dataclass(frozen=True)
class Target:
    """Where the log-odds follow from.

    Attributes
    ----------
    tensor
        Float [cells, classes]: logits, or probabilities.
    form
        What they are: `softmax` or `sigmoid` for logits, `prob` for probabilities.

    """

    tensor: Tensor
    form: str
    kind: ProbKind
    classes: int

    @classmethod
    def of(cls, recording: Recording, prob: Tensor, kind: ProbKind) -> Target:
        """The target in a graph whose probabilities are the tensor `prob`."""
        node = recording.producer(prob)
        classes = recording.shapes[prob][1]
        assert classes is not None, "the number of classes is fixed"
        if node and node.kind == "Softmax" and node.attributes.get("axis", -1) in _LAST:
            if kind == "softmax":
                return cls(node.inputs[0], "softmax", kind, classes)
        elif node and node.kind == "Sigmoid" and kind == "independent":
            return cls(node.inputs[0], "sigmoid", kind, classes)
        return cls(prob, "prob", kind, classes)

    def seed(self, graph: OnnxGraph, tensor: Tensor, label: Tensor) -> Tensor:
        """Gradient of the log-odds of a class, [cells, classes].

        Parameters
        ----------
        tensor
            Values of `self.tensor`.
        label
            int64 [cells]: the class of each cell.

        """
        mine = self._is_label(graph, label)
        one, zero = (graph.constant(np.float32(number)) for number in (1, 0))
        if self.form == "sigmoid":
            return graph.node("Where", mine, one, zero)
        prob = graph.node("Softmax", tensor, axis=1) if self.form == "softmax" else tensor
        own, rest = self._own_and_rest(graph, prob, mine)
        if self.form == "softmax":
            return graph.node("Where", mine, one, _against(graph, prob, rest))
        others = graph.constant(np.float32(0))
        if self.kind == "softmax":
            others = _against(graph, one, rest)
        own_slope = graph.node("Div", one, own)
        if self.kind == "independent":
            own_slope = graph.node("Add", own_slope, graph.node("Div", one, rest))
        return graph.node("Where", mine, own_slope, others)

    def log_odds(self, graph: OnnxGraph, tensor: Tensor, label: Tensor, name: str) -> Tensor:
        """The log-odds themselves, [cells, 1], to hold explanations against."""
        mine = self._is_label(graph, label)
        if self.form == "sigmoid":
            return graph.node("Identity", _picked(graph, tensor, mine), name=name)
        prob = graph.node("Softmax", tensor, axis=1) if self.form == "softmax" else tensor
        own, rest = self._own_and_rest(graph, prob, mine)
        return graph.node("Sub", graph.node("Log", own), graph.node("Log", rest), name=name)

    def _is_label(self, graph: OnnxGraph, label: Tensor) -> Tensor:
        every = graph.constant(np.arange(self.classes, dtype=np.int64))
        return graph.node("Equal", graph.node("Unsqueeze", label, graph.axis(1)), every)

    def _own_and_rest(self, graph: OnnxGraph, prob: Tensor, mine: Tensor) -> tuple[Tensor, Tensor]:
        """Probability of the class and of all else, [cells, 1] each, never 0."""
        smallest, zero = graph.constant(np.float32(_SMALLEST)), graph.constant(np.float32(0))
        own = _picked(graph, prob, mine)
        if self.kind == "independent":
            rest = graph.node("Sub", graph.constant(np.float32(1)), own)
            smallest = graph.constant(np.float32(1e-6))  # 1 - p is no finer in float32
        else:  # a sum of small numbers stays exact where 1 - p does not
            others = graph.node("Where", mine, zero, prob)
            rest = graph.node("ReduceSum", others, graph.axis(1), keepdims=1)
        return graph.node("Max", own, smallest), graph.node("Max", rest, smallest)


def _picked(graph: OnnxGraph, values: Tensor, mine: Tensor) -> Tensor:
    zero = graph.constant(np.float32(0))
    return graph.node(
        "ReduceSum", graph.node("Where", mine, values, zero), graph.axis(1), keepdims=1
    )


def _against(graph: OnnxGraph, share: Tensor, rest: Tensor) -> Tensor:
    return graph.node("Neg", graph.node("Div", share, rest))
