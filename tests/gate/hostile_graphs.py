"""Graphs that somebody might publish to harm whoever runs them; each is what its name says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from zoo.digest import sha256_of

Model = Any

GENES = 6
PROPERTIES = {
    "cellzoo_contract": "1",
    "cellzoo_name": "tiny",
    "cellzoo_version": "1.0.0",
}


def graph_of(
    nodes: list[Any],
    *,
    initializers: list[Any] | None = None,
    opsets: list[tuple[str, int]] | None = None,
    ir: int = 8,
    inputs: list[Any] | None = None,
) -> Model:
    """A model with input `counts` and output `embedding`."""
    graph = helper.make_graph(
        nodes,
        "g",
        inputs or [helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["cells", GENES])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["cells", None])],
        initializer=initializers or [],
    )
    sets = [helper.make_opsetid(domain, version) for domain, version in opsets or [("", 17)]]
    return helper.make_model(graph, opset_imports=sets, ir_version=ir)


def identity() -> Any:
    """The harmless node."""
    return helper.make_node("Identity", ["counts"], ["embedding"])


def harmless() -> Model:
    return graph_of([identity()])


def endless_loop() -> Model:
    """`Loop` of 2^62 steps: the checker passes it, the runtime runs it until it is killed."""
    boolean = helper.make_tensor_value_info("go", TensorProto.BOOL, [])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go"]),
            helper.make_node("Identity", ["x_in"], ["x"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x_in", TensorProto.FLOAT, None),
        ],
        [boolean, helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
    )
    steps = numpy_helper.from_array(np.array(1 << 62, np.int64), "steps")
    go = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("Loop", ["steps", "yes", "counts"], ["embedding"], body=body)
    return graph_of([node], initializers=[steps, go])


def branch() -> Model:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    one = helper.make_graph([helper.make_node("Identity", ["counts"], ["y"])], "one", [], [value])
    yes = numpy_helper.from_array(np.array(True), "yes")
    node = helper.make_node("If", ["yes"], ["embedding"], then_branch=one, else_branch=one)
    return graph_of([node], initializers=[yes])


def scan() -> Model:
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])],
        "body",
        [info("a", TensorProto.FLOAT, [GENES])],
        [info("b", TensorProto.FLOAT, [GENES])],
    )
    return graph_of([helper.make_node("Scan", ["counts"], ["embedding"], body=body, num_scan_inputs=1)])  # fmt: skip  # noqa: E501


def graph_in_an_attribute() -> Model:
    """A graph hidden in an attribute of a harmless operator."""
    node = identity()
    node.attribute.append(helper.make_attribute("body", harmless().graph))
    return graph_of([node])


def own_domain() -> Model:
    node = helper.make_node("Run", ["counts"], ["embedding"], domain="com.evil")
    return graph_of([node], opsets=[("", 17), ("com.evil", 1)])


def own_domain_undeclared() -> Model:
    return graph_of([helper.make_node("Run", ["counts"], ["embedding"], domain="com.evil")])


def function_of_its_own() -> Model:
    model = harmless()
    model.functions.append(
        helper.make_function(
            "local", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])],
            [helper.make_opsetid("", 17)],
        )
    )  # fmt: skip
    return model


def random_numbers() -> Model:
    node = helper.make_node("RandomNormalLike", ["counts"], ["embedding"])
    return graph_of([node])


def huge_initializer() -> Model:
    """160 GB announced, nothing carried."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[200_000, 200_000])
    return graph_of([identity()], initializers=[tensor])


def overflowing_initializer() -> Model:
    """Dimensions whose product overflows 64 bits to something small."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1 << 32, 1 << 32])
    tensor.raw_data = b""
    return graph_of([identity()], initializers=[tensor])


def lying_initializer() -> Model:
    """More elements announced than there are bytes."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1000])
    tensor.raw_data = b"\0" * 16
    return graph_of([identity()], initializers=[tensor])


def negative_initializer() -> Model:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[-4, -4])
    tensor.raw_data = b"\0" * 64
    return graph_of([identity()], initializers=[tensor])


def text_tensor() -> Model:
    return graph_of(
        [identity()], initializers=[helper.make_tensor("s", TensorProto.STRING, [1], [b"a"])]
    )


def external_data() -> Model:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    return graph_of([identity()], initializers=[tensor])


def external_data_outside() -> Model:
    model = external_data()
    model.graph.initializer[0].external_data[0].value = "../../../../etc/hostname"
    return model


def external_data_unsaid() -> Model:
    """The entries are there, the flag is not."""
    model = external_data()
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    model.graph.initializer[0].raw_data = b"\0" * 16
    return model


def huge_constant_of_shape() -> Model:
    shape = numpy_helper.from_array(np.array([1 << 20, 1 << 20], np.int64), "shape")
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["big"]), identity()]
    return graph_of(nodes, initializers=[shape])


def huge_expand() -> Model:
    shape = helper.make_tensor("s", TensorProto.INT64, [2], [1 << 24, 1 << 20])
    nodes = [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Expand", ["counts", "shape"], ["embedding"]),
    ]
    return graph_of(nodes)


def huge_tile() -> Model:
    nodes = [
        helper.make_node("Constant", [], ["repeats"], value_ints=[1 << 20, 1 << 20]),
        helper.make_node("Tile", ["counts", "repeats"], ["embedding"]),
    ]
    return graph_of(nodes)


def huge_range() -> Model:
    values = (("a", 0), ("b", 1 << 62), ("c", 1))
    stored = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in values]
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), identity()]
    return graph_of(nodes, initializers=stored)


def sparse_tensor() -> Model:
    model = harmless()
    sparse = helper.make_sparse_tensor(
        numpy_helper.from_array(np.ones(1, np.float32), "v"),
        numpy_helper.from_array(np.zeros(1, np.int64), "i"),
        [1 << 40],
    )
    model.graph.sparse_initializer.append(sparse)
    return model


def training_information() -> Model:
    model = harmless()
    model.training_info.add()
    return model


def newer_format() -> Model:
    return graph_of([identity()], ir=99)


def newer_opset() -> Model:
    return graph_of([identity()], opsets=[("", 99)])


def old_opset() -> Model:
    return graph_of([identity()], opsets=[("", 7)])


def unknown_input() -> Model:
    info = helper.make_tensor_value_info
    inputs = [
        info("counts", TensorProto.FLOAT, ["cells", GENES]),
        info("home_folder", TensorProto.FLOAT, [1]),
    ]
    return graph_of([identity()], inputs=inputs)


def too_many_nodes() -> Model:
    nodes = [helper.make_node("Neg", ["counts"], [f"x{i}"]) for i in range(20_001)]
    return graph_of([*nodes, identity()])


def sizes_by_chain(kind: str) -> Model:
    """2^40 elements by an operator on two harmless numbers."""
    nodes = [
        helper.make_node("Constant", [], ["a"], value_ints=[1 << 20]),
        helper.make_node("Constant", [], ["b"], value_ints=[1 << 20]),
        helper.make_node(kind, ["a", "b"], ["c"], **({"axis": 0} if kind == "Concat" else {})),
        helper.make_node("Constant", [], ["axis"], value_ints=[0]),
        helper.make_node("Unsqueeze", ["c", "axis"], ["d"]),
        helper.make_node("Squeeze", ["d", "axis"], ["e"]),
        helper.make_node("Cast", ["e"], ["shape"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        identity(),
    ]
    return graph_of(nodes)


def huge_by_concat() -> Model:
    return sizes_by_chain("Concat")


def huge_by_product() -> Model:
    return sizes_by_chain("Mul")


def huge_by_floats() -> Model:
    nodes = [
        helper.make_node("Constant", [], ["a"], value_floats=[2.0**40]),
        helper.make_node("Cast", ["a"], ["shape"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        identity(),
    ]
    return graph_of(nodes)


def huge_by_powers() -> Model:
    """By an operator that the gate does not follow."""
    nodes = [
        helper.make_node("Constant", [], ["a"], value_floats=[28.0]),
        helper.make_node("Exp", ["a"], ["b"]),
        helper.make_node("Cast", ["b"], ["shape"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        identity(),
    ]
    return graph_of(nodes)


def as_large_as_a_count() -> Model:
    """Harmless on the cells of the trial, not on others."""
    nodes = [
        helper.make_node("ReduceMax", ["counts"], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["size"], to=TensorProto.INT64),
        helper.make_node("Constant", [], ["one"], value_ints=[1]),
        helper.make_node("Reshape", ["size", "one"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        identity(),
    ]
    return graph_of(nodes)


def huge_range_from_below() -> Model:
    values = (("a", -(1 << 62)), ("b", 0), ("c", 1))
    stored = [numpy_helper.from_array(np.array(v, np.int64), n) for n, v in values]
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), identity()]
    return graph_of(nodes, initializers=stored)


def huge_range_in_small_steps() -> Model:
    values = (("a", 0.0), ("b", 1.0), ("c", 1e-12))
    stored = [numpy_helper.from_array(np.array(v, np.float32), n) for n, v in values]
    nodes = [helper.make_node("Range", ["a", "b", "c"], ["r"]), identity()]
    return graph_of(nodes, initializers=stored)


def huge_padding() -> Model:
    """Each number is small; on four axes they are not."""
    pads = numpy_helper.from_array(np.full(8, 1 << 12, np.int64), "pads")
    nodes = [helper.make_node("Pad", ["counts", "pads"], ["embedding"])]
    return graph_of(nodes, initializers=[pads])


def huge_padding_of_a_pool() -> Model:
    pool = helper.make_node(
        "AveragePool", ["counts"], ["embedding"], kernel_shape=[1], pads=[1 << 20, 1 << 20]
    )
    return graph_of([pool])


def name_stored_twice() -> Model:
    """Which of two the runtime takes is its own affair."""
    stored = [numpy_helper.from_array(np.array([n], np.int64), "shape") for n in (1, 1 << 40)]
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["big"]), identity()]
    return graph_of(nodes, initializers=stored)


def name_made_twice() -> Model:
    return graph_of([identity(), identity()])


def name_from_nowhere() -> Model:
    """Nodes in another order would hide what a shape is made of."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["big"]),
        helper.make_node("Constant", [], ["shape"], value_ints=[1 << 40]),
        identity(),
    ]
    return graph_of(nodes)


def input_that_is_stored() -> Model:
    return graph_of(
        [identity()], initializers=[numpy_helper.from_array(np.ones(6, np.float32), "counts")]
    )


def attribute_twice() -> Model:
    node = helper.make_node("Constant", [], ["shape"], value_ints=[1 << 40])
    node.attribute.append(helper.make_attribute("value_ints", [1]))
    return graph_of([node, helper.make_node("ConstantOfShape", ["shape"], ["big"]), identity()])


def constant_of_two_values() -> Model:
    node = helper.make_node("Constant", [], ["shape"], value_ints=[1 << 40])
    node.attribute.append(helper.make_attribute("value_float", 1.0))
    return graph_of([node, identity()])


def external_data_in_a_constant() -> Model:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.external_data.add(key="location", value="/etc/passwd")
    return graph_of([helper.make_node("Constant", [], ["w"], value=tensor), identity()])


def text_constant() -> Model:
    return graph_of([helper.make_node("Constant", [], ["t"], value_string="a"), identity()])


def cast_to_text() -> Model:
    node = helper.make_node("Cast", ["counts"], ["t"], to=TensorProto.STRING)
    return graph_of([node, identity()])


def domain_by_another_case() -> Model:
    return graph_of([helper.make_node("Identity", ["counts"], ["embedding"], domain="AI.ONNX")])


def two_opsets() -> Model:
    return graph_of([identity()], opsets=[("", 17), ("ai.onnx", 18)])


def operator_with_a_long_name() -> Model:
    return graph_of([helper.make_node("\x1b[2J" + "x" * 100_000, ["counts"], ["embedding"])])


def many_axes() -> Model:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1] * 100_000)
    tensor.raw_data = bytes(4)
    return graph_of([identity()], initializers=[tensor])


def many_numbers_in_an_attribute() -> Model:
    node = helper.make_node("Transpose", ["counts"], ["embedding"], perm=[0] * 100_000)
    return graph_of([node])


HOSTILE: dict[Callable[[], Model], str] = {
    endless_loop: "it uses the operator 'Loop'",
    branch: "it uses the operator 'If'",
    scan: "it uses the operator 'Scan'",
    graph_in_an_attribute: "its Identity holds a graph",
    own_domain: "it uses operators of the domain 'com.evil'",
    own_domain_undeclared: "it uses the operator 'Run' of the domain 'com.evil'",
    function_of_its_own: "it holds functions of its own",
    random_numbers: "it uses the operator 'RandomNormalLike'",
    huge_initializer: "its tensor 'w' announces 40,000,000,000 elements",
    overflowing_initializer: "its tensor 'w' announces 18,446,744,073,709,551,616 elements",
    lying_initializer: "its tensor 'w' announces 4,000 bytes and carries 16",
    negative_initializer: "its tensor 'w' has the shape [-4, -4]",
    text_tensor: "its tensor 's' holds no numbers (data type 8)",
    external_data: "its tensor 'w' lies in another file",
    external_data_outside: "its tensor 'w' lies in another file",
    external_data_unsaid: "its tensor 'w' lies in another file",
    huge_constant_of_shape: "ConstantOfShape makes a tensor of 1,099,511,627,776 elements",
    huge_expand: "Expand makes a tensor of 17,592,186,044,416 elements",
    huge_tile: "Tile makes a tensor of 1,099,511,627,776 elements",
    huge_range: "Range makes a tensor of 4,611,686,018,427,387,904 elements",
    sparse_tensor: "it holds a sparse tensor",
    training_information: "it holds training information",
    newer_format: "its IR version is 99, and at most 10 is accepted",
    newer_opset: "its opsets are [99], and one from 17 to 23 is accepted",
    old_opset: "its opsets are [7], and one from 17 to 23 is accepted",
    unknown_input: "it has an input 'home_folder', which the contract does not know",
    too_many_nodes: "it has 20,002 nodes, more than 20,000",
    huge_by_concat: "ConstantOfShape makes a tensor of 1,099,511,627,776 elements",
    huge_by_product: "ConstantOfShape makes a tensor of a size that cannot be followed",
    huge_by_floats: "ConstantOfShape makes a tensor of a size that cannot be followed",
    huge_by_powers: "ConstantOfShape makes a tensor of a size that cannot be followed",
    as_large_as_a_count: "ConstantOfShape makes a tensor as large as the values of the cells say",
    huge_range_from_below: "Range makes a tensor of 4,611,686,018,427,387,904 elements",
    huge_range_in_small_steps: "Range makes a tensor of a size that cannot be followed",
    huge_padding: f"Pad makes a tensor of {4097**8:,} elements",
    huge_padding_of_a_pool: "AveragePool makes a tensor of 1,099,513,724,929 elements",
    name_stored_twice: "the name 'shape' is given twice",
    name_made_twice: "the name 'embedding' is given twice",
    name_from_nowhere: "its ConstantOfShape takes 'shape', which nothing before it gives",
    input_that_is_stored: "its input 'counts' is a stored tensor too",
    attribute_twice: "its Constant has the attribute 'value_ints' twice",
    constant_of_two_values: "its Constant is not one value",
    external_data_in_a_constant: "its tensor 'w' lies in another file",
    text_constant: "its Constant holds a text",
    cast_to_text: "its Cast makes texts",
    domain_by_another_case: "it uses the operator 'Identity' of the domain 'AI.ONNX'",
    two_opsets: "its opsets are [17, 18], and one from 17 to 23 is accepted",
    operator_with_a_long_name: f"it uses the operator '\\x1b[2J{'x' * 73}...'",
    many_axes: "it holds a tensor of more than 32 axes",
    many_numbers_in_an_attribute: "its Transpose has an attribute of more than 64 numbers",
}
"""Maker → the words with which the gate refuses it."""


def with_properties(model: ModelProto, genes: bytes, **changes: str) -> bytes:
    """The model's bytes with the metadata that a card expects."""
    properties = {**PROPERTIES, "cellzoo_genes_sha256": sha256_of(genes), **changes}
    helper.set_model_props(model, properties)
    content: bytes = model.SerializeToString()
    return content
