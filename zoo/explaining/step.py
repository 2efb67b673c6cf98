"""One step of the backward pass: a node with the gradients of its outputs, and what rules use.

A rule gives the gradient of one input of a node from those of its outputs, as nodes of the graph:

    rule(step, position) -> gradient of the input at that position, or None where it has none

Sources of the rules: the definitions of the operators (https://onnx.ai/onnx/operators/) and their
derivatives; the tests hold each against torch.autograd.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.errors import NoBackwardRule
from zoo.explaining.recording import Array, Node, Shape
from zoo.onnx_graph import OnnxGraph, Tensor


@dataclass(frozen=True)
class Step:
    """A node on the way back.

    Attributes
    ----------
    node
        The node.
    grads
        Gradient of each output; None where nothing that is explained depends on it.
    shapes, values
        Observed shapes and values of tensors.
    varying
        Tensors whose values differ from batch to batch.
    model, told
        `name@version`, and what the model's graph calls the first output, for errors.

    """

    graph: OnnxGraph
    node: Node
    grads: Sequence[Tensor | None]
    shapes: Mapping[Tensor, Shape]
    values: Mapping[Tensor, Array]
    varying: frozenset[Tensor] = frozenset()
    model: str = "the model"
    told: str = ""

    # -- what is there ---------------------------------------------------------------------------

    @property
    def grad(self) -> Tensor:
        """Gradient of the first output."""
        grad = self.grads[0]
        assert grad is not None, "a step is made where there is a gradient"
        return grad

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.node.outputs[0]

    def input(self, position: int) -> Tensor:
        """Name of an input; empty where it is left out."""
        inputs = self.node.inputs
        return inputs[position] if position < len(inputs) else ""

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        return self.node.attributes.get(name, default)

    def fixed(self, position: int) -> Array | None:
        """Value of an input that must be the same for every batch; None where it is left out.

        Raises
        ------
        NoBackwardRule
            If it varies.

        """
        name = self.input(position)
        if name in self.varying:
            raise self.unruled(f"its input {position} is not fixed")
        return self.values[name] if name else None

    def unruled(self, detail: str) -> NoBackwardRule:
        """The error for a form of an operator that no rule covers."""
        return NoBackwardRule(self.model, self.node.kind, self.told or self.output, detail)

    def rank(self, tensor: Tensor) -> int:
        """Number of axes."""
        return len(self.shapes[tensor])

    # -- pieces ----------------------------------------------------------------------------------

    def op(self, kind: str, *inputs: Tensor, **attributes: Any) -> Tensor:
        """Append a node."""
        return self.graph.node(kind, *inputs, **attributes)

    def times(self, *factors: Tensor) -> Tensor:
        """The product of tensors."""
        product = factors[0]
        for factor in factors[1:]:
            product = self.op("Mul", product, factor)
        return product

    def number(self, value: float, like: Tensor) -> Tensor:
        """A scalar of the type of another tensor."""
        return self.graph.constant(np.asarray(value, dtype=self.values[like].dtype))

    def flags(self, condition: Tensor, like: Tensor) -> Tensor:
        """A boolean tensor as numbers of the type of another tensor."""
        return self.op("Cast", condition, to=self.graph.type_of(self.values[like]))

    def summed(self, tensor: Tensor, axes: Sequence[int], *, keepdims: int = 1) -> Tensor:
        """Sum over axes."""
        return self.op("ReduceSum", tensor, self.graph.axis(*axes), keepdims=keepdims)

    def expanded(self, tensor: Tensor, like: Tensor) -> Tensor:
        """A tensor repeated to the shape of another."""
        return self.op("Expand", tensor, self.op("Shape", like))

    def unbroadcast(self, grad: Tensor, position: int) -> Tensor:
        """A gradient in the shape of the output, summed to the shape of an input."""
        return self.summed_to(grad, self.shapes[self.output], self.shapes[self.input(position)])

    def summed_to(self, grad: Tensor, wide: Shape, narrow: Shape) -> Tensor:
        """A gradient of the shape `wide`, summed over what was repeated from `narrow`."""
        if extra := len(wide) - len(narrow):
            grad = self.summed(grad, range(extra), keepdims=0)
        repeated = [
            axis
            for axis, (length, of) in enumerate(zip(narrow, wide[extra:], strict=True))
            if length == 1 and of != 1
        ]
        return self.summed(grad, repeated) if repeated else grad


Rule = Callable[[Step, int], Tensor | None]
Rules = Mapping[str, Rule]


def normalized_axes(axes: Sequence[int], rank: int) -> list[int]:
    """Axes counted from the front."""
    return sorted(int(axis) % rank for axis in axes)
