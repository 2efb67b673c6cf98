"""Building and changing ONNX graphs: a tensor is known by its name. The one place of onnx.

Everything stays in the standard operator domain, without loops and branches: what the contract
allows. Needs the package onnx, which the runner does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InvalidGraph, MissingExtra

CONTROL_FLOW = frozenset({"Loop", "Scan", "If"})

Tensor = str
"""Name of a tensor of the graph."""


def require_onnx(extra: str, purpose: str) -> Any:
    """The package onnx.

    Raises
    ------
    MissingExtra

    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra(extra, purpose) from error
    return onnx


def ensure_plain(model: Any, reference: str) -> None:
    """Refuse a graph with control flow, functions or operators that the contract does not allow.

    Raises
    ------
    InvalidGraph

    """
    kinds = {node.op_type for node in model.graph.node} & CONTROL_FLOW
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if kinds or domains or model.functions:
        raise InvalidGraph(reference, f"it uses {sorted(kinds | domains) or 'functions'}")


class OnnxGraph:
    """A graph to which nodes are appended.

    Parameters
    ----------
    onnx
        The package.
    model
        A `ModelProto`, changed in place.
    prefix
        Begins the names of new tensors.

    """

    def __init__(self, onnx: Any, model: Any, *, prefix: str) -> None:
        self.onnx, self.model, self._prefix = onnx, model, prefix
        graph = model.graph
        self._names = {
            name for node in graph.node for name in (*node.input, *node.output, node.name)
        } | {value.name for value in (*graph.input, *graph.initializer)}
        self._outputs = {value.name: value for value in graph.output}

    @classmethod
    def empty(cls, onnx: Any, *, prefix: str, opset: int, ir: int) -> OnnxGraph:
        """A graph without any node, input or output."""
        helper = onnx.helper
        graph = helper.make_graph([], "model", [], [])
        sets = [helper.make_opsetid("", opset)]
        model = helper.make_model(graph, opset_imports=sets, ir_version=ir)
        return cls(onnx, model, prefix=prefix)

    @property
    def cells(self) -> str:
        """Name of the batch axis."""
        (counts,) = [value for value in self.model.graph.input if value.name == "counts"]
        return str(counts.type.tensor_type.shape.dim[0].dim_param or "cells")

    def node(self, kind: str, *inputs: Tensor, name: str = "", **attributes: Any) -> Tensor:
        """Append a node with one output, called `name` or something new."""
        output = name or self.fresh(f"{self._prefix}_{kind.lower()}")
        self._names.add(output)
        self.model.graph.node.append(
            self.onnx.helper.make_node(kind, list(inputs), [output], **attributes)
        )
        return output

    def constant(self, value: npt.NDArray[Any] | np.generic, name: str = "") -> Tensor:
        """An initializer."""
        name = name or self.fresh(f"{self._prefix}_constant")
        self._names.add(name)
        tensor = self.onnx.numpy_helper.from_array(np.asarray(value), name)
        self.model.graph.initializer.append(tensor)
        return name

    def half_constant(self, value: npt.NDArray[np.floating]) -> Tensor:
        """float32 values that the file keeps as float16: half the bytes, 3 decimal digits."""
        half = self.constant(np.asarray(value, dtype=np.float16))
        return self.node("Cast", half, to=self.onnx.TensorProto.FLOAT)

    def type_of(self, array: npt.NDArray[Any]) -> int:
        """ONNX's number for the type of an array."""
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(array.dtype))

    def constants(self) -> dict[Tensor, npt.NDArray[Any]]:
        """The initializers."""
        to_array = self.onnx.numpy_helper.to_array
        return {value.name: to_array(value) for value in self.model.graph.initializer}

    def showing(self, tensors: Sequence[Tensor]) -> bytes:
        """The bytes of a draft of this graph that has these tensors as outputs."""
        draft = type(self.model)()
        draft.CopyFrom(self.model)
        del draft.graph.output[:]
        draft.graph.output.extend(self.onnx.ValueInfoProto(name=name) for name in tensors)
        content: bytes = draft.SerializeToString()
        return content

    def copy_node(self, output: Tensor, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Append the node that computes `output` once more, for other inputs."""
        graph = self.model.graph
        (original,) = [node for node in graph.node if output in node.output]
        node = graph.node.add()
        node.CopyFrom(original)
        node.ClearField("name")
        node.input[:], node.output[:] = inputs, outputs

    def unfold_casts(self) -> None:
        """Turn initializers that are only stored in another type into ones of the type in use."""
        graph, constants = self.model.graph, self.constants()
        uses: dict[str, int] = {}
        for node in graph.node:
            for name in node.input:
                uses[name] = uses.get(name, 0) + 1
        for node in [node for node in graph.node if node.op_type == "Cast"]:
            (source,) = node.input
            if source in constants and uses[source] == 1:
                kind = self.onnx.helper.tensor_dtype_to_np_dtype(node.attribute[0].i)
                (stored,) = [value for value in graph.initializer if value.name == source]
                graph.initializer.remove(stored)
                self.constant(constants[source].astype(kind), node.output[0])
                graph.node.remove(node)

    def replace_constant(
        self, name: Tensor, stored: Mapping[str, npt.NDArray[Any]], kind: str, **attributes: Any
    ) -> None:
        """Compute an initializer from smaller ones by a node that comes before all others.

        Parameters
        ----------
        stored
            The smaller initializers, by the ends of their names.

        """
        graph = self.model.graph
        (index,) = [i for i, value in enumerate(graph.initializer) if value.name == name]
        del graph.initializer[index]
        inputs = [
            self.constant(value, self.fresh(f"{name}_{end}")) for end, value in stored.items()
        ]
        graph.node.insert(0, self.onnx.helper.make_node(kind, inputs, [name], **attributes))

    def axis(self, *axes: int) -> Tensor:
        """Axes as an int64 initializer."""
        return self.constant(np.array(axes, dtype=np.int64))

    def fresh(self, wanted: str) -> Tensor:
        """A name that nothing in the graph has."""
        name, number = wanted, 1
        while name in self._names:
            name, number = f"{wanted}_{number}", number + 1
        self._names.add(name)
        return name

    def add_input(self, name: str, kind: int, shape: Sequence[int | str]) -> Tensor:
        """Declare an input; `kind` is one of `onnx.TensorProto`'s."""
        value = self.onnx.helper.make_tensor_value_info(name, kind, list(shape))
        self.model.graph.input.append(value)
        self._names.add(name)
        return name

    def declare(self, name: str, kind: int, shape: Sequence[int | str]) -> None:
        """Declare an output, which `keep_only` may then name."""
        self._outputs[name] = self.onnx.helper.make_tensor_value_info(name, kind, list(shape))

    def include(self, graph: Any, inputs: Mapping[Tensor, Tensor]) -> dict[Tensor, Tensor]:
        """Append the nodes of another graph of the same opset under new names.

        Parameters
        ----------
        graph
            A `GraphProto` without subgraphs; changed in no way.
        inputs
            Its inputs → tensors of this graph.

        Returns
        -------
        The names of all its tensors → the names that they have here.

        """
        names = {"": "", **inputs}
        for tensor in graph.initializer:
            copy = type(tensor).FromString(tensor.SerializeToString())
            copy.name = names[tensor.name] = self._included(tensor.name)
            self.model.graph.initializer.append(copy)
        for node in graph.node:
            copy = type(node).FromString(node.SerializeToString())
            copy.name = ""
            for field in ("metadata_props", "doc_string"):  # paths of the machine that made it
                copy.ClearField(field)
            for name in node.output:
                names[name] = names.get(name) or (self._included(name) if name else "")
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self.model.graph.node.append(copy)
        return names

    def _included(self, name: str) -> Tensor:
        taken = self.fresh(f"{self._prefix}_{name}")
        self._names.add(taken)
        return taken

    def set_aside(self, tensor: Tensor, prefix: str = "former") -> Tensor:
        """Rename a tensor (if there is one), so that another may take its name."""
        renamed = self.fresh(f"{prefix}_{tensor}")
        for node in self.model.graph.node:
            node.input[:] = [renamed if name == tensor else name for name in node.input]
            node.output[:] = [renamed if name == tensor else name for name in node.output]
        for value in (*self.model.graph.initializer, *self.model.graph.value_info):
            if value.name == tensor:
                value.name = renamed
        return renamed

    def keep_only(self, outputs: Sequence[str]) -> None:
        """Set the outputs, and drop what none of them needs."""
        graph = self.model.graph
        needed, kept = set(outputs), []
        for node in reversed(graph.node):  # nodes come after what they read
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        initializers = [value for value in graph.initializer if value.name in needed]
        for field, values in (
            ("node", list(reversed(kept))),
            ("initializer", initializers),
            ("output", [self._outputs[name] for name in outputs]),
        ):
            copies = [type(value).FromString(value.SerializeToString()) for value in values]
            graph.ClearField(field)
            getattr(graph, field).extend(copies)
        graph.ClearField("value_info")

    def finish(self, properties: Mapping[str, str]) -> bytes:
        """The checked bytes of the model, with these entries in its metadata."""
        known = {entry.key: entry.value for entry in self.model.metadata_props}
        self.model.ClearField("metadata_props")
        self.onnx.helper.set_model_props(self.model, {**known, **properties})
        self.onnx.checker.check_model(self.model, full_check=True)
        content: bytes = self.model.SerializeToString(deterministic=True)
        return content
