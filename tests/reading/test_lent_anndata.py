"""AnnData in memory and backed: lent, read, and left as it was."""

from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest
from matrices import CELLS, GENES, dense_of
from scipy import sparse

from zoo.errors import MissingKey, NoValues, UnsupportedEncoding
from zoo.reading import open_dataset


@pytest.mark.parametrize(
    "form",
    [
        sparse.csr_matrix,
        sparse.csc_matrix,
        sparse.csr_array,
        sparse.csc_array,
        np.asarray,
        np.asfortranarray,
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_forms_of_x(counts, form, dtype):
    adata = anndata.AnnData(form(counts.astype(dtype)))
    with open_dataset(adata) as dataset:
        assert dataset.path == "<AnnData>"
        assert dataset.file_format == "anndata"
        np.testing.assert_array_equal(dense_of(dataset), counts)


@pytest.mark.parametrize("source", ["X", "raw/X", "layers/csc", "layers/dense"])
def test_memory_and_file_give_the_same(adata, write, source):
    with open_dataset(write(adata)) as stored, open_dataset(adata) as lent:
        assert lent.matrices == stored.matrices
        np.testing.assert_array_equal(dense_of(lent, source), dense_of(stored, source))
        theirs, ours = stored.genes(source), lent.genes(source)
        assert ours.index.tolist() == theirs.index.tolist()
        assert {k: v.tolist() for k, v in ours.columns.items()} == {
            k: v.tolist() for k, v in theirs.columns.items()
        }
        assert list(lent.obs_columns) == list(stored.obs_columns)
        for column in stored.obs_columns:
            np.testing.assert_array_equal(lent.obs(column), stored.obs(column))
        assert list(lent.obsm_keys) == list(stored.obsm_keys)
        for key in stored.obsm_keys:
            np.testing.assert_array_equal(lent.obsm(key), stored.obsm(key))
        assert lent.uns == stored.uns
        assert lent.cell_names(5, 99).tolist() == stored.cell_names(5, 99).tolist()


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_backed(counts, write, form):
    path = write(anndata.AnnData(form(counts.astype(np.float32))))
    backed = anndata.read_h5ad(path, backed="r")
    with open_dataset(backed) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts)
    assert backed.file.is_open
    backed.file.close()


def test_view(counts):
    adata = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    view = adata[5:20, ::2]
    with open_dataset(view) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts[5:20, ::2])
    assert view.is_view


def test_is_left_as_it_was(adata):
    before = adata.copy()
    with open_dataset(adata) as dataset:
        for matrix in dataset.matrices:
            dense_of(dataset, matrix.source)
        dataset.obs("kind")
    assert (adata.X != before.X).nnz == 0
    pd.testing.assert_frame_equal(adata.obs, before.obs)


def test_strings_of_pandas(counts):
    adata = anndata.AnnData(counts.astype(np.float32))
    adata.obs["mood"] = pd.array([None] + ["good"] * (CELLS - 1), dtype="string")
    adata.obs["empty"] = pd.Categorical([None] * CELLS)
    with open_dataset(adata) as dataset:
        assert dataset.obs("mood")[:2].tolist() == ["", "good"]
        assert set(dataset.obs("empty")) == {""}


def test_says_what_is_missing(counts, adata):
    with pytest.raises(NoValues, match="'<AnnData>' holds no matrix"):
        open_dataset(anndata.AnnData(obs=adata.obs, var=adata.var))
    with pytest.raises(UnsupportedEncoding, match="values of type complex"):
        open_dataset(anndata.AnnData(counts.astype(np.complex64)))
    with open_dataset(anndata.AnnData(counts.astype(np.float32))) as dataset:
        with pytest.raises(NoValues, match="looked for raw/X"):
            dataset.blocks("raw/X")
        with pytest.raises(MissingKey, match="has no 'spliced' in layers"):
            dataset.blocks("layers/spliced")
        with pytest.raises(MissingKey):
            dataset.obs("leiden")
        with pytest.raises(MissingKey):
            dataset.obsm("spatial")
        assert len(dataset.genes("X").index) == GENES
