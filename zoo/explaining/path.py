"""The path of integrated gradients through a graph: where it begins and how long it stays straight.

Genes are explained at the last tensor [cells, genes] that everything passes on its way to the
answer: the normalized values as the network takes them. Up to there a gene's number depends on all
others (the depth of the cell), behind it each gene has a number of its own.

Only what moves the answer smoothly counts as a way. What a graph decides on the way (which expert
answers a cell, which genes it expresses at all) is held as it is for the cell: an explanation says
why a decision's outcome scored as it did, not how the decision fell.

As long as only affine operators follow, a straight path stays straight, so the steps of the
integral are made as late as possible, where a cell is some hundred numbers and not thousands.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from zoo.explaining.backward import Tape
from zoo.explaining.recording import DECISIONS, OF_SHAPE, Node, Recording
from zoo.onnx_graph import OnnxGraph, Tensor

_AFFINE = {"Add": (0, 1), "Sub": (0, 1), "Mul": (0, 1), "Div": (0,), "MatMul": (0, 1),
           "Gemm": (0, 1), "Identity": (0,)}  # fmt: skip
"""Operators that are affine in these inputs as long as the others do not vary."""


@dataclass(frozen=True)
class Path:
    """A way from counts to what is explained.

    Attributes
    ----------
    genes
        The tensor [cells, genes] at which genes are explained.
    bend
        The tensor, affine in `genes`, behind which the path is no longer straight.

    """

    recording: Recording
    target: Tensor
    genes: Tensor
    bend: Tensor

    @classmethod
    def through(cls, recording: Recording, target: Tensor, genes: int) -> Path:
        """Find the path from `counts` to a tensor."""
        passed = _passed(recording, target)
        (*_, at) = [
            name
            for name in passed
            if recording.shapes[name] == (None, genes) and recording.values[name].dtype.kind == "f"
        ]
        return cls(recording, target, at, _bend(recording, passed, at))

    @property
    def is_straight(self) -> bool:
        """Whether what is explained is itself affine in the genes."""
        return self.bend == self.target


def _passed(recording: Recording, target: Tensor) -> list[Tensor]:
    """Tensors that every way from `counts` to the target passes, in order.

    In any order of the nodes, no use of an earlier tensor may jump over such a tensor.
    """
    nodes = recording.needed(target)
    reached = _moving(recording.moved("counts", nodes), nodes, target)
    order = ["counts", *(name for node in nodes for name in node.outputs if name in reached)]
    last_use = dict.fromkeys(order, 0)
    place = {name: number for number, name in enumerate(order)}
    for node in nodes:
        uses = [place[name] for name in node.outputs if name in place]
        for name in node.given:
            if name in place and uses and node.kind not in OF_SHAPE:
                last_use[name] = max(last_use[name], *uses)
    passed, open_until = [], 0
    for name in order:
        if open_until <= place[name]:
            passed.append(name)
        open_until = max(open_until, last_use[name])
    return passed


def _moving(moved: frozenset[Tensor], nodes: tuple[Node, ...], target: Tensor) -> set[Tensor]:
    """Those of the moved tensors that move the target in turn."""
    moving = {target}
    for node in reversed(nodes):
        if node.kind not in OF_SHAPE and moving.intersection(node.outputs):
            moving.update(moved.intersection(node.given))
    return moving


def _bend(recording: Recording, passed: list[Tensor], start: Tensor) -> Tensor:
    """The last tensor after `start` with only affine operators between."""
    bend = start
    for name in passed[passed.index(start) + 1 :]:
        node = recording.producer(name)
        if node is None or not _is_affine(recording, node, bend):
            break
        bend = name
    return bend


def _is_affine(recording: Recording, node: Node, of: Tensor) -> bool:
    positions = _AFFINE.get(node.kind, ())
    inside = [place for place, name in enumerate(node.inputs) if name == of]
    others = set(node.given) - {of}
    return len(inside) == 1 and inside[0] in positions and not others & recording.varying


# -- going the way again -------------------------------------------------------------------------


@dataclass
class Replay:
    """The nodes from one tensor to another once more, for other values or for many at once.

    Attributes
    ----------
    start, target
        Where it begins and ends, in the names of the recording.
    repeats
        How often the batch lies one after another in the new values.

    """

    graph: OnnxGraph
    recording: Recording
    start: Tensor
    target: Tensor
    repeats: int = 1
    names: dict[Tensor, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def of(self, values: Tensor) -> Tensor:
        """The target for other values of the start."""
        self.names[self.start] = values
        affected = self._affected()
        for node in self._needed(affected):
            if node.kind in OF_SHAPE and node.inputs[0] not in affected:
                self._shape_repeated(node)
            else:
                self._again(node, affected)
        return self.names[self.target]

    def tape(self, model: str) -> Tape:
        """The new nodes, to go back over."""
        shapes, values = dict(self.recording.shapes), dict(self.recording.values)
        varying = set(self.recording.varying)
        for old, new in self.names.items():
            shapes[new], values[new] = shapes[old], values[old]
            if old in varying:
                varying.add(new)
        origin = {new: old for old, new in self.names.items()}
        return Tape(self.graph, self.nodes, shapes, values, frozenset(varying), model, origin)

    def _affected(self) -> frozenset[Tensor]:
        """What changes with the start, or with the length of the batch alone."""
        recording = self.recording
        found = {self.start}
        for node in recording.nodes:
            if node.kind in DECISIONS:
                continue
            of_batch = node.kind in OF_SHAPE and node.inputs[0] in recording.varying
            if found.intersection(node.given) or of_batch:
                found.update(node.outputs)
        return frozenset(found)

    def _needed(self, affected: frozenset[Tensor]) -> list[Node]:
        needed, kept = {self.target}, []
        for node in reversed(self.recording.nodes):
            wanted = needed.intersection(node.outputs)
            if wanted and self.start not in node.outputs and wanted <= affected:
                kept.append(node)
                if not (node.kind in OF_SHAPE and node.inputs[0] not in affected):
                    needed.update(affected.intersection(node.given))
        return kept[::-1]

    def _again(self, node: Node, affected: frozenset[Tensor]) -> None:
        inputs = [self._now(name, affected) for name in node.inputs]
        outputs = [self.graph.fresh(f"again_{name}") if name else "" for name in node.outputs]
        self.graph.copy_node(node.outputs[0], inputs, outputs)
        self.names.update(zip(node.outputs, outputs, strict=True))
        self.nodes.append(replace(node, inputs=tuple(inputs), outputs=tuple(outputs)))

    def _now(self, name: Tensor, affected: frozenset[Tensor]) -> Tensor:
        """The name of an input here; what follows the batch and stays as it is, is repeated."""
        if name in self.names:
            return self.names[name]
        shape = self.recording.shapes.get(name, ())
        if name and name in self.recording.varying and shape[:1] == (None,) and self.repeats > 1:
            self.names[name] = repeated(self.graph, name, len(shape), self.repeats)
            return self.names[name]
        return name

    def _shape_repeated(self, node: Node) -> None:
        """The shape (or size) that a tensor of the batch has when it is repeated."""
        output = node.outputs[0]
        shape = self.recording.shapes[node.inputs[0]]
        factors = np.array([self.repeats if length is None else 1 for length in shape], np.int64)
        if node.kind == "Size":
            factors = np.array(factors.prod(), np.int64)
        else:
            factors = factors[slice(node.attributes.get("start", 0), node.attributes.get("end"))]
        self.names[output] = self.graph.node("Mul", output, self.graph.constant(factors))


def repeated(graph: OnnxGraph, tensor: Tensor, rank: int, times: int) -> Tensor:
    """A batch several times, one after another: [cells, …] → [times · cells, …]."""
    return graph.node("Tile", tensor, graph.axis(times, *(1,) * (rank - 1)))
