"""`zoo.data.Loader`: every cell once, in an order of its own, within bounded memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from counts_file import GENES, make_adata
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo.data
from zoo.block import Block
from zoo.cell_rows import CellRows
from zoo.data import Loader
from zoo.errors import (
    DuplicateGenes,
    MissingKey,
    MixedValueKinds,
    NotCounts,
    UnmatchedGenes,
)
from zoo.reading import open_dataset
from zoo.shuffle_buffer import ShuffleBuffer

CELLS = 300


def training_adata(layout="csr"):
    adata = make_adata(CELLS)
    adata.X = {"csr": adata.X, "csc": sp.csc_matrix(adata.X), "dense": adata.X.toarray()}[layout]
    adata.obs["kind"] = [["T", "B", ""][i % 3] for i in range(CELLS)]
    adata.obs["donor"] = [f"d{i // 50}" for i in range(CELLS)]
    adata.obs["split"] = ["train" if i < 200 else "test" for i in range(CELLS)]
    return adata


@pytest.fixture(params=["csr", "csc", "dense", "memory"])
def source(request, tmp_path):
    """The same data in every layout."""
    if request.param == "memory":
        return training_adata()
    path = tmp_path / "my.h5ad"
    training_adata(request.param).write_h5ad(path, compression="gzip")
    return path


def rows(loader):
    return np.concatenate([batch.rows for batch in loader])


def test_every_cell_of_the_part_once_with_its_counts(source):
    adata = training_adata()
    loader = Loader(source, label="kind", batch="donor", batch_size=32, buffer_cells=64)
    dense, seen = adata.X.toarray(), []
    for batch in loader:
        assert batch.counts.dtype == np.float32
        assert batch.label.dtype == batch.batch.dtype == batch.rows.dtype == np.int64
        assert (batch.counts == dense[batch.rows]).all()
        kinds = ["" if code < 0 else loader.labels[code] for code in batch.label]
        assert kinds == adata.obs["kind"].iloc[batch.rows].tolist()
        donors = [loader.batches[code] for code in batch.batch]
        assert donors == adata.obs["donor"].iloc[batch.rows].tolist()
        assert (batch.gene_present == 1).all()
        seen += batch.rows.tolist()
    assert sorted(seen) == list(range(200))
    assert loader.labels == ("B", "T")
    assert loader.batches == tuple(f"d{n}" for n in range(6))
    assert loader.genes.tolist() == list(GENES)


def test_orders(source):
    loader = Loader(source, buffer_cells=64, batch_size=32)
    first, again = rows(loader), rows(loader)
    loader.set_epoch(1)
    later = rows(loader)
    other_seed = rows(Loader(source, buffer_cells=64, batch_size=32, seed=1))
    assert (first == again).all()
    assert (first != later).any()
    assert (first != other_seed).any()
    assert sorted(later) == sorted(first)
    assert (rows(Loader(source, shuffle=False, split=None)) == np.arange(CELLS)).all()


def test_a_batch_mixes_distant_cells(source):
    for batch in Loader(source, split=None, buffer_cells=128, batch_size=64):
        assert np.ptp(batch.rows) > 64 or len(batch.rows) < 64


def test_parts_and_sizes(source):
    assert Loader(source, split="test").cells == 100
    assert Loader(source, split=None).cells == CELLS
    for drop_last, expected in ((False, [64, 36]), (True, [64])):
        loader = Loader(source, split="test", batch_size=64, drop_last=drop_last)
        assert [len(batch.rows) for batch in loader] == expected
        assert len(loader) == len(expected)
    with pytest.raises(MissingKey, match=r"no 'validation' in obs\['split'\]"):
        list(Loader(source, split="validation"))
    with pytest.raises(MissingKey, match="no 'sex' in obs"):
        list(Loader(source, label="sex"))


def test_genes_are_aligned(source):
    loader = Loader(source, genes=["G5", "nowhere", "G1"], split=None, shuffle=False)
    counts = np.concatenate([batch.counts for batch in loader])
    dense = training_adata().X.toarray()
    assert (counts[:, 0] == dense[:, 4]).all()
    assert (counts[:, 1] == 0).all()
    assert (counts[:, 2] == dense[:, 0]).all()
    assert next(iter(loader)).gene_present.tolist() == [1, 0, 1]
    assert loader.genes.tolist() == ["G5", "nowhere", "G1"]


def test_a_vocabulary_gives_its_own_order(source, tiny_source):
    from zoo.vocabulary import GeneVocabulary

    vocabulary = GeneVocabulary.parse((tiny_source / "genes.tsv").read_bytes(), model="tiny")
    loader = Loader(source, genes=vocabulary)
    assert next(iter(loader)).counts.shape == (128, len(vocabulary))


def test_genes_that_cannot_be_given(source):
    with pytest.raises(UnmatchedGenes, match="'G1'"):
        list(Loader(source, genes=["A", "B"]))
    with pytest.raises(DuplicateGenes):
        list(Loader(source, genes=["G1", "G1"]))


def test_only_counts(tmp_path):
    adata = training_adata()
    adata.X = sp.csr_matrix(np.log1p(adata.X.toarray() / adata.X.sum(1) * 1e4))
    with pytest.raises(NotCounts, match="This training takes counts"):
        list(Loader(adata))


def test_values_that_the_head_did_not_announce():
    mixed = make_adata(3000)
    mixed.X.data[-1] = 0.5
    with pytest.raises(MixedValueKinds):
        list(Loader(mixed, split=None))


def test_an_open_dataset_stays_open(tmp_path):
    training_adata().write_h5ad(tmp_path / "my.h5ad")
    with open_dataset(tmp_path / "my.h5ad") as dataset:
        loader = Loader(dataset)
        assert len(rows(loader)) == len(rows(loader)) == 200


@pytest.mark.parametrize("buffer_cells", [1, 64, 256])
def test_few_cells_are_held(tmp_path, monkeypatch, buffer_cells):
    buffers = []

    class Watched(ShuffleBuffer):
        def __init__(self, *words):
            super().__init__(*words)
            buffers.append(self)

    monkeypatch.setattr(zoo.data, "ShuffleBuffer", Watched)
    adata = make_adata(3000)
    loader = Loader(adata, split=None, batch_size=32, buffer_cells=buffer_cells)
    assert sorted(rows(loader)) == list(range(3000))
    piece = max(1, min(zoo.data.BLOCK_CELLS, buffer_cells // zoo.data.MIXED_BLOCKS))
    assert 0 < buffers[0].peak < max(buffer_cells, 32) + piece


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 20), st.integers(1, 7))
def test_a_buffer_loses_and_repeats_nothing(lengths, cells, batch_size):
    starts = np.cumsum([0, *lengths])
    empty = np.zeros(0, np.float32)
    pieces = [
        CellRows.of(
            Block(int(start), np.zeros(n + 1, np.int64), np.zeros(0, np.int32), empty, 3),
            np.arange(3, dtype=np.int32),
        )
        for start, n in zip(starts, lengths, strict=False)
    ]
    buffer = ShuffleBuffer(cells, batch_size, np.random.default_rng(0))
    batches = list(buffer.batches(iter(pieces), drop_last=False))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    assert sorted(row for batch in batches for row in batch.row) == list(range(sum(lengths)))


def test_entries_that_repeat_are_summed():
    block = Block(7, np.array([0, 3, 4]), np.array([1, 1, 0]).repeat([1, 1, 2]),
                  np.array([1, 2, 3, 4]), 2)  # fmt: skip
    taken = CellRows.of(block, np.array([-1, 0], np.int32)).take(np.array([1, 0]))
    assert taken.row.tolist() == [8, 7]
    assert taken.counts(2).tolist() == [[0, 0], [3, 0]]


def test_nothing_heavy_is_imported():
    code = "import sys, zoo.data; print({'torch', 'scipy', 'pandas', 'anndata'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
