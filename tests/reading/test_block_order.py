"""Blocks by number, in any order: what shuffled reading of a file larger than memory needs."""

import numpy as np
import pytest
from matrices import CELLS, dense_of, write_by_hand

from zoo.reading import open_dataset, transpose
from zoo.reading.dataset import Dataset

CELLS_A_BLOCK = 5
ORDER = [6, 0, 7, 3, 3, 1]


def rows_in_order(dataset: Dataset, source: str) -> None:
    """Every block is the stretch of the matrix that its number says."""
    expected = dense_of(dataset, source)
    blocks = list(dataset.blocks(source, cells=CELLS_A_BLOCK, order=ORDER))
    assert [block.start for block in blocks] == [number * CELLS_A_BLOCK for number in ORDER]
    for block in blocks:
        found = np.zeros((block.cells, block.genes))
        np.add.at(found, (block.rows, block.indices), block.data)
        assert (found == expected[block.start : block.start + CELLS_A_BLOCK]).all()


@pytest.mark.parametrize("name", ["made.h5ad", "made.zarr"])
@pytest.mark.parametrize("source", ["X", "raw/X", "layers/csc", "layers/dense"])
def test_every_layout(adata, write, name, source):
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    with open_dataset(write(adata, name)) as dataset:
        rows_in_order(dataset, source)


@pytest.mark.parametrize("source", ["X", "raw/X", "layers/csc", "layers/dense"])
def test_in_memory(adata, source):
    rows_in_order(open_dataset(adata), source)


@pytest.mark.parametrize("chunks", [(37, 4), (3, 23), (8, 8)])
def test_chunks_of_dense_matrices(counts, tmp_path, chunks, monkeypatch):
    monkeypatch.setattr("zoo.reading.dense.BAND_BYTES", 2000)
    path = tmp_path / "dense.h5ad"
    write_by_hand(path, counts.astype(np.float32), "dense", chunks=chunks, compression="gzip")
    with open_dataset(path) as dataset:
        rows_in_order(dataset, "X")


def test_partitions_of_a_transposed_matrix(adata, write, monkeypatch):
    monkeypatch.setattr(transpose, "PARTITION_ENTRIES", 30)
    with open_dataset(write(adata)) as dataset:
        rows_in_order(dataset, "layers/csc")


@pytest.mark.parametrize("by_gene", [True, False])
def test_text(counts, tmp_path, by_gene):
    gene, cell = np.nonzero(counts.T)
    if not by_gene:
        cell, gene = np.nonzero(counts)
    lines = [f"{g + 1} {c + 1} {counts[c, g]}" for g, c in zip(gene, cell, strict=True)]
    head = ["%%MatrixMarket matrix coordinate integer general", f"23 {CELLS} {len(lines)}"]
    (tmp_path / "matrix.mtx").write_text("\n".join([*head, *lines]) + "\n")
    (tmp_path / "genes.tsv").write_text("".join(f"ENSG{n}\tG{n}\n" for n in range(23)))
    (tmp_path / "barcodes.tsv").write_text("".join(f"c{n}\n" for n in range(CELLS)))
    with open_dataset(tmp_path) as dataset:
        rows_in_order(dataset, "X")
