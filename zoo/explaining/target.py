"""What is explained: the log-odds of a class against all others.

Probabilities saturate: at 0.999 nothing moves them, though a gene may still speak for the class.
The log-odds do not. Their gradient is entered where the graph computes `prob`, at the logits if it
does so by Softmax or Sigmoid, else at the probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.card import ProbKind
from zoo.explaining.recording import Recording, nodes_of
from zoo.onnx_graph import OnnxGraph, Tensor

_LAST = (-1, 1)
_NEAR = 1e-9
"""Constant probabilities count as no nearer to 0 or 1."""
_ARRANGED: dict[str, tuple[int, ...]] = {
    "Concat": (), "Gather": (0,), "Identity": (0,), "Reshape": (0,), "Slice": (0,),
    "Squeeze": (0,), "Unsqueeze": (0,), "Where": (1, 2),
}  # fmt: skip
"""Operators that move numbers without changing them, and which inputs these are; () for all."""
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
    def of(
        cls, recording: Recording, prob: Tensor, kind: ProbKind, logits: Tensor | None = None
    ) -> Target:
        """The target in a graph whose probabilities are the tensor `prob`.

        Parameters
        ----------
        logits
            What `independent_logits` found.

        """
        node = recording.producer(prob)
        classes = recording.shapes[prob][1]
        assert classes is not None, "the number of classes is fixed"
        by_softmax = node and node.kind == "Softmax" and node.attributes.get("axis", -1) in _LAST
        if node and by_softmax and kind == "softmax":
            return cls(node.inputs[0], "softmax", kind, classes)
        if logits is not None:
            return cls(logits, "sigmoid", kind, classes)
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
            finest = graph.constant(np.float32(2**-24))  # 1 - p is no finer in float32
            return graph.node("Max", own, smallest), graph.node("Max", rest, finest)
        # A sum of small numbers stays exact where 1 - p does not.
        others = graph.node("Where", mine, zero, prob)
        rest = graph.node("ReduceSum", others, graph.axis(1), keepdims=1)
        return graph.node("Max", own, smallest), graph.node("Max", rest, smallest)


def independent_logits(graph: OnnxGraph, prob: Tensor) -> Tensor | None:
    """The logits of independent probabilities, where these are sigmoids that are only arranged.

    A sigmoid far from 0 is 0 or 1 in float32, and its slope is lost; so the sigmoids are taken out,
    and what puts them together (branches, concatenation) is done once more with the logits. None
    where something else is done to them.
    """
    constants = graph.constants()
    producers = {name: node for node in nodes_of(graph) for name in node.outputs}

    def logits_of(name: Tensor) -> Tensor:
        if name in constants:
            value = np.clip(constants[name].astype(np.float64), _NEAR, 1 - _NEAR)
            return graph.constant((np.log(value) - np.log1p(-value)).astype(np.float32))
        node = producers.get(name)
        if node is None or node.kind not in ("Sigmoid", *_ARRANGED):
            raise LookupError(name)
        if node.kind == "Sigmoid":
            return node.inputs[0]
        carried = _ARRANGED[node.kind] or range(len(node.inputs))
        inputs = [
            logits_of(given) if place in carried else given
            for place, given in enumerate(node.inputs)
        ]
        output = graph.fresh(f"logits_{name}")
        graph.copy_node(name, inputs, [output])
        return output

    try:
        return logits_of(prob)
    except LookupError:
        return None


def _picked(graph: OnnxGraph, values: Tensor, mine: Tensor) -> Tensor:
    zero = graph.constant(np.float32(0))
    return graph.node(
        "ReduceSum", graph.node("Where", mine, values, zero), graph.axis(1), keepdims=1
    )


def _against(graph: OnnxGraph, share: Tensor, rest: Tensor) -> Tensor:
    return graph.node("Neg", graph.node("Div", share, rest))
