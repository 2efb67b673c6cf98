"""A working model of contract 1, small enough to be written anew by every test that needs one.

Gene number i speaks for class i modulo the number of classes, so a test can say beforehand what a
cell must be called. A cell with more than 1,000 counts in the vocabulary drifts out of
distribution: `ood_z` is twice the decades above 1,000 and `ood_p` is exp(-z²).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from zoo.card import CellZooBlock
from zoo.card_file import ModelCard
from zoo.digest import sha256_of
from zoo.manifest import Manifest
from zoo.registry import Entry, Registry

GENES = ("G1", "G2", "G3", "G4", "G5", "G6")

_LEUKOCYTE = "CL:0000738|leukocyte"
_LYMPHOCYTE = f"CL:0000542|lymphocyte;{_LEUKOCYTE}"
_MYELOID = f"CL:0000766|myeloid leukocyte;{_LEUKOCYTE}"
_CELL_TYPES = (
    ("T cell", "CL:0000084", _LYMPHOCYTE),
    ("B cell", "CL:0000236", _LYMPHOCYTE),
    ("monocyte", "CL:0000576", _MYELOID),
    ("natural killer cell", "CL:0000623", _LYMPHOCYTE),
    ("dendritic cell", "CL:0000451", _MYELOID),
)

_OUTPUTS = (
    ("label", TensorProto.INT64, ["cells"], "class index"),
    ("prob", TensorProto.FLOAT, ["cells", "classes"], "probability"),
    ("conformal_p", TensorProto.FLOAT, ["cells", "classes"], "p-value"),
    ("in_set", TensorProto.BOOL, ["cells", "classes"], "yes or no"),
    ("ood_z", TensorProto.FLOAT, ["cells"], "standard deviations"),
    ("ood_p", TensorProto.FLOAT, ["cells"], "p-value"),
    ("embedding", TensorProto.FLOAT, ["cells", "dims"], "arbitrary"),
)


def write_tiny_model(
    folder: Path,
    *,
    name: str = "tiny",
    version: str = "1.0.0",
    classes: int = 3,
    genes: Sequence[str] = GENES,
) -> Path:
    """Write a complete model folder, `manifest.json` included, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    table = genes_table(genes)
    (folder / "genes.tsv").write_text(table, encoding="utf-8")
    (folder / "labels.tsv").write_text(labels_table(classes), encoding="utf-8")
    graph = tiny_graph(len(genes), classes)
    metadata = {
        "cellzoo_contract": "1",
        "cellzoo_name": name,
        "cellzoo_version": version,
        "cellzoo_genes_sha256": sha256_of(table.encode()),
    }
    helper.set_model_props(graph, metadata)
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    block = tiny_block(name=name, version=version, genes=len(genes))
    card = ModelCard(block, f"# {name}\n\nA model for tests.\n")
    (folder / "README.md").write_text(card.render(), encoding="utf-8")
    write_manifest(folder)
    return folder


def write_manifest(folder: Path) -> Manifest:
    """Make `manifest.json` again, after a file of the folder was added or changed."""
    manifest = Manifest.of_folder(folder)
    (folder / "manifest.json").write_bytes(manifest.render())
    return manifest


def registry_of(*folders: Path) -> Registry:
    """A registry of model folders, by `file:` URIs."""
    models = []
    for folder in folders:
        manifest = Manifest.parse((folder / "manifest.json").read_bytes(), str(folder))
        models.append(Entry.of(manifest, [folder.as_uri()]))
    return Registry(registry_version=1, models=models)


def genes_table(genes: Sequence[str]) -> str:
    """The text of `genes.tsv`; all genes weigh the same."""
    rows = (f"{gene}\tENSG{i:011d}\t{1 / len(genes):.9g}\n" for i, gene in enumerate(genes, 1))
    return "symbol\tensembl_id\tweight\n" + "".join(rows)


def labels_table(classes: int) -> str:
    """The text of `labels.tsv`."""
    known = _CELL_TYPES[:classes]
    more = [(f"type {i}", f"CL:99{i:05d}", _LEUKOCYTE) for i in range(len(known), classes)]
    rows = (f"{name}\t{id_}\t{id_}|{name};{above}\n" for name, id_, above in (*known, *more))
    return "label\tlabel_id\tancestors\n" + "".join(rows)


def tiny_graph(genes: int, classes: int) -> onnx.ModelProto:
    """The graph: share of each gene → log → classes; see the module's text for its behaviour."""
    weights = np.zeros((genes, classes), np.float32)
    weights[np.arange(genes), np.arange(genes) % classes] = 1
    axes = np.random.default_rng(0).normal(size=(genes, 2)).astype(np.float32)
    constants = {
        "weights": weights,
        "axes": axes,
        "one": np.float32(1),
        "scale": np.float32(10),
        "limit": np.float32(1000),
        "decade": np.float32(np.log(10) / 2),
        "alpha": np.float32(0.1),
        "dim": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Mul", ["counts", "gene_present"], ["shared"]),
        helper.make_node("ReduceSum", ["shared", "dim"], ["total"], keepdims=1),
        helper.make_node("Max", ["total", "one"], ["at_least_one"]),
        helper.make_node("Div", ["shared", "at_least_one"], ["share"]),
        helper.make_node("Mul", ["share", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["shifted"]),
        helper.make_node("Log", ["shifted"], ["normalized"]),  # (cells, genes)
        helper.make_node("MatMul", ["normalized", "axes"], ["embedding"]),
        helper.make_node("MatMul", ["normalized", "weights"], ["logits"]),  # (cells, classes)
        helper.make_node("Mul", ["logits", "scale"], ["sharpened"]),
        helper.make_node("Softmax", ["sharpened"], ["prob"], axis=1),
        helper.make_node("ArgMax", ["prob"], ["label"], axis=1, keepdims=0),
        helper.make_node("ReduceMax", ["prob"], ["highest"], axes=[1], keepdims=1),
        helper.make_node("Div", ["prob", "highest"], ["conformal_p"]),
        helper.make_node("Greater", ["conformal_p", "alpha"], ["in_set"]),
        helper.make_node("Div", ["at_least_one", "limit"], ["excess"]),
        helper.make_node("Log", ["excess"], ["decades"]),
        helper.make_node("Div", ["decades", "decade"], ["signed_z"]),
        helper.make_node("Relu", ["signed_z"], ["z_column"]),
        helper.make_node("Squeeze", ["z_column", "dim"], ["ood_z"]),
        helper.make_node("Mul", ["ood_z", "ood_z"], ["squared"]),
        helper.make_node("Neg", ["squared"], ["negated"]),
        helper.make_node("Exp", ["negated"], ["ood_p"]),
    ]
    sizes: dict[str, int | str] = {"cells": "cells", "classes": classes, "dims": 2}
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs=[
            helper.make_tensor_value_info("counts", TensorProto.FLOAT, ["cells", genes]),
            helper.make_tensor_value_info("gene_present", TensorProto.FLOAT, [genes]),
        ],
        outputs=[
            helper.make_tensor_value_info(output, kind, [sizes[axis] for axis in shape])
            for output, kind, shape, _ in _OUTPUTS
        ],
        initializer=[numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tiny_block(*, name: str = "tiny", version: str = "1.0.0", genes: int = 6) -> CellZooBlock:
    """The card's block."""
    row = {
        "dataset": "made up",
        "role": "test",
        "condition": "all cells",
        "donor_independent": False,
        "study_independent": None,
        "gene_coverage": 1.0,
        "metric": "balanced_accuracy",
        "n": 120,
        "interval_method": "bootstrap",
    }
    source = {
        "name": "made up",
        "role": "training",
        "accession": "none",
        "source": "tests/tiny_model.py",
        "sha256": "0" * 64,
        "license": "CC0-1.0",
        "attribution": "The CellZoo authors",
        "cells": 120,
        "donors": 2,
    }
    tolerance = {"atol": 1e-4, "rtol": 1e-4, "measured": 0.0}
    return CellZooBlock.model_validate(
        {
            "card_version": 1,
            "contract": 1,
            "name": name,
            "version": version,
            "summary": "Three kinds of blood cells from six genes, for tests",
            "task": "cell_type_annotation",
            "architecture": "linear",
            "license": "CC0-1.0",
            "authors": [{"name": "The CellZoo authors"}],
            "inputs": {
                "modality": "rna",
                "organism": "Homo sapiens",
                "tissues": ["blood"],
                "assays": ["10x 3' v3"],
                "genes": genes,
                "gene_id_kinds": ["symbol", "ensembl_id"],
                "gene_release": "made up",
                "gene_coverage": 0.5,
                "value_kinds": ["counts"],
            },
            "outputs": [
                {"name": output, "description": f"{output} of each cell", "unit": unit}
                for output, _, _, unit in _OUTPUTS
            ],
            "prob_kind": "softmax",
            "scope": {
                "intended": ["tests"],
                "out_of_scope": ["anything else"],
                "works_well": [{"statement": "all made-up cells", "rows": ["test.model"]}],
                "works_poorly": [],
            },
            "thresholds": {"min_counts": 1},
            "calibration": {
                "method": "ratio to the highest probability",
                "data": "none",
                "cells": 120,
                "alpha": 0.1,
            },
            "tolerances": {output: tolerance for output, *_ in _OUTPUTS},
            "data": [source],
            "training": {
                "cells": 120,
                "donors": 2,
                "split": "none",
                "code": "tests.tiny_model",
                "code_sha256": "0" * 64,
                "seed": 0,
                "hyper_parameters": {},
                "wall_seconds": 0,
            },
            "evaluation": [
                {**row, "id": "test.model", "value": 0.98, "interval": [0.95, 1.0]},
                {
                    **row,
                    "id": "test.majority",
                    "method": "majority",
                    "value": 0.33,
                    "interval": [0.33, 0.33],
                },
            ],
            "compute": {
                "machine": "any",
                "runtime": "onnxruntime",
                "cells_per_second": 1e6,
                "peak_memory_mb": 50,
                "parameters": 30,
                "model_bytes": 2000,
            },
            "changelog": [{"version": version, "date": "2025-01-01", "changes": ["First version"]}],
        }
    )
