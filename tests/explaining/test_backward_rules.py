# ruff: noqa: E501 (a table of cases, one a line)
"""Each backward rule against torch.autograd, on the operator's own node."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from zoo.errors import NoBackwardRule
from zoo.explaining.backward import RULES, Tape
from zoo.explaining.recording import Recording
from zoo.onnx_graph import OnnxGraph
from zoo.session import Session

torch = pytest.importorskip("torch")
F = torch.nn.functional

CELLS, GENES = 5, 4


@dataclass
class Case:
    """One operator: its node, and the same in torch.

    `x` marks the place of the cells among the inputs; `y` is its shape behind the batch.
    """

    kind: str
    inputs: tuple[Any, ...]
    torch: Callable[[Any], Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    y: tuple[int, ...] = (GENES,)
    positive: bool = False
    output: int = 0
    outputs: int = 1


def numbers(*shape, seed=1, low=-2.0, high=2.0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def tensor(array):
    return torch.from_numpy(np.asarray(array))


def ints(*values):
    return np.array(values, dtype=np.int64)


X = "x"
ROW, WIDE, MATRIX = numbers(GENES), numbers(1, GENES), numbers(GENES, 3)
STACK = numbers(2, GENES, 3)
ONE = np.float32(1.5)
T_ROW, T_MATRIX, T_STACK = tensor(ROW), tensor(MATRIX), tensor(STACK)

CASES = {
    "add": Case("Add", (X, ROW), lambda x: x + T_ROW),
    "add a cell to many": Case("Add", (numbers(3, 1, GENES), X), lambda x: x + tensor(numbers(3, 1, GENES))),
    "sub": Case("Sub", (X, ROW), lambda x: x - T_ROW),
    "sub from": Case("Sub", (ROW, X), lambda x: T_ROW - x),
    "mul": Case("Mul", (X, WIDE), lambda x: x * tensor(WIDE)),
    "mul a column": Case("Mul", (ROW, X), lambda x: T_ROW * x, y=(1,)),
    "square": Case("Mul", (X, X), lambda x: x * x),
    "div": Case("Div", (X, ONE), lambda x: x / 1.5),
    "div by": Case("Div", (ROW, X), lambda x: T_ROW / x, positive=True),
    "pow": Case("Pow", (X, np.float32(2.5)), lambda x: x**2.5, positive=True),
    "pow of integers": Case("Pow", (X, np.int64(3)), lambda x: x**3),
    "exponent": Case("Pow", (np.float32(2), X), lambda x: 2**x),
    "max": Case("Max", (X, ROW), lambda x: torch.maximum(x, T_ROW)),
    "min": Case("Min", (X, ROW), lambda x: torch.minimum(x, T_ROW)),
    "where": Case("Where", (ROW > 0, X, ROW), lambda x: torch.where(T_ROW > 0, x, T_ROW)),
    "where not": Case("Where", (ROW > 0, ROW, X), lambda x: torch.where(T_ROW > 0, T_ROW, x)),
    "sum": Case("Sum", (X, ROW, X), lambda x: x + T_ROW + x),
    "neg": Case("Neg", (X,), lambda x: -x),
    "abs": Case("Abs", (X,), torch.abs),
    "exp": Case("Exp", (X,), torch.exp),
    "log": Case("Log", (X,), torch.log, positive=True),
    "sqrt": Case("Sqrt", (X,), torch.sqrt, positive=True),
    "reciprocal": Case("Reciprocal", (X,), torch.reciprocal, positive=True),
    "sigmoid": Case("Sigmoid", (X,), torch.sigmoid),
    "tanh": Case("Tanh", (X,), torch.tanh),
    "softplus": Case("Softplus", (X,), F.softplus),
    "erf": Case("Erf", (X,), torch.erf),
    "gelu": Case("Gelu", (X,), F.gelu),
    "gelu by tanh": Case("Gelu", (X,), lambda x: F.gelu(x, approximate="tanh"), {"approximate": "tanh"}),
    "asinh": Case("Asinh", (X,), torch.asinh),
    "relu": Case("Relu", (X,), F.relu),
    "leaky relu": Case("LeakyRelu", (X,), lambda x: F.leaky_relu(x, 0.2), {"alpha": 0.2}),
    "prelu": Case("PRelu", (X, ROW), lambda x: torch.where(x > 0, x, T_ROW * x)),
    "elu": Case("Elu", (X,), lambda x: F.elu(x, 1.3), {"alpha": 1.3}),
    "clip": Case("Clip", (X, np.float32(-1), np.float32(0.5)), lambda x: x.clamp(-1, 0.5)),
    "clip above": Case("Clip", (X, "", np.float32(0.5)), lambda x: x.clamp(max=0.5)),
    "identity": Case("Identity", (X,), lambda x: x.clone()),
    "dropout": Case("Dropout", (X,), lambda x: x.clone()),
    "cast": Case("Cast", (X,), lambda x: x.double().float(), {"to": TensorProto.FLOAT}),
    "matmul": Case("MatMul", (X, MATRIX), lambda x: x @ T_MATRIX),
    "matmul of stacks": Case("MatMul", (X, STACK), lambda x: x @ T_STACK),
    "matmul of cells' matrices": Case("MatMul", (X, MATRIX), lambda x: x @ T_MATRIX, y=(2, GENES)),
    "matmul from the left": Case("MatMul", (numbers(3, 2), X), lambda x: tensor(numbers(3, 2)) @ x, y=(2, 3)),
    "matmul with a vector": Case("MatMul", (X, ROW), lambda x: x @ T_ROW),
    "attention": Case("MatMul", (X, X), lambda x: x @ x, y=(3, 3)),
    "gemm": Case("Gemm", (X, MATRIX, numbers(3)), lambda x: 0.5 * x @ T_MATRIX + 2 * tensor(numbers(3)), {"alpha": 0.5, "beta": 2.0}),
    "gemm with turned weights": Case("Gemm", (X, numbers(3, GENES)), lambda x: x @ tensor(numbers(3, GENES)).T, {"transB": 1}),
    "gemm's second": Case("Gemm", (numbers(GENES, 3), X), lambda x: (x @ tensor(numbers(GENES, 3))).T, {"transA": 1, "transB": 1}),
    "gemm's third": Case(
        "Gemm",
        (numbers(CELLS, 2), numbers(2, GENES), X),
        lambda x: tensor(numbers(CELLS, 2)) @ tensor(numbers(2, GENES)) + 3 * x,
        {"beta": 3.0},
    ),
    "softmax": Case("Softmax", (X,), lambda x: x.softmax(1), {"axis": 1}),
    "softmax over an inner axis": Case("Softmax", (X,), lambda x: x.softmax(1), {"axis": 1}, y=(3, 2)),
    "log softmax": Case("LogSoftmax", (X,), lambda x: x.log_softmax(-1)),
    "layer normalization": Case("LayerNormalization", (X, ROW, ROW), lambda x: F.layer_norm(x, (GENES,), T_ROW, T_ROW), {"epsilon": 1e-5}),
    "layer normalization of two axes": Case("LayerNormalization", (X, numbers(3, 2)), lambda x: F.layer_norm(x, (3, 2), tensor(numbers(3, 2))), {"axis": 1, "epsilon": 1e-5}, y=(3, 2)),
    "batch normalization": Case("BatchNormalization", (X, ROW, ROW, ROW, ROW**2), lambda x: F.batch_norm(x, T_ROW, T_ROW**2, T_ROW, T_ROW), {"epsilon": 1e-5}),
    "reduce sum": Case("ReduceSum", (X, ints(1)), lambda x: x.sum(1, keepdim=True)),
    "reduce sum without the axis": Case("ReduceSum", (X, ints(-1)), lambda x: x.sum(1), {"keepdims": 0}),
    "reduce sum of all": Case("ReduceSum", (X,), lambda x: x.sum(), {"keepdims": 0}),
    "reduce mean": Case("ReduceMean", (X, ints(1, 2)), lambda x: x.mean((1, 2)), {"keepdims": 0}, y=(3, 2)),
    "reduce max": Case("ReduceMax", (X, ints(1)), lambda x: x.amax(1), {"keepdims": 0}),
    "reduce min": Case("ReduceMin", (X, ints(1)), lambda x: x.amin(1, keepdim=True)),
    "reduce log sum exp": Case("ReduceLogSumExp", (X, ints(1)), lambda x: x.logsumexp(1), {"keepdims": 0}),
    "reduce sum square": Case("ReduceSumSquare", (X, ints(1)), lambda x: (x * x).sum(1, keepdim=True)),
    "reduce l2": Case("ReduceL2", (X, ints(1)), lambda x: x.norm(dim=1), {"keepdims": 0}),
    "reduce l1": Case("ReduceL1", (X, ints(1)), lambda x: x.abs().sum(1), {"keepdims": 0}),
    "reshape": Case("Reshape", (X, ints(-1, 2, 3)), lambda x: x.reshape(-1, 2, 3), y=(6,)),
    "flatten": Case("Flatten", (X,), lambda x: x.flatten(1), y=(3, 2)),
    "squeeze": Case("Squeeze", (X, ints(1)), lambda x: x.squeeze(1), y=(1, 3)),
    "unsqueeze": Case("Unsqueeze", (X, ints(0, 2)), lambda x: x[None, :, None]),
    "transpose": Case("Transpose", (X,), lambda x: x.permute(1, 2, 0), {"perm": [1, 2, 0]}, y=(3, 2)),
    "transpose of a matrix": Case("Transpose", (X,), lambda x: x.T),
    "expand": Case("Expand", (X, ints(1, 3)), lambda x: x.expand(-1, 3), y=(1,)),
    "tile": Case("Tile", (X, ints(2, 3)), lambda x: x.repeat(2, 3)),
    "concat": Case("Concat", (MATRIX.T[:1].repeat(1, axis=0), X), lambda x: torch.cat([tensor(MATRIX.T[:1]), x]), {"axis": 0}),
    "concat twice": Case("Concat", (X, X), lambda x: torch.cat([x, x], 1), {"axis": 1}),
    "slice": Case("Slice", (X, ints(1), ints(5), ints(1), ints(2)), lambda x: x[:, 1:5:2], y=(6,)),
    "slice to the end": Case("Slice", (X, ints(-2), ints(2**63 - 1), ints(-1)), lambda x: x[:, -2:]),
    "slice backwards": Case("Slice", (X, ints(-1), ints(-(2**63) + 1), ints(1), ints(-1)), lambda x: x.flip(1)),
    "slice of two axes": Case("Slice", (X, ints(0, 1), ints(2**63 - 1, 3), ints(0, 1)), lambda x: x[:, 1:3]),
    "gather": Case("Gather", (X, ints(2, 0)), lambda x: x[:, [2, 0]], {"axis": 1}),
    "gather one": Case("Gather", (X, np.int64(-1)), lambda x: x[:, -1], {"axis": 1}),
    "gather a table": Case("Gather", (X, ints(2, 0, 1, 3).reshape(2, 2)), lambda x: x[:, tensor(ints(2, 0, 1, 3).reshape(2, 2))], {"axis": 1}),
    "gather twice": Case("Gather", (X, ints(2, 0, 2)), lambda x: x[:, [2, 0, 2]], {"axis": 1}),
    "gather along edges": Case("Gather", (X, ints(0, 2, 0)), lambda x: x[[0, 2, 0]], {"axis": 0}),
    "gather elements": Case("GatherElements", (X, ints(0, 1, 2).reshape(3, 1)), lambda x: x[:3].gather(1, tensor(ints(0, 1, 2).reshape(3, 1))), {"axis": 1}),
    "scatter nd, added": Case("ScatterND", (numbers(6, GENES), ints(0, 1, 2, 1, 0)[:, None], X), lambda x: tensor(numbers(6, GENES)).index_add(0, tensor(ints(0, 1, 2, 1, 0)), x), {"reduction": "add"}),
    "scatter nd, added to": Case("ScatterND", (X, ints(0, 1)[:, None], numbers(2, GENES)), lambda x: x.index_add(0, tensor(ints(0, 1)), tensor(numbers(2, GENES))), {"reduction": "add"}),
    "split": Case("Split", (X, ints(1, 3)), lambda x: x[:, 1:], {"axis": 1}, output=1, outputs=2),
}  # fmt: skip

FLAT = {"Ceil", "Floor", "Round", "Sign"}


def differentiated(case):
    """The rule's gradient and the inputs, on the larger of two batches."""
    graph = OnnxGraph.empty(onnx, prefix="test", opset=20, ir=10)
    graph.add_input("x", TensorProto.FLOAT, ["cells", *case.y])
    names = [name if isinstance(name, str) else graph.constant(name) for name in case.inputs]
    outputs = [graph.fresh(f"out_{number}") for number in range(case.outputs)]
    graph.model.graph.node.append(
        onnx.helper.make_node(case.kind, names, outputs, **case.attributes)
    )
    low = 0.3 if case.positive else -2.0
    x = numbers(CELLS, *case.y, seed=3, low=low)
    fixed_batch = case.kind in ("ScatterND", "Gemm", "GatherElements")
    smaller = x if fixed_batch else x[: CELLS - 2]
    recording = Recording.of(graph, {"x": smaller}, {"x": x})
    output = outputs[case.output]
    seed = numbers(*recording.values[output].shape, seed=4)
    tape = Tape(graph, recording.nodes, recording.shapes, recording.values, recording.varying, "m")
    at = tape.gradient({output: graph.constant(seed)}, "x")
    found = Session.of_draft(graph.showing([at])).run({"x": x}, (at,))[at]
    return found, x, seed


@pytest.mark.parametrize("name", CASES)
def test_a_rule_gives_what_autograd_gives(name):
    case = CASES[name]
    found, x, seed = differentiated(case)
    leaf = tensor(x).double().requires_grad_()
    case.torch(leaf.float()).backward(tensor(seed))
    expected = leaf.grad.numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6)


def test_every_rule_is_tested():
    assert {case.kind for case in CASES.values()} == set(RULES) - FLAT


@pytest.mark.parametrize("kind", sorted(FLAT))
def test_steps_have_no_gradient(kind):
    case = Case(kind, (X,), lambda x: x)
    with pytest.raises(NoBackwardRule, match="nothing that is explained depends on 'x'"):
        differentiated(case)


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (Case("Cos", (X,), torch.cos), "the operator Cos, which computes 'out_0', has no"),
        (
            Case("ScatterND", (X, ints(0, 1)[:, None], numbers(2, GENES)), torch.clone),
            "it replaces and does not add",
        ),
        (Case("Slice", (X, ints(0), ints(2)), torch.clone), "it takes a part of the batch"),
    ],
    ids=["no rule", "a form without a rule", "a part of the batch"],
)
def test_an_operator_without_a_rule_is_named(case, told):
    with pytest.raises(NoBackwardRule, match=told):
        differentiated(case)
