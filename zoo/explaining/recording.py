"""A recording of a graph: its nodes in order, and what each tensor looked like on some cells.

Shapes are observed by running the graph on two batches of different size: an axis whose length
differs follows the batch. Shape inference would leave gaps wherever a shape is computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.onnx_graph import OnnxGraph, Tensor
from zoo.session import Session

Array = npt.NDArray[Any]
Shape = tuple[int | None, ...]
"""Length of each axis; None where it follows the batch."""

DECISIONS = frozenset({"ArgMax", "ArgMin", "TopK", "NonZero", "Hardmax"})
"""Operators that choose: which expert answers, which branch is taken."""

OF_SHAPE = frozenset({"Shape", "Size"})
"""Operators that look at the shape of their input and not at its values."""


@dataclass(frozen=True)
class Node:
    """One node of a graph.

    Attributes
    ----------
    inputs
        Names; empty where an optional input is left out.
    attributes
        By name, as Python values.

    """

    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    attributes: Mapping[str, Any]

    @property
    def given(self) -> tuple[Tensor, ...]:
        """Inputs that are not left out."""
        return tuple(name for name in self.inputs if name)


@dataclass(frozen=True)
class Recording:
    """Nodes in order, with observed shapes and values.

    Attributes
    ----------
    nodes
        In an order in which each comes after what it reads.
    shapes
        Of every tensor.
    values
        Tensors as they were on the larger batch.
    batched
        Graph inputs whose first axis is the batch.

    """

    nodes: tuple[Node, ...]
    shapes: Mapping[Tensor, Shape]
    values: Mapping[Tensor, Array]
    batched: frozenset[Tensor]

    @classmethod
    def of(
        cls, graph: OnnxGraph, smaller: Mapping[str, Array], larger: Mapping[str, Array]
    ) -> Recording:
        """Record a graph on two batches of inputs with different numbers of cells."""
        nodes = nodes_of(graph)
        names = tuple(name for node in nodes for name in node.outputs if name)
        session = Session.of_draft(graph.showing(names))
        few, more = session.run(smaller, names), session.run(larger, names)
        constants = graph.constants()
        for values, inputs in ((few, smaller), (more, larger)):
            values.update({**constants, **{name: inputs[name] for name in session.inputs}})
        shapes = {name: _shape(few[name], more[name]) for name in more}
        batched = {name for name in session.inputs if shapes[name][:1] == (None,)}
        return cls(nodes, shapes, more, frozenset(batched))

    @cached_property
    def varying(self) -> frozenset[Tensor]:
        """Tensors that may differ between batches, in value or in shape."""
        return self.reached(self.batched, self.nodes)

    @staticmethod
    def reached(sources: Iterable[Tensor], nodes: Iterable[Node]) -> frozenset[Tensor]:
        """Tensors that are computed from the sources."""
        found = set(sources)
        for node in nodes:
            if found.intersection(node.given):
                found.update(node.outputs)
        return frozenset(found)

    def moved(self, source: Tensor, nodes: Iterable[Node]) -> frozenset[Tensor]:
        """Floats that move with the source: not through shapes, conditions and choices."""
        found = {source}
        for node in nodes:
            if node.kind not in OF_SHAPE and found.intersection(node.given):
                found.update(name for name in node.outputs if name and self._is_float(name))
        return frozenset(found)

    def _is_float(self, tensor: Tensor) -> bool:
        return bool(self.values[tensor].dtype.kind == "f")

    def needed(self, target: Tensor, *, until: Tensor | None = None) -> tuple[Node, ...]:
        """Nodes that a tensor is computed by, in order; what `until` is computed by is left out."""
        needed, kept = {target}, []
        for node in reversed(self.nodes):
            outputs = needed.intersection(node.outputs) - {until}
            if outputs:
                kept.append(node)
                needed.update(node.given)
        return tuple(reversed(kept))

    def producer(self, tensor: Tensor) -> Node | None:
        """The node that computes a tensor; None for an input or a constant."""
        return next((node for node in self.nodes if tensor in node.outputs), None)


def nodes_of(graph: OnnxGraph) -> tuple[Node, ...]:
    """The nodes of a graph."""
    value_of = graph.onnx.helper.get_attribute_value
    return tuple(
        Node(
            node.op_type,
            tuple(node.input),
            tuple(node.output),
            {attribute.name: value_of(attribute) for attribute in node.attribute},
        )
        for node in graph.model.graph.node
    )


def _shape(one: Array, other: Array) -> Shape:
    one, other = np.asarray(one), np.asarray(other)
    if one.ndim != other.ndim:  # no operator of the contract does that
        return (None,) * other.ndim
    return tuple(a if a == b else None for a, b in zip(one.shape, other.shape, strict=True))
