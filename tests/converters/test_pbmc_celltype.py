"""The shipped model folder: parity with torch, and what its card promises of the graph."""

from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("scipy")
pytest.importorskip("yaml")

from scipy import sparse

from converters.parity import largest_difference, measured_tolerances, read_expected, run_graph
from zoo.card_file import ModelCard
from zoo.digest import sha256_of
from zoo.vocabulary import GeneVocabulary

FOLDER = Path(__file__).parents[2] / "cards" / "pbmc-celltype"


@pytest.fixture(scope="module")
def counts():
    vocabulary = GeneVocabulary.parse((FOLDER / "genes.tsv").read_bytes(), model="pbmc-celltype")
    with h5py.File(FOLDER / "sample.h5ad") as file:
        matrix = sparse.csr_matrix(
            (file["X/data"][()], file["X/indices"][()], file["X/indptr"][()]),
            shape=tuple(file["X"].attrs["shape"]),
        )
        names = file["var"][file["var"].attrs["_index"]].asstr()[()]
    columns = {name: i for i, name in enumerate(names)}
    return matrix[:, [columns[name] for name in vocabulary.names]].toarray().astype(np.float32)


@pytest.fixture(scope="module")
def graph():
    return (FOLDER / "model.onnx").read_bytes()


def answers(graph, counts, present=None):
    present = np.ones(counts.shape[1], dtype=np.float32) if present is None else present
    return run_graph(graph, {"counts": counts, "gene_present": present})


@pytest.fixture(scope="module")
def plain(graph, counts):
    return answers(graph, counts)


def test_onnx_gives_what_torch_gave(plain):
    card = ModelCard.read(FOLDER / "README.md").block
    declared = {name: (t.atol, t.rtol) for name, t in card.tolerances.items()}
    found = measured_tolerances(plain, read_expected(FOLDER / "expected.h5"), declared)
    assert found["label"].measured == 0
    assert found["in_set"].measured == 0


@pytest.mark.parametrize("factor", [0.3, 7.0])
def test_scale_of_a_cell_does_not_matter(graph, counts, plain, factor):
    scaled = answers(graph, counts * np.float32(factor))
    assert largest_difference(scaled["label"], plain["label"]) == 0
    assert largest_difference(scaled["in_set"], plain["in_set"]) == 0
    assert largest_difference(scaled["prob"], plain["prob"]) < 1e-5
    assert largest_difference(scaled["ood_z"], plain["ood_z"]) < 1e-4


def test_one_cell_and_empty_cells_give_finite_numbers(graph, counts):
    genes = counts.shape[1]
    for cells in (counts[:1], np.zeros((1, genes), dtype=np.float32)):
        for present in (np.ones(genes, dtype=np.float32), np.zeros(genes, dtype=np.float32)):
            found = answers(graph, cells, present)
            assert all(np.isfinite(values).all() for values in found.values())


def test_a_batch_does_not_change_its_cells(graph, counts, plain):
    alone = answers(graph, counts[5:6])
    assert largest_difference(alone["prob"], plain["prob"][5:6]) < 1e-5


def test_graph_keeps_the_contract(graph):
    onnx = pytest.importorskip("onnx")
    proto = onnx.load_from_string(graph)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata["cellzoo_contract"] == "1"
    assert metadata["cellzoo_genes_sha256"] == sha256_of((FOLDER / "genes.tsv").read_bytes())
    assert proto.ir_version <= 10
    assert 17 <= proto.opset_import[0].version <= 20
    assert {node.domain for node in proto.graph.node} == {""}
    assert len(graph) < 6_000_000
    assert (FOLDER / "sample.h5ad").stat().st_size < 1_600_000
