"""A foreign ONNX graph inside one of the contract: normalization before it, named outputs after.

The foreign graph takes one matrix [cells, genes] of normalized values. Its outputs get names of the
contract; `scores` are its class scores, from which `label` and `prob` follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal, cast, get_args

import numpy as np

from converters.importing.importer import CLASSIFIER, ImportedModel, Source
from converters.importing.layers import (
    IR,
    OPSET,
    declare_classes,
    new_graph,
    normalized,
    value_kinds_of,
)
from zoo.card import Output, ProbKind, Task
from zoo.errors import UnequalLengths, UnreadableWeights, UnsupportedWeights, ZooError
from zoo.gate import graph as gate
from zoo.onnx_graph import CONTROL_FLOW, OnnxGraph, Tensor
from zoo.session import Session
from zoo.trial import try_graph

Scores = Literal["logits", "prob", "independent_logits", "independent_prob"]

SETTINGS: Mapping[str, str] = {
    "outputs": "Table of its outputs: scores, and names of the contract such as embedding or "
    "imputed → the graph's own names. Default: its only output is scores.",
    "scores": f"What the scores are: {', '.join(get_args(Scores))}. Default: logits.",
}

_PER_GENE = {"imputed", "predicted", "mean", "dispersion", "dropout_prob"}
_NAMED: Mapping[str, tuple[str, str]] = {
    "embedding": ("coordinates of the cell in the model's own space", "arbitrary"),
    "imputed": ("imputed values of each gene", "as the source has it"),
    "predicted": ("predicted values of each gene", "as the source has it"),
    "mean": ("mean of each gene", "as the source has it"),
    "dispersion": ("dispersion of each gene", "as the source has it"),
    "dropout_prob": ("probability of a technical zero", "probability"),
}
"""Outputs besides scores that a foreign graph may have, with what they are and their unit."""

_ACCEPTED = "graphs of the standard operator domain, opset 13 to 22, one matrix [cells, genes] in"
_ONE, _SEVERAL = 1, 5


@dataclass(frozen=True)
class Wanted:
    """What the user says of the outputs.

    Attributes
    ----------
    outputs
        `scores` or a name of the contract → the graph's own name; empty for its only output.

    """

    outputs: Mapping[str, str]
    scores: Scores

    @classmethod
    def of(cls, source: Source) -> Wanted:
        """Read the settings.

        Raises
        ------
        UnsupportedWeights

        """
        outputs, scores = source.settings.get("outputs", {}), source.settings.get("scores")
        if not isinstance(outputs, dict) or set(outputs) - {"scores", *_NAMED}:
            told = f"the outputs {sorted(outputs) if isinstance(outputs, dict) else outputs!r}"
            raise UnsupportedWeights(str(source.path), source.format, told, ["scores", *_NAMED])
        scores = scores or "logits"
        if scores not in get_args(Scores):
            told = f"scores that are {scores!r}"
            raise UnsupportedWeights(str(source.path), source.format, told, get_args(Scores))
        return cls(outputs, cast(Scores, scores))


def read_graph(content: bytes, source: Source, onnx: Any) -> Any:
    """A checked `ModelProto` of the contract's opset.

    Raises
    ------
    UnreadableWeights, UnsupportedWeights

    """
    path = str(source.path)
    try:
        model = onnx.load_model_from_string(content)
        refuse_strange(model, source, onnx)
        onnx.checker.check_model(model)
        if _opset(model) < OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
    except UnsupportedWeights:
        raise
    except Exception as error:  # protobuf, the checker and the converter raise classes of their own
        detail = " ".join(str(error).split())[:200]
        raise UnreadableWeights(path, source.format, f"it is no valid ONNX ({detail})") from error
    return model


def refuse_strange(model: Any, source: Source, onnx: Any) -> None:
    """Refuse what the contract does not allow, before anything reads the tensors.

    Raises
    ------
    UnsupportedWeights

    """

    def refuse(part: str) -> None:
        raise UnsupportedWeights(str(source.path), source.format, part, [_ACCEPTED])

    graph = model.graph
    kinds = {node.op_type for node in graph.node}
    domains = {node.domain for node in graph.node} - {"", "ai.onnx"}
    if flow := sorted(kinds & CONTROL_FLOW):
        refuse(f"the control flow {', '.join(flow)}")
    if domains:
        refuse(f"operators of the domain {', '.join(sorted(domains))}")
    if model.functions:
        refuse("functions of its own")
    external = onnx.TensorProto.EXTERNAL
    tensors = [*graph.initializer, *(a.t for n in graph.node for a in n.attribute)]
    if any(tensor.data_location == external for tensor in tensors):
        refuse("weights in another file (external data)")
    if graph.sparse_initializer:
        refuse("sparse weights")
    if any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute):
        refuse("graphs inside its nodes")
    if not 13 <= _opset(model) <= 22:
        refuse(f"opset {_opset(model)}")


def _opset(model: Any) -> int:
    return max((s.version for s in model.opset_import if s.domain in ("", "ai.onnx")), default=0)


def wrapped(model: Any, source: Source, *, architecture: str) -> ImportedModel:
    """The foreign graph as a model of the contract.

    Raises
    ------
    UnsupportedWeights, UnequalLengths, NoGeneNames, NoLabelNames, NoValueConvention

    """
    values = source.values_or_raise()
    taken = _input(model, source)
    width = _width(model, taken, source)
    genes = source.genes_for(width, "inputs of the graph")
    graph = new_graph(
        width, total_counts=values == "library_log1p", gene_present=False, opset=_opset(model)
    )
    graph.model.ir_version = min(IR, max(model.ir_version, 8))
    wanted = Wanted.of(source)
    own = _own_names(model, wanted, source)
    x = normalized(graph, values, source.target_sum)
    found = graph.include(model.graph, {taken: graph.node("Identity", x)})
    shapes = _shapes(graph, source, width, {name: found[its] for name, its in own.items()})
    outputs: list[Output] = []
    labels: tuple[str, ...] = ()
    if "scores" in own:
        classes = shapes["scores"]
        labels = source.labels_for(classes, "outputs of the graph")
        declare_scores(graph, found[own["scores"]], classes, wanted.scores)
        outputs += CLASSIFIER
    for name, its in own.items():
        if name == "scores":
            continue
        if name in _PER_GENE and shapes[name] != width:
            raise UnequalLengths(
                str(source.path), first="genes", first_length=width,
                second=f"columns of {name}", second_length=shapes[name],
            )  # fmt: skip
        graph.node("Identity", found[its], name=name)
        graph.declare(name, graph.onnx.TensorProto.FLOAT, ["cells", shapes[name]])
        description, unit = _NAMED[name]
        outputs.append(Output(name=name, description=description, unit=unit))  # type: ignore
    kind: ProbKind = "independent" if wanted.scores.startswith("independent") else "softmax"
    return ImportedModel(
        graph=graph,
        genes=genes,
        architecture=architecture,
        outputs=tuple(outputs),
        labels=labels,
        prob_kind=kind if labels else None,
        task=_task(own),
        value_kinds=value_kinds_of(values),
        features=_features(graph, found, own),
        hyper_parameters={"values": values, "target_sum": source.target_sum},
    )


def _task(own: Mapping[str, str]) -> Task:
    if "scores" in own:
        return "cell_type_annotation"
    return "embedding" if "embedding" in own else "imputation"


def _features(graph: OnnxGraph, found: Mapping[str, Tensor], own: Mapping[str, str]) -> Tensor:
    """Where cells of a type lie together: the embedding if it is named, else the scores."""
    name = own.get("embedding") or next(iter(own.values()))
    return graph.node("Identity", found[name])


def _input(model: Any, source: Source) -> str:
    """Name of the only input."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in weights]
    if len(names) != 1:
        told = f"the inputs {', '.join(names) or 'none'} (one is expected)"
        raise UnsupportedWeights(str(source.path), source.format, told, [_ACCEPTED])
    return names[0]


def _width(model: Any, taken: str, source: Source) -> int:
    (value,) = [value for value in model.graph.input if value.name == taken]
    dims = value.type.tensor_type.shape.dim
    number = value.type.tensor_type.elem_type == 1  # float32
    if not number or len(dims) != 2 or not dims[1].dim_value:
        told = "an input that is no float32 matrix of a fixed number of genes"
        raise UnsupportedWeights(str(source.path), source.format, told, [_ACCEPTED])
    return int(dims[1].dim_value)


def _own_names(model: Any, wanted: Wanted, source: Source) -> dict[str, str]:
    """What is wanted → the graph's own names."""
    present = [value.name for value in model.graph.output]
    own = dict(wanted.outputs) or ({"scores": present[0]} if len(present) == 1 else {})
    if not own or set(own.values()) - set(present):
        told = f"the outputs {', '.join(present)}, of which --set outputs names none or others"
        example = f"--set 'outputs={{scores=\"{present[0] if present else 'NAME'}\"}}'"
        raise UnsupportedWeights(str(source.path), source.format, told, [example])
    return own


def _shapes(
    graph: OnnxGraph, source: Source, width: int, tensors: Mapping[str, Tensor]
) -> dict[str, int]:
    """Columns of each wanted output, asked for one cell and for several: rows must not mix.

    The graph passes the gate and a trial in a process of its own before it runs in this one.
    """
    for tensor in tensors.values():
        graph.declare(tensor, graph.onnx.TensorProto.FLOAT, ["cells", tensor])
    graph.keep_only(list(tensors.values()))
    path, names = str(source.path), tuple(tensors.values())
    card: Any = SimpleNamespace(reference=path, inputs=SimpleNamespace(genes=width))
    counts = np.random.default_rng(0).poisson(1.0, size=(_SEVERAL, width)).astype(np.float32)
    total = counts.sum(axis=1, keepdims=True)
    try:
        content = graph.finish({})
        gate.read_graph(content, path)
        try_graph(content, card)
        session = Session.of_draft(content)
        together = session.run({"counts": counts, "total_counts": total}, names)
        first = {"counts": counts[:_ONE], "total_counts": total[:_ONE]}
        alone = session.run(first, names)
    except Exception as error:  # onnx and onnxruntime raise a dozen unrelated classes
        said = error.message if isinstance(error, ZooError) else str(error)
        told = f"a graph that cannot be taken ({' '.join(said.split())[:300]})"
        raise UnsupportedWeights(path, source.format, told, [_ACCEPTED]) from error
    for name, tensor in tensors.items():
        whole, single = together[tensor], alone[tensor]
        per_cell = whole.ndim == 2 and len(whole) == _SEVERAL and len(single) == _ONE
        if not per_cell or not np.allclose(whole[:_ONE], single, rtol=1e-3, atol=1e-4):
            told = f"an output for {name!r} that is no row of numbers of its own for each cell"
            raise UnsupportedWeights(path, source.format, told, [_ACCEPTED])
    return {name: int(together[tensor].shape[1]) for name, tensor in tensors.items()}


def declare_scores(graph: OnnxGraph, scores: Tensor, classes: int, kind: Scores) -> None:
    """Outputs `label` and `prob` from scores [cells, classes]."""
    prob = scores
    if kind == "logits":
        prob = graph.node("Softmax", scores, axis=1)
    elif kind == "independent_logits":
        prob = graph.node("Sigmoid", scores)
    declare_classes(graph, prob, classes, scores=scores)
