"""What an ONNX graph holds, read from its bytes, and what of it the contract refuses.

Field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
Every message is read once; what is not looked at here cannot run, because ONNX Runtime reads the
same fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from zoo.card import CellZooBlock
from zoo.digest import sha256_of
from zoo.errors import InvalidGraph
from zoo.gate.wire import Malformed, Value, fields, message, signed, text, varints

MAXIMUM_BYTES = 512 << 20
MAXIMUM_NODES = 20_000
MAXIMUM_ELEMENTS = 1 << 28
"""Elements of one initializer, and of one tensor whose shape stands in the graph."""
OPSETS = range(17, 24)
NEWEST_IR = 10

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
_SHAPED = {"ConstantOfShape": 0, "Expand": 1, "Reshape": 1, "Tile": 1, "Range": 1, "OneHot": 1,
           "Pad": 1}  # fmt: skip
"""Operators whose result is as large as an input says, and which input that is."""
_EXTERNAL = 1

# Bits of an element by TensorProto.DataType; texts (8) have none and are refused.
_BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
    15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4,
}  # fmt: skip
_INT64 = 7


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
            told = f"its metadata says {key} = {found!r} where {value!r} is expected"
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
        return _Reader(reference).model(memoryview(graph))
    except Malformed as error:
        raise InvalidGraph(reference, f"it is no ONNX model: {error}") from error


@dataclass
class _Reader:
    """Reads one model; `numbers` are small int64 tensors by name, which may be shapes."""

    reference: str
    stored: int = 0
    numbers: dict[str, list[int]] = field(default_factory=dict)

    def model(self, data: memoryview) -> GraphFacts:
        graphs, opsets, metadata, ir = [], [], {}, 0
        for number, value in fields(data):
            if number == 1:
                ir = signed(value) if isinstance(value, int) else 0
            elif number == 7:
                graphs.append(message(value))
            elif number == 8:
                opsets.append(_opset(message(value)))
            elif number == 14:
                key, told = _entry(message(value))
                metadata[key] = told
            elif number == 20:
                self._refuse("it holds training information")
            elif number == 25:
                self._refuse("it holds functions of its own")
        if len(graphs) != 1:
            self._refuse(f"it holds {len(graphs)} graphs")
        self._check_versions(ir, opsets)
        return self._graph(graphs[0], metadata)

    def _check_versions(self, ir: int, opsets: list[tuple[str, int]]) -> None:
        if not 3 <= ir <= NEWEST_IR:
            self._refuse(f"its IR version is {ir}, and at most {NEWEST_IR} is accepted")
        if foreign := sorted({domain for domain, _ in opsets} - _STANDARD):
            self._refuse(f"it uses operators of the domain {foreign[0]!r}")
        versions = [version for domain, version in opsets if domain in _STANDARD]
        if len(versions) != 1 or versions[0] not in OPSETS:
            known = f"{OPSETS.start} to {OPSETS.stop - 1}"
            self._refuse(f"its opsets are {versions}, and one from {known} is accepted")

    def _graph(self, data: memoryview, metadata: dict[str, str]) -> GraphFacts:
        nodes, inputs, outputs, initializers = [], [], [], set()
        for number, value in fields(data):
            if number == 1:
                nodes.append(message(value))
            elif number == 5:
                initializers.add(self._tensor(message(value)))
            elif number == 11:
                inputs.append(_name(message(value)))
            elif number == 12:
                outputs.append(_name(message(value)))
            elif number == 15:
                self._refuse("it holds a sparse tensor")
        if len(nodes) > MAXIMUM_NODES:
            self._refuse(f"it has {len(nodes):,} nodes, more than {MAXIMUM_NODES:,}")
        operators = frozenset(self._node(node) for node in nodes)
        taken = tuple(name for name in inputs if name not in initializers)
        if unknown := sorted(set(taken) - _INPUTS):
            self._refuse(f"it has an input {unknown[0]!r}, which the contract does not know")
        return GraphFacts(taken, tuple(outputs), operators, metadata, self.stored)

    def _node(self, data: memoryview) -> str:
        kind, domain, inputs, outputs, attributes = "", "", [], [], []
        for number, value in fields(data):
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
            self._refuse(f"it uses the operator {kind!r} of the domain {domain!r}")
        if kind not in OPERATORS:
            self._refuse(f"it uses the operator {kind!r}")
        constant = None
        for attribute in attributes:
            constant = self._attribute(attribute, kind) or constant
        if kind == "Constant" and constant is not None and outputs:
            self.numbers[outputs[0]] = constant
        self._check_shape(kind, inputs)
        return kind

    def _check_shape(self, kind: str, inputs: list[str]) -> None:
        place = _SHAPED.get(kind)
        if place is None or place >= len(inputs):
            return
        sizes = self.numbers.get(inputs[place], [])
        elements = math.prod(size for size in sizes if size > 0)
        if kind == "Pad":
            elements = max(sizes, default=0)
        if elements > MAXIMUM_ELEMENTS:
            self._refuse(f"{kind} makes a tensor of {elements:,} elements")

    def _attribute(self, data: memoryview, kind: str) -> list[int] | None:
        """Check an attribute; the numbers of a constant's value."""
        numbers: list[int] | None = None
        for number, value in fields(data):
            if number in (6, 11):
                self._refuse(f"its {kind} holds a graph")
            elif number in (5, 10):
                name = self._tensor(message(value))
                numbers = self.numbers.get(name)
            elif number in (22, 23):
                self._refuse(f"its {kind} holds a sparse tensor")
            elif number == 8:  # in one packed list, or a field for each
                numbers = [*(numbers or []), *varints(value)]
            elif number == 21:
                self._refuse(f"its {kind} takes an attribute of a function")
        return numbers

    def _tensor(self, data: memoryview) -> str:
        """Check a stored tensor and return its name."""
        dims: list[int] = []
        kind, name, carried, external = 0, "", 0, False
        small: list[int] = []
        raw: memoryview | None = None
        for number, value in fields(data):
            if number == 1:
                dims.extend(varints(value))
            elif number == 2 and isinstance(value, int):
                kind = value
            elif number == 8:
                name = text(value)
            elif number == 9:
                raw = message(value)
            elif number == 13 or (number == 14 and value == _EXTERNAL):
                external = True
            elif number in (4, 5, 7, 10, 11):
                carried += _carried(number, value)
                if number == 7:
                    small.extend(_few(value))
        if external:
            self._refuse(f"its tensor {name!r} lies in another file")
        if kind not in _BITS:
            self._refuse(f"its tensor {name!r} holds no numbers (data type {kind})")
        if any(size < 0 for size in dims):
            self._refuse(f"its tensor {name!r} has the shape {dims}")
        elements = math.prod(dims)
        if elements > MAXIMUM_ELEMENTS:
            self._refuse(f"its tensor {name!r} announces {elements:,} elements")
        needed = (elements * _BITS[kind] + 7) // 8
        if raw is not None and len(raw) != needed:
            told = f"its tensor {name!r} announces {needed:,} bytes and carries {len(raw):,}"
            self._refuse(told)
        if raw is None and carried * 8 < elements:  # two elements of four bits share a number
            told = f"its tensor {name!r} announces {elements:,} elements and carries {carried:,}"
            self._refuse(told)
        self.stored += needed
        if kind == _INT64 and elements <= 64:
            self.numbers[name] = _int64(raw) if raw is not None else small[:64]
        return name

    def _refuse(self, detail: str) -> None:
        raise InvalidGraph(self.reference, detail)


# -- pieces --------------------------------------------------------------------------------------


def _opset(data: memoryview) -> tuple[str, int]:
    domain, version = "", 0
    for number, value in fields(data):
        if number == 1:
            domain = text(value)
        elif number == 2 and isinstance(value, int):
            version = signed(value)
    return domain, version


def _entry(data: memoryview) -> tuple[str, str]:
    key, told = "", ""
    for number, value in fields(data):
        if number == 1:
            key = text(value)
        elif number == 2:
            told = text(value)
    return key, told


def _name(data: memoryview) -> str:
    return next((text(value) for number, value in fields(data) if number == 1), "")


def _carried(number: int, value: Value) -> int:
    """Numbers in a typed list of a tensor, at least: packed varints have a byte each or more."""
    if isinstance(value, int):
        return 1
    return len(value) // {4: 4, 10: 8}.get(number, 1)


def _few(value: Value) -> Iterator[int]:
    for count, number in enumerate(varints(value)):
        if count == 64:
            return
        yield number


def _int64(raw: memoryview) -> list[int]:
    return [
        int.from_bytes(raw[start : start + 8], "little", signed=True)
        for start in range(0, len(raw), 8)
    ]
