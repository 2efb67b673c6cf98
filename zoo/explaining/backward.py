"""The backward pass: gradients of a graph's tensors, as further nodes of the same graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from zoo.errors import NoBackwardRule
from zoo.explaining import arrangement, elementwise, linear, reduction
from zoo.explaining.recording import Array, Node, Recording, Shape
from zoo.explaining.step import Rules, Step
from zoo.onnx_graph import OnnxGraph, Tensor

RULES: Rules = {**elementwise.RULES, **linear.RULES, **reduction.RULES, **arrangement.RULES}
"""By operator."""


@dataclass(frozen=True)
class Tape:
    """Nodes to go back over.

    Attributes
    ----------
    nodes
        In the order of the forward pass.
    shapes, values, varying
        As a recording has them, under the names that these nodes use.
    model
        `name@version`, for errors.
    origin
        What tensors are called in the model's graph, for errors, where that is another name.

    """

    graph: OnnxGraph
    nodes: Sequence[Node]
    shapes: Mapping[Tensor, Shape]
    values: Mapping[Tensor, Array]
    varying: frozenset[Tensor]
    model: str
    origin: Mapping[Tensor, Tensor] = field(default_factory=dict)

    def gradient(self, of: Mapping[Tensor, Tensor], at: Tensor) -> Tensor:
        """The gradient at a tensor.

        Parameters
        ----------
        of
            Tensors with their gradients, from which the pass begins.

        Raises
        ------
        NoBackwardRule
            If an operator on the way has no rule.

        """
        reached = self._moved(at)
        grads = dict(of)
        for node in reversed(self.nodes):
            grads_of = [grads.get(name) for name in node.outputs]
            if not any(grads_of) or not reached.intersection(node.given):
                continue
            for name, grad in self._before(node, grads_of, reached):
                grads[name] = self.graph.node("Add", grads[name], grad) if name in grads else grad
        if at not in grads:
            detail = f"nothing that is explained depends on {at!r}"
            raise NoBackwardRule(self.model, "", at, detail)
        return grads[at]

    def _told(self, tensor: Tensor) -> Tensor:
        return self.origin.get(tensor, tensor)

    def _moved(self, source: Tensor) -> frozenset[Tensor]:
        """Tensors through which the gradient comes back."""
        whole = Recording(tuple(self.nodes), self.shapes, self.values, frozenset())
        return whole.moved(source, self.nodes)

    def _before(
        self, node: Node, grads: Sequence[Tensor | None], reached: frozenset[Tensor]
    ) -> list[tuple[Tensor, Tensor]]:
        """Gradients of a node's inputs."""
        rule, told = RULES.get(node.kind), self._told(node.outputs[0])
        if rule is None:
            raise NoBackwardRule(self.model, node.kind, told)
        step = Step(
            self.graph, node, grads, self.shapes, self.values, self.varying, self.model, told
        )
        found = []
        for position, name in enumerate(node.inputs):
            if name in reached and (grad := rule(step, position)) is not None:
                found.append((name, grad))
        return found
