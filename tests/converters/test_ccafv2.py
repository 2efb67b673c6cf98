"""ccAFv2 is converted by whoever accepts its license; no model of it is shipped."""

import json
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("scipy")
pytest.importorskip("anndata")

import anndata
import pandas as pd

from converters.ccafv2.importer import CcAFv2
from converters.importing.importer import Source
from converters.parity import run_graph
from zoo.errors import (
    FileMissing,
    InvalidOption,
    MissingWeights,
    UnequalLengths,
    UnsafeLink,
    UnsupportedWeights,
)
from zoo.evaluation.cells import Placed

GENES = [f"GENE{i}" for i in range(8)]
CLASSES = ["G1", "S", "G2/M"]


def save(folder, *, activation="softmax", sizes=(8, 5, 3), classes=CLASSES, genes=GENES):
    """The package's three files, with a small network in Keras 2's form."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    layers = [{"class_name": "InputLayer", "config": {"name": "in"}}]
    with h5py.File(folder / "ccAFv2_model.h5", "w") as file:
        for k, (before, after) in enumerate(pairwise(sizes)):
            name = f"dense_{k}"
            last = k == len(sizes) - 2
            config = {"name": name, "activation": activation if last else "relu"}
            layers.append({"class_name": "Dense", "config": config})
            layers.append({"class_name": "Dropout", "config": {"name": f"drop_{k}"}})
            place = f"model_weights/{name}/{name}"
            file[f"{place}/kernel:0"] = rng.normal(0, 1, (before, after)).astype(np.float32)
            file[f"{place}/bias:0"] = rng.normal(0, 1, after).astype(np.float32)
        told = {"class_name": "Sequential", "config": {"layers": layers}}
        file.attrs["model_config"] = json.dumps(told)
    table = pd.DataFrame({"human_ensembl": "", "human_symbol": genes,
                          "mouse_ensembl": "", "mouse_symbol": genes})  # fmt: skip
    table.to_csv(folder / "ccAFv2_genes.csv")
    (folder / "ccAFv2_classes.txt").write_text("\n".join(classes) + "\n")
    return folder


@pytest.fixture
def cells(tmp_path):
    """40 cells, without the first gene of the model, and never any count of the second."""
    counts = np.random.default_rng(1).poisson(3, (40, 12)).astype(np.float32)
    counts[:, 0] = 0
    names = [*GENES[1:], *(f"OTHER{i}" for i in range(5))]
    path = tmp_path / "cells.h5ad"
    anndata.AnnData(
        counts, obs=pd.DataFrame(index=[f"c{i}" for i in range(40)]),
        var=pd.DataFrame(index=names),
    ).write_h5ad(path)  # fmt: skip
    return path, counts


def read(folder, path, **settings):
    told = {"cells": str(path), **settings}
    return CcAFv2().read(Source(path=folder, format="ccafv2", settings=told))


def by_the_package(folder, counts):
    """ccAFv2._prep_predict_data and Keras' forward pass, for the file as a whole."""
    x = np.log1p(counts * (1e4 / counts.sum(axis=1, keepdims=True)))
    seen = x[:, 1:7]  # genes with a count, of the model: GENE2 … GENE7
    z = (seen - seen.mean(axis=0)) / seen.std(axis=0)
    whole = np.full((len(x), 8), z.min())
    whole[:, 2:] = z
    with h5py.File(folder / "ccAFv2_model.h5") as file:
        h = whole
        for k in range(2):
            place = f"model_weights/dense_{k}/dense_{k}"
            h = h @ file[f"{place}/kernel:0"][()] + file[f"{place}/bias:0"][()]
            h = np.maximum(h, 0) if k == 0 else h
    e = np.exp(h - h.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def test_the_graph_answers_as_the_package_for_the_file_it_is_standardized_over(tmp_path, cells):
    path, counts = cells
    folder = save(tmp_path / "ccAFv2")
    model = read(folder, path)
    inputs = {
        "counts": np.concatenate([np.zeros((40, 1), np.float32), counts[:, :7]], axis=1),
        "gene_present": np.r_[0, np.ones(7)].astype(np.float32),
        "total_counts": counts.sum(axis=1, keepdims=True),
    }
    expected = by_the_package(folder, counts)
    told = model.answers(
        Placed(inputs["counts"], inputs["gene_present"], 1.0, inputs["total_counts"])
    )
    model.graph.keep_only(["label", "prob"])
    found = run_graph(model.graph.finish({}), inputs)
    np.testing.assert_allclose(found["prob"], expected, atol=1e-5)
    np.testing.assert_allclose(told["prob"], expected, atol=1e-6)
    assert (found["label"] == expected.argmax(axis=1)).all()
    assert model.labels == tuple(CLASSES)
    one = {name: v if name == "gene_present" else v[:1] for name, v in inputs.items()}
    alone = run_graph(model.graph.finish({}), one)
    np.testing.assert_allclose(alone["prob"], expected[:1], atol=1e-5)


def test_without_cells_to_standardize_over_it_is_refused(tmp_path):
    folder = save(tmp_path / "ccAFv2")
    with pytest.raises(InvalidOption, match="cells=FILE"):
        CcAFv2().read(Source(path=folder, format="ccafv2"))
    with pytest.raises(FileMissing, match="nowhere"):
        read(folder, tmp_path / "nowhere.h5ad")


def test_another_species_is_refused(tmp_path, cells):
    with pytest.raises(InvalidOption, match="species=zebrafish"):
        read(save(tmp_path / "ccAFv2"), cells[0], species="zebrafish")


def test_missing_parts_are_refused(tmp_path, cells):
    folder = save(tmp_path / "ccAFv2")
    with h5py.File(folder / "ccAFv2_model.h5", "a") as file:
        del file["model_weights/dense_1/dense_1/bias:0"]
    with pytest.raises(MissingWeights, match=r"dense_1\.bias"):
        read(folder, cells[0])
    (folder / "ccAFv2_classes.txt").unlink()
    (folder / "ccAFv2_model.h5").unlink()
    with pytest.raises(FileMissing, match=r"ccAFv2_model\.h5"):
        read(folder, cells[0])


def test_lengths_that_differ_are_refused(tmp_path, cells):
    with pytest.raises(UnequalLengths, match="7 genes, but 8 inputs"):
        read(save(tmp_path / "a", genes=GENES[:-1]), cells[0])
    with pytest.raises(UnequalLengths, match="2 labels, but 3 outputs"):
        read(save(tmp_path / "b", classes=CLASSES[:2]), cells[0])


def test_layers_of_another_kind_are_refused(tmp_path, cells):
    with pytest.raises(UnsupportedWeights, match="swish"):
        read(save(tmp_path / "ccAFv2", activation="swish"), cells[0])


def test_a_file_that_reaches_outside_is_refused(tmp_path, cells):
    folder = save(tmp_path / "ccAFv2")
    with h5py.File(folder / "ccAFv2_model.h5", "a") as file:
        file["model_weights/elsewhere"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(UnsafeLink):
        read(folder, cells[0])


def test_nothing_of_it_is_shipped():
    root = Path(__file__).parents[2]
    assert not list((root / "cards").glob("*ccaf*"))
    assert "GPL" in (root / "converters" / "ccafv2" / "README.md").read_text(encoding="utf-8")
