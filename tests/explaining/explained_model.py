"""Small classifiers with what networks do: layer normalization, attention, experts, branches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from tiny_model import GENES, genes_table, tiny_block, write_manifest, write_tiny_model

from zoo.card import CellZooBlock, Explanation
from zoo.card_file import ModelCard
from zoo.digest import sha256_of
from zoo.explaining.explainer import make_explainer
from zoo.onnx_graph import OnnxGraph

CLASSES = 3
TOLD = Explanation(
    method="integrated gradients",
    of="the log-odds of the label",
    reference_cell="the mean of made-up cells",
    steps=32,
    storage="int8",
    rows=[],
)


def cells(number: int = 12, genes: int = len(GENES), seed: int = 0) -> dict[str, np.ndarray]:
    """Inputs of the contract."""
    counts = np.random.default_rng(seed).poisson(2, (number, genes)).astype(np.float32)
    return {
        "counts": counts,
        "gene_present": np.ones(genes, np.float32),
        "total_counts": counts.sum(axis=1, keepdims=True) + 5,
    }


def weights(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.7, shape).astype(np.float32)


def classifier(
    network: Callable[[OnnxGraph, str], str], *, opset: int = 18, knows_absence: bool = True
) -> bytes:
    """A graph that takes logs of depth-scaled counts and hands them to a network: prob, label."""
    graph = OnnxGraph.empty(onnx, prefix="net", opset=opset, ir=9)
    genes = len(GENES)
    graph.add_input("counts", TensorProto.FLOAT, ["cells", genes])
    if knows_absence:
        graph.add_input("gene_present", TensorProto.FLOAT, [genes])
    graph.add_input("total_counts", TensorProto.FLOAT, ["cells", 1])
    one = graph.constant(np.float32(1))
    share = graph.node("Div", "counts", "total_counts")
    scaled = graph.node("Mul", share, graph.constant(np.float32(10)))
    logs = graph.node("Log", graph.node("Add", scaled, one))  # (cells, genes)
    centred = graph.node("Sub", logs, graph.constant(np.full(genes, 0.7, np.float32)))
    if knows_absence:
        centred = graph.node("Mul", centred, "gene_present")
    graph.node("Identity", network(graph, centred), name="prob")
    graph.node("ArgMax", "prob", name="label", axis=1, keepdims=0)
    graph.declare("prob", TensorProto.FLOAT, ["cells", CLASSES])
    graph.declare("label", TensorProto.INT64, ["cells"])
    graph.keep_only(["label", "prob"])
    metadata = {
        "cellzoo_contract": "1",
        "cellzoo_name": "tiny",
        "cellzoo_version": "1.0.0",
        "cellzoo_genes_sha256": sha256_of(genes_table(GENES).encode()),
    }
    return graph.finish(metadata)


def block(kind: str = "softmax") -> CellZooBlock:
    """A card for such a graph."""
    full = tiny_block()
    kept = [output for output in full.outputs if output.name in ("label", "prob")]
    tolerances = {name: full.tolerances[name] for name in ("label", "prob")}
    changes = {"outputs": kept, "tolerances": tolerances, "prob_kind": kind, "calibration": None}
    return full.model_copy(update=changes)


def dense(graph: OnnxGraph, x: str, shape: tuple[int, int], seed: int) -> str:
    product = graph.node("MatMul", x, graph.constant(weights(*shape, seed=seed)))
    return graph.node("Add", product, graph.constant(weights(shape[1], seed=seed + 100)))


# -- networks ------------------------------------------------------------------------------------


def normalized(graph: OnnxGraph, x: str) -> str:
    """Without a bias before it, layer normalization forgets how far a cell is from the mean."""
    hidden = graph.node("MatMul", x, graph.constant(weights(len(GENES), 8, seed=1)))
    scale = graph.constant(np.ones(8, np.float32))
    hidden = graph.node("LayerNormalization", hidden, scale, axis=-1, epsilon=1e-5)
    hidden = graph.node("Relu", hidden)
    return graph.node("Softmax", dense(graph, hidden, (8, CLASSES), 2), axis=1)


def attention(graph: OnnxGraph, x: str) -> str:
    """Genes to three tokens of four numbers, one head, mean over tokens."""
    tokens = graph.node("Reshape", dense(graph, x, (len(GENES), 12), 3),
                        graph.constant(np.array([-1, 3, 4], np.int64)))  # fmt: skip
    q, k, v = (graph.node("MatMul", tokens, graph.constant(weights(4, 4, seed=s)))
               for s in (4, 5, 6))  # fmt: skip
    scores = graph.node("MatMul", q, graph.node("Transpose", k, perm=[0, 2, 1]))
    attended = graph.node("MatMul", graph.node("Softmax", scores, axis=-1), v)
    shape = graph.node("Shape", attended)  # (cells, 3, 4), told again at run time
    mixed = graph.node("Reshape", graph.node("Add", attended, tokens), shape)
    pooled = graph.node("ReduceMean", mixed, graph.axis(1), keepdims=0)
    return graph.node("Softmax", dense(graph, pooled, (4, CLASSES), 7), axis=1)


def hierarchy(graph: OnnxGraph, x: str) -> str:
    """Probabilities of two levels multiplied; each level reads genes of its own."""
    first = graph.node("Gather", x, graph.constant(np.array([0, 2, 4], np.int64)), axis=1)
    second = graph.node("Gather", x, graph.constant(np.array([1, 2, 5], np.int64)), axis=1)
    coarse = graph.node("Softmax", dense(graph, first, (3, 2), 8), axis=1)
    fine = graph.node("Softmax", dense(graph, second, (3, 2), 9), axis=1)
    part = graph.node("Slice", coarse, graph.axis(0), graph.axis(1), graph.axis(1))
    rest = graph.node("Slice", coarse, graph.axis(1), graph.axis(2), graph.axis(1))
    return graph.node("Concat", graph.node("Mul", part, fine), rest, axis=1)


def branches(graph: OnnxGraph, x: str) -> str:
    """Independent sigmoids, one of them only for cells that express the first gene at all."""
    logits = dense(graph, x, (len(GENES), CLASSES), 10)
    steep = graph.node("Mul", logits, graph.constant(np.float32(100)))
    column = graph.node("Gather", "counts", graph.axis(0), axis=1)
    seen = graph.node("Greater", column, graph.constant(np.float32(0)))
    chosen = graph.node("Where", seen, graph.node("Sigmoid", steep),
                        graph.constant(np.zeros((1, CLASSES), np.float32)))  # fmt: skip
    return graph.node("Identity", chosen)


def logistic(graph: OnnxGraph, x: str) -> str:
    """One sigmoid a class."""
    return graph.node("Sigmoid", dense(graph, x, (len(GENES), CLASSES), 11))


NETWORKS = {
    "normalized": normalized,
    "attention": attention,
    "hierarchy": hierarchy,
    "branches": branches,
}


def write_explained_model(folder: Path, **how: object) -> Path:
    """The tiny model with its explanation."""
    write_tiny_model(folder, **how)  # type: ignore[arg-type]
    return add_explanation(folder)


def add_explanation(folder: Path) -> Path:
    card = ModelCard.read(folder / "README.md")
    graph = (folder / "model.onnx").read_bytes()
    inputs = cells(genes=card.block.inputs.genes)
    (folder / "explain.onnx").write_bytes(make_explainer(graph, card.block, inputs).content)
    told = ModelCard(card.block.model_copy(update={"explanation": TOLD}), card.prose)
    (folder / "README.md").write_text(told.render(), encoding="utf-8")
    write_manifest(folder)
    return folder


def with_metadata(content: bytes, **changes: str) -> bytes:
    """A graph with other entries in its metadata."""
    model = onnx.load_from_string(content)
    known = {entry.key: entry.value for entry in model.metadata_props}
    del model.metadata_props[:]
    helper.set_model_props(model, {**known, **changes})
    return bytes(model.SerializeToString())
