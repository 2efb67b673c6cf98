from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hostile_graphs import GENES, endless_loop, graph_of, harmless, with_properties
from onnx import TensorProto, helper, numpy_helper
from tiny_model import tiny_block, write_tiny_model

from zoo.errors import TrialFailed
from zoo.trial import Limits, try_graph


def test_a_sound_model_passes(tmp_path: Path) -> None:
    folder = write_tiny_model(tmp_path / "tiny")
    try_graph((folder / "model.onnx").read_bytes(), tiny_block())


def test_a_graph_that_answers_for_other_cells() -> None:
    first = numpy_helper.from_array(np.array([0], np.int64), "first")
    graph = graph_of(
        [helper.make_node("Gather", ["counts", "first"], ["embedding"])], initializers=[first]
    )
    with pytest.raises(TrialFailed, match="it does not answer for each of 3 cells"):
        try_graph(with_properties(graph, b""), tiny_block())


def test_a_graph_that_grows_on_the_way() -> None:
    """A shape that no reading of the graph can tell: it is computed from the cells."""
    big = helper.make_tensor("k", TensorProto.INT64, [1], [1 << 40])
    nodes = [
        helper.make_node("Shape", ["counts"], ["shape"]),
        helper.make_node("Constant", [], ["k"], value=big),
        helper.make_node("Mul", ["shape", "k"], ["size"]),
        helper.make_node("ConstantOfShape", ["size"], ["much"]),
        helper.make_node("ReduceSum", ["much"], ["sum"], keepdims=0),
        helper.make_node("Add", ["counts", "sum"], ["embedding"]),
    ]
    with pytest.raises(TrialFailed) as failed:
        try_graph(with_properties(graph_of(nodes), b""), tiny_block())
    assert failed.value.message.startswith("The graph of 'tiny@1.0.0' did not pass its trial: ")


def test_a_graph_that_never_ends() -> None:
    with pytest.raises(TrialFailed, match="1 seconds of processor time"):
        try_graph(with_properties(endless_loop(), b""), tiny_block(), Limits(seconds=1))


def test_a_graph_that_the_runtime_does_not_load() -> None:
    model = harmless()
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(TrialFailed, match="ONNX Runtime says"):
        try_graph(with_properties(model, b""), tiny_block())


def test_the_cells_have_the_cards_genes() -> None:
    assert tiny_block().inputs.genes == GENES
