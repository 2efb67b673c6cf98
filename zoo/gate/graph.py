"""What an ONNX graph holds, read from its bytes, and what of it the contract refuses.

Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
Every message is read once; what is not looked at here cannot run, because ONNX Runtime reads the
same fields. Where two readers could understand two things (a field or a name that comes twice), the
graph is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from zoo.card import CellZooBlock
from zoo.digest import sha256_of
from zoo.errors import InvalidGraph
from zoo.gate.sizes import Sizes
from zoo.gate.tensors import FEW, Refused, StoredTensor, read_tensor, shown
from zoo.gate.wire import Malformed, Value, fields, integer, message, signed, text, varints

MAXIMUM_BYTES = 512 << 20
MAXIMUM_NODES = 20_000
MAXIMUM_FIELDS = 500_000
"""Fields of all messages together: millions of empty ones would take the gate's time."""
OPSETS = range(17, 24)
NEWEST_IR = 10
GRAPH_SHA256 = "cellzoo_graph_sha256"
"""Entry in the metadata of `explain.onnx`: the sha256 of the `model.onnx` that it explains."""

_ACCEPTED = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
    Cast CastLike Ceil Celu Clip Concat Constant ConstantOfShape Conv Cos Cosh CumSum
    DepthToSpace DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp
    Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GroupNormalization HardSigmoid
    HardSwish Hardmax Identity InstanceNormalization IsInf IsNaN LSTM LayerNormalization
    LeakyRelu Less LessOrEqual Log LogSoftmax MatMul MatMulInteger Max MaxPool Mean Min Mish
    Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow QLinearMatMul QuantizeLinear RNN Range
    Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round ScatterElements ScatterND Selu
    Shape Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Where
    Xor
"""
OPERATORS = frozenset(_ACCEPTED.split())
"""Operators of the standard domain that compute on numbers, give the same each time, and have no
graph inside. Not among them: `Loop`, `Scan`, `If`, sequences, texts, images, random numbers."""

_INPUTS = frozenset(
    {"counts", "gene_present", "total_counts", "edge_index", "edge_weight", "label"}
)
_STANDARD = frozenset({"", "ai.onnx"})
_TEXT = 8  # TensorProto.DataType

# The runtime's own format: whatever else the bytes are, with these it reads no ONNX.
_ORT_FORMAT = b"ORTM"

# Fields that a message may have more than once, by message; of others, readers take one or another.
_OF_MODEL = frozenset({8, 14, 20, 25, 26})
_OF_GRAPH = frozenset({1, 5, 11, 12, 13, 14, 15, 16})
_OF_NODE = frozenset({1, 2, 5, 9, 10})
_OF_ATTRIBUTE = frozenset({7, 8, 9, 10, 11, 15, 23})
_OF_VALUE = frozenset({4})
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class GraphFacts:
    """What a graph says of itself.

    Attributes
    ----------
    inputs, outputs
        Names in order.
    operators
        Operators that it uses.
    metadata
        Entries of `metadata_props`.
    initializer_bytes
        Bytes of all stored tensors.

    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: frozenset[str]
    metadata: dict[str, str]
    initializer_bytes: int


def ensure_harmless(graph: bytes, card: CellZooBlock, genes: bytes) -> GraphFacts:
    """Refuse a graph that is no plain arithmetic, or that disagrees with its card.

    Parameters
    ----------
    graph
        Bytes of `model.onnx` or `explain.onnx`.
    card
        The card's block.
    genes
        Bytes of `genes.tsv`.

    Raises
    ------
    InvalidGraph

    """
    facts = read_graph(graph, card.reference)
    expected = {
        "cellzoo_contract": str(card.contract),
        "cellzoo_name": card.name,
        "cellzoo_version": card.version,
        "cellzoo_genes_sha256": sha256_of(genes),
    }
    for key, value in expected.items():
        if (found := facts.metadata.get(key)) != value:
            said = found if found is None else shown(found)
            told = f"its metadata says {key} = {said} where {value!r} is expected"
            raise InvalidGraph(card.reference, told)
    return facts


def read_graph(graph: bytes, reference: str) -> GraphFacts:
    """Read a graph within limits.

    Raises
    ------
    InvalidGraph
        If it is no ONNX model, or holds what is refused; the message says what.

    """
    if len(graph) > MAXIMUM_BYTES:
        raise InvalidGraph(reference, f"it has more than {MAXIMUM_BYTES >> 20} MB")
    try:
        if graph[4:8] == _ORT_FORMAT:
            raise Refused("it is in the format of ONNX Runtime, not in ONNX's")
        return _Reader().model(memoryview(graph))
    except Malformed as error:
        raise InvalidGraph(reference, f"it is no ONNX model: {error}") from error
    except Refused as error:
        raise InvalidGraph(reference, str(error)) from error


@dataclass
class _Reader:
    """Reads one model."""

    stored_bytes: int = 0
    read: int = 0
    """Fields so far."""
    sizes: Sizes = field(default_factory=Sizes)

    def fields(self, data: memoryview, repeated: frozenset[int]) -> Iterator[tuple[int, Value]]:
        """The fields of a message; those that are not in the set come at most once."""
        seen = set()
        for number, value in fields(data):
            self.read += 1
            if self.read > MAXIMUM_FIELDS:
                raise Refused(f"it has more than {MAXIMUM_FIELDS:,} fields")
            if number in seen and number not in repeated:
                raise Malformed(f"field {number} of a message comes twice")
            seen.add(number)
            yield number, value

    def model(self, data: memoryview) -> GraphFacts:
        """Read a `ModelProto`."""
        graph, opsets, ir = memoryview(b""), [], 0
        metadata: dict[str, str] = {}
        for number, value in self.fields(data, _OF_MODEL):
            if number == 1:
                ir = signed(integer(value))
            elif number == 7:
                graph = message(value)
            elif number == 8:
                opsets.append(self._opset(message(value)))
            elif number == 14:
                key, told = self._entry(message(value))
                if key in metadata:
                    raise Refused(f"its metadata say {shown(key)} twice")
                metadata[key] = told
            elif number == 20:
                raise Refused("it holds training information")
            elif number == 25:
                raise Refused("it holds functions of its own")
        if not graph:
            raise Refused("it holds no graph")
        _check_versions(ir, opsets)
        return self._graph(graph, metadata)

    def _graph(self, data: memoryview, metadata: dict[str, str]) -> GraphFacts:
        nodes, inputs, outputs = [], [], []
        initializers: set[str] = set()
        for number, value in self.fields(data, _OF_GRAPH):
            if number == 1:
                nodes.append(message(value))
            elif number == 5:
                tensor = self._tensor(message(value))
                _ensure_new(tensor.name, initializers)
                initializers.add(tensor.name)
                self.sizes.store(tensor.name, tensor.numbers)
            elif number == 11:
                inputs.append(self._value_name(message(value)))
            elif number == 12:
                outputs.append(self._value_name(message(value)))
            elif number == 15:
                raise Refused("it holds a sparse tensor")
        if len(nodes) > MAXIMUM_NODES:
            raise Refused(f"it has {len(nodes):,} nodes, more than {MAXIMUM_NODES:,}")
        if unknown := sorted(set(inputs) - initializers - _INPUTS):
            raise Refused(f"it has an input {shown(unknown[0])}, which the contract does not know")
        if both := sorted(initializers & set(inputs)):
            raise Refused(f"its input {shown(both[0])} is a stored tensor too")
        self.sizes.told.update(inputs)
        names = initializers | set(inputs)
        operators = frozenset(self._node(node, names) for node in nodes)
        return GraphFacts(tuple(inputs), tuple(outputs), operators, metadata, self.stored_bytes)

    def _node(self, data: memoryview, names: set[str]) -> str:
        """Check a node, whose outputs become names that later ones may take."""
        kind, domain, inputs, outputs = "", "", [], []
        attributes: list[memoryview] = []
        for number, value in self.fields(data, _OF_NODE):
            if number == 1:
                inputs.append(text(value))
            elif number == 2:
                outputs.append(text(value))
            elif number == 4:
                kind = text(value)
            elif number == 5:
                attributes.append(message(value))
            elif number == 7:
                domain = text(value)
        if domain not in _STANDARD:
            raise Refused(f"it uses the operator {shown(kind)} of the domain {shown(domain)}")
        if kind not in OPERATORS:
            raise Refused(f"it uses the operator {shown(kind)}")
        for name in inputs:
            if name and name not in names:
                raise Refused(f"its {kind} takes {shown(name)}, which nothing before it gives")
        for name in filter(None, outputs):
            _ensure_new(name, names)
            names.add(name)
        self._follow(kind, inputs, outputs, attributes)
        return kind

    def _follow(
        self, kind: str, inputs: list[str], outputs: list[str], attributes: list[memoryview]
    ) -> None:
        """Check a node's attributes and hand its numbers on."""
        found: dict[str, list[int] | None] = {}
        for attribute in attributes:
            name, numbers = self._attribute(attribute, kind)
            if name in found:
                raise Refused(f"its {kind} has the attribute {shown(name)} twice")
            found[name] = numbers
        to = (found.get("to") or [0])[0]
        if to == _TEXT:
            raise Refused("its Cast makes texts")
        if pads := found.get("pads"):
            self.sizes.ensure_small(kind, [1 + abs(pad) for pad in pads])
        if kind != "Constant":
            self.sizes.follow(kind, inputs, outputs, to)
        elif len(found) != 1 or len(outputs) != 1 or inputs:
            raise Refused("its Constant is not one value")
        else:
            self.sizes.store(outputs[0], *found.values())

    def _attribute(self, data: memoryview, kind: str) -> tuple[str, list[int] | None]:
        """Check an attribute: its name, and its numbers where they are few and whole."""
        name, several = "", list[int]()
        numbers: list[int] | None = None
        for number, value in self.fields(data, _OF_ATTRIBUTE):
            if number == 1:
                name = text(value)
            elif number == 3:
                numbers = [signed(integer(value))]
            elif number in (6, 11):
                raise Refused(f"its {kind} holds a graph")
            elif number in (5, 10):
                numbers = self._tensor(message(value)).numbers
            elif number in (22, 23):
                raise Refused(f"its {kind} holds a sparse tensor")
            elif number in (4, 9) and kind == "Constant":
                raise Refused("its Constant holds a text")
            elif number == 8:  # in one packed list, or a field for each
                several.extend(islice(varints(value), FEW + 1))
                if len(several) > FEW:
                    raise Refused(f"its {kind} has an attribute of more than {FEW} numbers")
            elif number == 21:
                raise Refused(f"its {kind} takes an attribute of a function")
        return name, several or numbers

    def _tensor(self, data: memoryview) -> StoredTensor:
        tensor = read_tensor(data, self.fields)
        self.stored_bytes += tensor.size
        return tensor

    def _opset(self, data: memoryview) -> tuple[str, int]:
        domain, version = "", 0
        for number, value in self.fields(data, _NONE):
            if number == 1:
                domain = text(value)
            elif number == 2:
                version = signed(integer(value))
        return domain, version

    def _entry(self, data: memoryview) -> tuple[str, str]:
        found = {number: text(value) for number, value in self.fields(data, _NONE)}
        return found.get(1, ""), found.get(2, "")

    def _value_name(self, data: memoryview) -> str:
        found = dict(self.fields(data, _OF_VALUE))
        return text(found.get(1, memoryview(b"")))


# -- pieces --------------------------------------------------------------------------------------


def _check_versions(ir: int, opsets: list[tuple[str, int]]) -> None:
    if not 3 <= ir <= NEWEST_IR:
        raise Refused(f"its IR version is {ir}, and at most {NEWEST_IR} is accepted")
    if foreign := sorted({domain for domain, _ in opsets} - _STANDARD):
        raise Refused(f"it uses operators of the domain {shown(foreign[0])}")
    versions = [version for domain, version in opsets if domain in _STANDARD]
    if len(versions) != 1 or versions[0] not in OPSETS:
        known = f"{OPSETS.start} to {OPSETS.stop - 1}"
        raise Refused(f"its opsets are {versions[:5]}, and one from {known} is accepted")


def _ensure_new(name: str, names: set[str]) -> None:
    if name in names:
        raise Refused(f"the name {shown(name)} is given twice")
