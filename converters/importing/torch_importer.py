"""torch: a state dict of a feed-forward network, or any module that lives in your own Python.

No file of torch holds a module as data: a pickled `nn.Module` names code, TorchScript and
`torch.export` archives are programs. So a file gives tensors alone (`weights_only=True`), and what
lies between them is said in words:

    zoo convert torch weights.pt --set 'layers=["fc1", "bn1", "relu", "fc2"]' …

A module of another kind is converted where its code is trusted, in the caller's own Python:

    TorchModule(module).convert(ConvertRequest(source=Path("weights.pt"), …), print)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from converters.importing.foreign_graph import (
    SETTINGS,
    Scores,
    Wanted,
    declare_scores,
    read_graph,
    wrapped,
)
from converters.importing.importer import Arrays, ImportedModel, Importer, Source
from converters.importing.layers import (
    ACTIVATIONS,
    activated,
    dense,
    new_graph,
    normalized,
    normalized_by_numpy,
    value_kinds_of,
)
from converters.importing.torch_file import read_torch
from converters.importing.weights import Weights
from zoo.errors import (
    MissingWeights,
    NoGeneNames,
    NoLayers,
    UnequalLengths,
    UnreadableWeights,
    UnsupportedWeights,
)
from zoo.evaluation.cells import Placed
from zoo.onnx_graph import OnnxGraph, Tensor, require_onnx

if TYPE_CHECKING:
    from torch import nn

_WHOLE = ("state_dict", "model_state_dict", "model")
_COUNTERS = "num_batches_tracked"


class TorchModule(Importer):
    """A live module: normalized values [cells, genes] in, a tensor or a dict of tensors out.

    Parameters
    ----------
    module
        In evaluation mode afterwards. A dict's keys are names for `outputs`.

    """

    name: ClassVar[str] = "torch"
    summary: ClassVar[str] = "a torch module"
    settings: ClassVar[Mapping[str, str]] = SETTINGS

    def __init__(self, module: nn.Module) -> None:
        self.module = module.eval()

    def read(self, source: Source) -> ImportedModel:
        """Export the module and put it into a graph of the contract."""
        return exported(self.module, source, "torch-module")


class Torch(Importer):
    """A state dict with its layers in words."""

    name: ClassVar[str] = "torch"
    summary: ClassVar[str] = "a torch state dict (.pt, .pth) of a feed-forward network"
    settings: ClassVar[Mapping[str, str]] = {
        "layers": "In order, the layers by their names in the file and what lies between them, "
        f"e.g. ['fc1', 'bn1', 'relu', 'fc2']; functions: {', '.join(ACTIVATIONS)}.",
        "scores": SETTINGS["scores"],
    }

    def read(self, source: Source) -> ImportedModel:
        """Build the network that the words describe, with the file's tensors."""
        tensors = _state_dict(read_torch(source.path, self.name), source)
        return _chain_as_model(Chain.of(tensors, source), source)


def exported(module: nn.Module, source: Source, architecture: str) -> ImportedModel:
    """A module as a model of the contract, held against its own answers in torch.

    Raises
    ------
    UnsupportedWeights
        If torch cannot export it, or the graph is none that the contract allows.

    """
    import torch

    if source.genes is None:
        raise NoGeneNames(str(source.path), source.format, _inputs_of(module))
    example = torch.from_numpy(
        np.random.default_rng(0).gamma(1.0, 1.0, (8, len(source.genes))).astype(np.float32)
    )
    try:
        with torch.no_grad():
            given = module(example)
    except RuntimeError as error:
        inputs = _inputs_of(module)
        if inputs and inputs != len(source.genes):
            raise UnequalLengths(
                str(source.path), first="genes", first_length=len(source.genes),
                second="inputs of the network", second_length=inputs,
            ) from error  # fmt: skip
        raise _not_exported(source, error) from error
    names = list(given) if isinstance(given, dict) else ["scores"]
    content = _export(module, example, names, source)
    model = read_graph(content, source, require_onnx("convert", "convert weights"))
    imported = wrapped(model, source, architecture=architecture)
    wanted = Wanted.of(source)
    own = dict(wanted.outputs) or {"scores": names[0]}
    values = source.values_or_raise()

    def answers(placed: Placed) -> Arrays:
        x = normalized_by_numpy(values, source.target_sum, placed.counts, placed.total_counts)
        with torch.no_grad():
            told = module(torch.from_numpy(x.astype(np.float32)))
        told = told if isinstance(told, dict) else {"scores": told}
        answer = {name: told[its].numpy() for name, its in own.items() if name != "scores"}
        if "scores" not in own:
            return answer
        return {**answer, **_classes(told[own["scores"]], wanted.scores)}

    return dataclasses.replace(imported, answers=answers, answered_by=f"torch {torch.__version__}")


def _export(module: nn.Module, example: Any, names: Sequence[str], source: Source) -> bytes:
    import io
    import warnings

    import torch

    from converters.onnx_export import OPSET, quiet_exporter

    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(), quiet_exporter():
            warnings.simplefilter("ignore")  # torch's exporter warns about its own future
            program = torch.onnx.export(
                module,
                (example,),
                input_names=["values"],
                output_names=list(names),
                dynamic_shapes=({0: torch.export.Dim("cells", min=1)},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        program.save(buffer)
    except Exception as error:  # the exporter raises classes of its own
        raise _not_exported(source, error) from error
    return buffer.getvalue()


def _not_exported(source: Source, error: Exception) -> UnsupportedWeights:
    told = " ".join(str(error).split())[:200]
    return UnsupportedWeights(
        str(source.path),
        source.format,
        f"a module that torch cannot run or export ({type(error).__name__}: {told})",
        ["modules that take one float32 matrix [cells, genes] and give tensors [cells, …]"],
    )


def _inputs_of(module: nn.Module) -> int:
    """Columns of the first matrix: the number of inputs, where the module begins with it."""
    matrices = (p for p in module.parameters() if p.dim() == 2)
    return int(next((p.shape[1] for p in matrices), 0))


# -- state dicts ---------------------------------------------------------------------------------


def _state_dict(content: Any, source: Source) -> dict[str, Any]:
    """Tensors by name, also where the file holds them beside other things."""
    import torch

    if isinstance(content, dict):
        inside = next((content[k] for k in _WHOLE if isinstance(content.get(k), dict)), content)
        tensors = {str(k): v for k, v in inside.items() if isinstance(v, torch.Tensor)}
        if tensors:
            for name, tensor in tensors.items():
                numbers = tensor.detach().double().numpy()
                Weights(source.path, source.format, {}).finite(name, numbers, numbers.ndim)
            return tensors
    raise UnreadableWeights(str(source.path), source.format, "it holds no tensors by name")


@dataclass(frozen=True)
class Chain:
    """Layers, one after the other.

    Attributes
    ----------
    steps
        Layers as modules, functions by their names in `ACTIVATIONS`.
    inputs, outputs
        Of the whole chain.

    """

    steps: tuple[nn.Module | str, ...]
    inputs: int
    outputs: int

    @classmethod
    def of(cls, tensors: Mapping[str, Any], source: Source) -> Chain:
        """The chain that the setting `layers` names.

        Raises
        ------
        NoLayers, MissingWeights, UnequalLengths, UnsupportedWeights

        """
        path = str(source.path)
        prefixes = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
        layers = source.settings.get("layers")
        if layers is None and len(prefixes) == 1:
            layers = prefixes
        if not isinstance(layers, list) or not layers:
            raise NoLayers(path, prefixes)
        if unused := [prefix for prefix in prefixes if prefix not in layers]:
            told = f"layers that 'layers' does not name: {', '.join(unused)}"
            raise UnsupportedWeights(path, source.format, told, ["every layer of the file"])
        steps: list[nn.Module | str] = []
        first = width = 0
        for entry in layers:
            if entry not in prefixes:
                if entry not in ACTIVATIONS:
                    raise MissingWeights(path, source.format, str(entry))
                steps.append(str(entry))
                continue
            layer, inputs, outputs = _layer(tensors, str(entry), source)
            if width and width != inputs:
                raise UnequalLengths(
                    path, first="outputs before it", first_length=width,
                    second=f"inputs of {entry}", second_length=inputs,
                )  # fmt: skip
            first, width = first or inputs, outputs
            steps.append(layer.eval())
        return cls(tuple(steps), first, width)

    def run(self, x: Any) -> Any:
        """The chain in torch, for a tensor [cells, inputs]."""
        import torch

        functions = {**vars(torch.nn.functional), "identity": lambda x: x}
        with torch.no_grad():
            for step in self.steps:
                if step == "softmax":
                    x = torch.softmax(x, dim=1)
                else:
                    x = functions[step](x) if isinstance(step, str) else step(x)
        return x

    def append(self, graph: OnnxGraph, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same as nodes: what comes out, and what goes into the last matrix."""
        from torch import nn

        hidden = x
        for step in self.steps:
            if isinstance(step, str):
                x = activated(graph, x, step)
                continue
            own = {name: tensor.numpy() for name, tensor in step.state_dict().items()}
            if isinstance(step, nn.Linear):
                hidden = x
                x = dense(graph, x, own["weight"].T, own.get("bias"))
            elif isinstance(step, nn.BatchNorm1d):
                spread = np.sqrt(own["running_var"].astype(np.float64) + step.eps)
                scale = own.get("weight", np.ones(1)) / spread
                shift = own.get("bias", np.zeros(1)) - own["running_mean"] * scale
                x = graph.node("Mul", x, graph.constant(scale.astype(np.float32)))
                x = graph.node("Add", x, graph.constant(shift.astype(np.float32)))
            else:
                assert isinstance(step, nn.LayerNorm), "_layer makes no other layers"
                shift = own.get("bias", np.zeros_like(own["weight"]))
                parts = (graph.constant(own["weight"]), graph.constant(shift))
                x = graph.node("LayerNormalization", x, *parts, axis=-1, epsilon=step.eps)
        return x, hidden


def _chain_as_model(chain: Chain, source: Source) -> ImportedModel:
    """The chain behind its normalization, held against torch."""
    import torch

    values, wanted = source.values_or_raise(), Wanted.of(source)
    genes = source.genes_for(chain.inputs, "inputs of the network")
    labels = source.labels_for(chain.outputs, "outputs of the network")
    graph = new_graph(chain.inputs, total_counts=values == "library_log1p", gene_present=False)
    scores, hidden = chain.append(graph, normalized(graph, values, source.target_sum))
    declare_scores(graph, scores, chain.outputs, wanted.scores)

    def answers(placed: Placed) -> Arrays:
        x = normalized_by_numpy(values, source.target_sum, placed.counts, placed.total_counts)
        return _classes(chain.run(torch.from_numpy(x.astype(np.float32))), wanted.scores)

    first = next(step for step in chain.steps if not isinstance(step, str))
    weight = first.weight.detach().numpy()
    return ImportedModel(
        graph=graph,
        genes=genes,
        architecture="mlp",
        labels=labels,
        prob_kind="independent" if wanted.scores.startswith("independent") else "softmax",
        value_kinds=value_kinds_of(values),
        gene_weight=(weight**2).sum(axis=0) if weight.ndim == 2 else None,
        features=graph.node("Identity", hidden),
        answers=answers,
        answered_by=f"torch {torch.__version__}",
        hyper_parameters={
            "values": values,
            "target_sum": source.target_sum,
            "layers": [s if isinstance(s, str) else type(s).__name__ for s in chain.steps],
        },
    )


def _classes(scores: Any, kind: Scores) -> Arrays:
    """`label` and `prob` of scores [cells, classes], by torch."""
    import torch

    prob = scores
    if kind == "logits":
        prob = torch.softmax(scores, dim=1)
    elif kind == "independent_logits":
        prob = torch.sigmoid(scores)
    return {"prob": prob.numpy(), "label": scores.argmax(dim=1).numpy()}


def _layer(tensors: Mapping[str, Any], prefix: str, source: Source) -> tuple[nn.Module, int, int]:
    """A layer by the shapes of its tensors, with its numbers of inputs and outputs."""
    from torch import nn

    dot = f"{prefix}." if prefix else ""
    own = {
        name.removeprefix(dot): tensor.float()
        for name, tensor in tensors.items()
        if name.rpartition(".")[0] == prefix and not name.endswith(_COUNTERS)
    }
    weight, bias, mean = own.get("weight"), own.get("bias"), own.get("running_mean")
    layer: nn.Module
    if weight is not None and weight.dim() == 2 and set(own) <= {"weight", "bias"}:
        outputs, inputs = weight.shape
        layer = nn.Linear(inputs, outputs, bias=bias is not None)
    elif mean is not None and set(own) <= {"weight", "bias", "running_mean", "running_var"}:
        inputs = outputs = len(mean)
        layer = nn.BatchNorm1d(inputs, affine=weight is not None)
    elif weight is not None and weight.dim() == 1 and set(own) <= {"weight", "bias"}:
        inputs = outputs = len(weight)
        layer = nn.LayerNorm(inputs, bias=bias is not None)
    else:
        raise UnsupportedWeights(
            str(source.path), source.format, f"a layer {prefix!r} with {', '.join(sorted(own))}",
            ["Linear, BatchNorm1d and LayerNorm"],
        )  # fmt: skip
    for name, tensor in own.items():
        expected = dict(layer.named_parameters()) | dict(layer.named_buffers())
        if name not in expected or expected[name].shape != tensor.shape:
            raise UnequalLengths(
                str(source.path), first=f"numbers in {dot}{name}", first_length=tensor.numel(),
                second="outputs of the layer", second_length=int(outputs),
            )  # fmt: skip
    layer.load_state_dict(own, strict=False)
    return layer, int(inputs), int(outputs)
