"""A spatial model of contract 1: one graph layer, small enough to be computed by hand.

Counts → log(1 + counts) → two numbers a spot by `AXES` → each receiver sums the numbers of its
sources, weighted by the edges → `embedding` [cells, 2]. `recon_error` is each receiver's sum of
weights, which shows its neighbourhood alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from tiny_model import GENES, genes_table, tiny_block, write_manifest

from zoo.card import CellZooBlock
from zoo.card_file import ModelCard
from zoo.digest import sha256_of

AXES = np.random.default_rng(0).normal(size=(len(GENES), 2)).astype(np.float32)
RECIPE = {"kernel": "gaussian", "neighbourhood_share": 0.5, "minimum_weight": 0.01}

_OUTPUTS = (
    ("embedding", ["cells", 2], "arbitrary"),
    ("recon_error", ["cells"], "summed weights"),
)


def write_tiny_spatial_model(folder: Path, *, name: str = "tiny-spatial") -> Path:
    """Write a complete model folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = genes_table(GENES)
    (folder / "genes.tsv").write_text(table, encoding="utf-8")
    graph = spatial_onnx()
    metadata = {
        "cellzoo_contract": "1",
        "cellzoo_name": name,
        "cellzoo_version": "1.0.0",
        "cellzoo_genes_sha256": sha256_of(table.encode()),
    }
    helper.set_model_props(graph, metadata)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    card = ModelCard(spatial_block(name), f"# {name}\n\nA spatial model for tests.\n")
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    write_manifest(folder)
    return folder


def spatial_onnx() -> onnx.ModelProto:
    """The graph; a receiver adds up with ScatterElements, in the standard domain."""
    constants = {
        "axes": AXES,
        "one": np.float32(1),
        "zero": np.float32(0),
        "receiver_row": np.array(0, np.int64),
        "source_row": np.array(1, np.int64),
        "columns": np.array([1], np.int64),
        "pair": np.array([1, 2], np.int64),
        "first": np.array([0], np.int64),
        "second": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Add", ["counts", "one"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["logged"]),
        helper.make_node("MatMul", ["logged", "axes"], ["own"]),  # (cells, 2)
        helper.make_node("Gather", ["edge_index", "receiver_row"], ["receiver"]),  # (edges)
        helper.make_node("Gather", ["edge_index", "source_row"], ["source"]),
        helper.make_node("Gather", ["own", "source"], ["heard"]),  # (edges, 2)
        helper.make_node("Unsqueeze", ["edge_weight", "columns"], ["weight_column"]),
        helper.make_node("Mul", ["heard", "weight_column"], ["messages"]),
        helper.make_node("Unsqueeze", ["receiver", "columns"], ["receiver_column"]),
        helper.make_node("Tile", ["receiver_column", "pair"], ["receivers"]),  # (edges, 2)
        helper.make_node("Mul", ["own", "zero"], ["nothing"]),
        helper.make_node(
            "ScatterElements", ["nothing", "receivers", "messages"], ["embedding"], axis=0,
            reduction="add",
        ),
        helper.make_node("Slice", ["nothing", "first", "second", "columns"], ["none_column"]),
        helper.make_node("Squeeze", ["none_column", "columns"], ["none"]),
        helper.make_node(
            "ScatterElements", ["none", "receiver", "edge_weight"], ["recon_error"], axis=0,
            reduction="add",
        ),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "tiny-spatial",
        inputs=[
            helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["cells", len(GENES)]),
            helper.make_tensor_value_info("edge_index", TensorProto.INT64, [2, "edges"]),
            helper.make_tensor_value_info("edge_weight", TensorProto.FLOAT, ["edges"]),
        ],
        outputs=[
            helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
            for output, shape, _ in _OUTPUTS
        ],
        initializer=[numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def spatial_block(name: str) -> CellZooBlock:
    """The card's block."""
    block: dict[str, Any] = tiny_block(name=name).model_dump(exclude_none=True)
    tolerance = {"atol": 1e-4, "rtol": 1e-4, "measured": 0.0}
    block["task"] = "spatial_domains"
    del block["prob_kind"]
    block["inputs"] |= {"modality": "spatial", "graph_recipe": RECIPE}
    block["outputs"] = [
        {"name": output, "description": f"{output} of each spot", "unit": unit}
        for output, _, unit in _OUTPUTS
    ]
    block["tolerances"] = {output: tolerance for output, *_ in _OUTPUTS}
    for row in block["evaluation"]:
        row.setdefault("study_independent", None)
    return CellZooBlock.model_validate(block)


# -- the same, dense and by hand -----------------------------------------------------------------


def dense_weights(
    coordinates: npt.NDArray[Any], length: float, minimum: float = RECIPE["minimum_weight"]
) -> npt.NDArray[np.float64]:
    """float64 [spots, spots]: the published adjacency with small weights cut."""
    squared = np.square(coordinates[:, None, :] - coordinates[None, :, :]).sum(axis=2)
    weights = np.exp(-squared / (2 * length**2))
    return np.where(weights >= minimum, weights, 0.0)


def dense_length(coordinates: npt.NDArray[Any], share: float = 0.5) -> float:
    """The l at which calculate_p gives `share`, by bisection on the dense matrix."""
    squared = np.square(coordinates[:, None, :] - coordinates[None, :, :]).sum(axis=2)
    low, high = 0.0, 1e3 * float(np.sqrt(squared.max()))
    for _ in range(200):
        middle = (low + high) / 2
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            p = float(np.mean(np.exp(-squared / (2 * middle**2)).sum(axis=1))) - 1
        low, high = (low, middle) if p > share else (middle, high)
    return (low + high) / 2


def dense_embedding(
    counts: npt.NDArray[Any], coordinates: npt.NDArray[Any]
) -> npt.NDArray[np.float64]:
    """float64 [spots, 2]: what the model must answer for the spots of one slide."""
    own = np.log1p(counts) @ AXES.astype(np.float64)
    return dense_weights(coordinates, dense_length(coordinates)) @ own
