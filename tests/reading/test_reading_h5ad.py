"""AnnData files as today's anndata writes them, against what anndata itself reads."""

from __future__ import annotations

import subprocess
import sys
import threading

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrices import CELLS, GENES, dense_of, write_by_hand
from scipy import sparse

from zoo.errors import MissingKey, NoValues, UnsupportedEncoding
from zoo.reading import Matrix, open_dataset, transpose


def test_lists_matrices_with_their_layouts(adata, write):
    with open_dataset(write(adata)) as dataset:
        assert dataset.file_format == "h5ad"
        assert dataset.cells == CELLS
        assert [(m.source, m.layout, m.genes) for m in dataset.matrices] == [
            ("X", "csr", 12),
            ("raw/X", "csr", GENES),
            ("layers/csc", "csc", 12),
            ("layers/dense", "dense", 12),
        ]
        assert dataset.matrices[0] == Matrix("X", "csr", 12, adata.X.nnz)
        assert dataset.matrices[3].entries == CELLS * 12


@pytest.mark.parametrize("source", ["X", "raw/X", "layers/csc", "layers/dense"])
@pytest.mark.parametrize("compression", [None, "gzip", "lzf"])
def test_values_equal_those_of_anndata(adata, write, source, compression):
    path = write(adata, compression=compression)
    theirs = anndata.read_h5ad(path)
    matrix = {
        "X": theirs.X,
        "raw/X": theirs.raw.X,
        "layers/csc": theirs.layers["csc"],
        "layers/dense": theirs.layers["dense"],
    }[source]
    matrix = matrix.toarray() if sparse.issparse(matrix) else matrix
    with open_dataset(path) as dataset:
        np.testing.assert_array_equal(dense_of(dataset, source), matrix)


@pytest.mark.parametrize(
    "dtype", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", ">f4", ">i2"]
)
@pytest.mark.parametrize("layout", ["csr", "csc", "dense"])
def test_number_types(counts, tmp_path, dtype, layout):
    path = tmp_path / "typed.h5ad"
    values = counts.astype(dtype)
    write_by_hand(path, values, layout, compression="gzip")
    with open_dataset(path) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), values.astype(float))
        block = next(dataset.blocks("X"))
        assert block.data.dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize("dtype", ["c8", "S3", "U"])
def test_refuses_values_that_are_no_numbers(counts, tmp_path, dtype):
    path = tmp_path / "typed.h5ad"
    values = np.full((CELLS, GENES), "a", "S3") if dtype in ("S3", "U") else counts.astype(dtype)
    write_by_hand(path, values, "dense")
    with pytest.raises(UnsupportedEncoding, match=r"Cannot read 'X' of .*values of type"):
        open_dataset(path)


@pytest.mark.parametrize("chunks", [(1,), (64,), (1024,), (5000,)])
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"compression": "gzip"},
        {"compression": "gzip", "shuffle": True},
        {"compression": "gzip", "fletcher32": True},
        {"compression": "lzf", "shuffle": True},
        {"shuffle": True},
    ],
    ids=str,
)
def test_filters_and_chunk_sizes(counts, tmp_path, chunks, filters):
    path = tmp_path / "chunked.h5ad"
    wide = np.tile(counts, (1, 20)).astype(np.float32)
    write_by_hand(path, wide, "csr", chunks=chunks, maxshape=(None,), **filters)
    with open_dataset(path) as dataset:
        for cells in (1, 10, 1000):
            np.testing.assert_array_equal(dense_of(dataset, cells=cells), wide)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.integers(1, 50),
    source=st.sampled_from(["X", "raw/X", "layers/csc", "layers/dense"]),
)
def test_block_size_does_not_matter(adata, write, cells, source):
    path = write(adata, compression="gzip")
    with open_dataset(path) as dataset:
        np.testing.assert_array_equal(dense_of(dataset, source, cells), dense_of(dataset, source))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    chunks=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    cells=st.integers(1, 50),
    band=st.integers(1, 2000),
    partition=st.integers(1, 500),
)
def test_dense_bands_and_strips(tmp_path_factory, shape, chunks, cells, band, partition):
    values = np.random.default_rng(1).poisson(0.5, shape).astype(np.float32)
    values[0, 0] = np.nan
    path = tmp_path_factory.mktemp("dense") / "x.h5ad"
    chunks = tuple(min(pair) for pair in zip(chunks, shape, strict=True))
    write_by_hand(path, values, "dense", chunks=chunks, compression="gzip")
    with pytest.MonkeyPatch.context() as patch, open_dataset(path) as dataset:
        patch.setattr("zoo.reading.dense.BAND_BYTES", band)
        patch.setattr("zoo.reading.transpose.PARTITION_ENTRIES", partition)
        np.testing.assert_array_equal(dense_of(dataset, cells=cells), values)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cells=st.integers(1, 50), piece=st.integers(1, 300), partition=st.integers(1, 300), n=st.data()
)
def test_transposes_in_pieces(tmp_path_factory, cells, piece, partition, n):
    shape = n.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    values = np.random.default_rng(2).poisson(0.4, shape)
    path = tmp_path_factory.mktemp("csc") / "x.h5ad"
    write_by_hand(path, values, "csc", compression="gzip")
    with pytest.MonkeyPatch.context() as patch, open_dataset(path) as dataset:
        patch.setattr("zoo.reading.csc.PIECE_ENTRIES", piece)
        patch.setattr("zoo.reading.transpose.PARTITION_ENTRIES", partition)
        np.testing.assert_array_equal(dense_of(dataset, cells=cells), values)


def test_transpose_leaves_nothing_on_the_disk(adata, write, tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with open_dataset(write(adata)) as dataset:
        blocks = dataset.blocks("layers/csc", cells=5)
        next(blocks)
        assert list(folder.iterdir()) == []
        blocks.close()


def test_transposed_row_keeps_the_order_of_its_entries():
    rows, columns = np.array([1, 0, 1, 1]), np.array([0, 0, 2, 1])
    values = np.array([1.0, 2.0, 3.0, 4.0])
    counts = transpose.count([rows], 2)
    blocks = transpose.blocks([(rows, columns, values)], counts, 3, values.dtype, 2)
    (block,) = list(blocks)
    assert block.indices.tolist() == [0, 0, 2, 1]
    assert block.data.tolist() == [2, 1, 3, 4]


def test_unsorted_repeated_and_zero_entries_come_as_stored(tmp_path):
    path = tmp_path / "odd.h5ad"
    write_by_hand(path, np.zeros((2, 3), np.float32), "csr")
    with h5py.File(path, "a") as file:
        for name, values in {
            "data": np.array([1, 2, 4, 0], np.float32),
            "indices": np.array([2, 0, 2, 1], np.int32),
            "indptr": np.array([0, 4, 4], np.int32),
        }.items():
            del file[f"X/{name}"]
            file[f"X/{name}"] = values
    with open_dataset(path) as dataset:
        (block,) = list(dataset.blocks("X"))
        assert block.indices.tolist() == [2, 0, 2, 1]
        np.testing.assert_array_equal(dense_of(dataset), [[2, 0, 5], [0, 0, 0]])


def test_tables_equal_those_of_anndata(adata, write):
    with open_dataset(write(adata)) as dataset:
        assert list(dataset.obs_columns) == list(adata.obs.columns)
        assert dataset.cell_names(3, 6).tolist() == ["cell-3", "cell-4", "cell-5"]
        assert dataset.cell_names(30, 99).tolist() == list(adata.obs_names[30:])
        assert dataset.obs("kind")[:4].tolist() == ["T cell", "B cell", "", "T cell"]
        assert dataset.obs("batch")[:3].tolist() == [10, 11, 10]
        np.testing.assert_array_equal(dataset.obs("depth"), adata.obs["depth"])
        assert np.isnan(dataset.obs("count")[0])
        assert dataset.obs("count")[1:].tolist() == list(range(1, CELLS))
        assert np.isnan(dataset.obs("kept")[1])
        assert dataset.obs("doublet").dtype == bool
        assert dataset.obs("note")[2] == "zelle-ä2"
        table = dataset.genes("X")
        assert table.index.tolist() == list(adata.var_names)
        assert set(table.columns) == {"gene_ids", "type"}
        assert table.columns["gene_ids"].dtype.kind == "U"
        assert len(dataset.genes("raw/X").index) == GENES
        assert set(dataset.obsm_keys) == {"spatial", "table"}
        np.testing.assert_array_equal(dataset.obsm("spatial"), adata.obsm["spatial"])
        np.testing.assert_array_equal(dataset.obsm("table")[:, 0], np.arange(CELLS))
        assert dataset.uns == {"title": "test", "n": 3, "cellzoo/organism": "Homo sapiens"}


def test_nullable_strings(adata, write):
    import pandas as pd

    adata.obs["mood"] = pd.array([None] + ["good"] * (CELLS - 1), dtype="string")
    with anndata.settings.override(allow_write_nullable_strings=True):
        path = write(adata)
    with open_dataset(path) as dataset:
        assert dataset.obs("mood")[:2].tolist() == ["", "good"]


def test_says_what_is_missing(adata, write):
    del adata.raw
    with open_dataset(write(adata)) as dataset:
        with pytest.raises(NoValues, match=r"holds no matrix .*looked for raw/X"):
            dataset.blocks("raw/X")
        with pytest.raises(
            MissingKey, match=r"has no 'spliced' in layers.*\nIn layers there is: 'csc'"
        ):
            dataset.genes("layers/spliced")
        with pytest.raises(MissingKey, match="has no 'leiden' in obs"):
            dataset.obs("leiden")
        with pytest.raises(MissingKey, match="has no 'X_umap' in obsm"):
            dataset.obsm("X_umap")


def test_refuses_a_file_without_any_matrix(adata, write):
    bare = anndata.AnnData(obs=adata.obs, var=adata.var)
    with pytest.raises(NoValues, match=r"looked for X, raw/X, layers"):
        open_dataset(write(bare))


def test_reads_layers_where_x_is_absent(adata, write):
    bare = anndata.AnnData(obs=adata.obs, var=adata.var, layers={"counts": adata.X})
    with open_dataset(write(bare)) as dataset:
        assert [matrix.source for matrix in dataset.matrices] == ["layers/counts"]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1)])
def test_empty_axes(tmp_path, shape):
    for layout in ("csr", "csc", "dense"):
        path = tmp_path / f"{layout}.h5ad"
        write_by_hand(path, np.ones(shape, np.float32), layout)
        with open_dataset(path) as dataset:
            np.testing.assert_array_equal(dense_of(dataset), np.ones(shape))
            assert dataset.cell_names(0, 1).shape == (min(1, shape[0]),)


def test_closing_half_way_ends_the_threads(adata, write):
    path = write(adata, compression="gzip")
    with open_dataset(path) as dataset:
        blocks = dataset.blocks("X", cells=2)
        next(blocks)
        blocks.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("inflate")]


def test_h5py_and_numpy_suffice(adata, write):
    path = write(adata, compression="gzip")
    code = (
        "import sys; from zoo.reading import open_dataset\n"
        f"with open_dataset({path!r}) as d:\n"
        "    [b.sums() for m in d.matrices for b in d.blocks(m.source)]\n"
        "    d.genes('X'), d.obs('kind'), d.cell_names(0, 3)\n"
        "heavy = {'anndata', 'pandas', 'scipy', 'zarr'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
