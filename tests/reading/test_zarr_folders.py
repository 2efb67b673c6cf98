"""AnnData in zarr folders, format 2 and 3, against what anndata reads."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import anndata
import numpy as np
import pytest
from matrices import CELLS, dense_of

from zoo.errors import (
    DeclaredSize,
    MissingExtra,
    NoValues,
    TruncatedFile,
    UnknownFormat,
    UnsupportedEncoding,
)
from zoo.reading import open_dataset


@pytest.fixture(params=[2, 3], ids=["v2", "v3"])
def store(request, adata, write):
    with anndata.settings.override(zarr_write_format=request.param):
        return write(adata, "made.zarr")


@pytest.mark.parametrize("source", ["X", "raw/X", "layers/csc", "layers/dense"])
def test_values(adata, store, source):
    matrix = {
        "X": adata.X.toarray(),
        "raw/X": adata.raw.X.toarray(),
        "layers/csc": adata.X.toarray(),
        "layers/dense": adata.X.toarray(),
    }[source]
    with open_dataset(store) as dataset:
        assert dataset.file_format == "zarr"
        for cells in (5, 1000):
            np.testing.assert_array_equal(dense_of(dataset, source, cells), matrix)


def test_tables(adata, store):
    with open_dataset(store) as dataset:
        assert dataset.cells == CELLS
        assert list(dataset.obs_columns) == list(adata.obs.columns)
        assert dataset.cell_names(3, 6).tolist() == ["cell-3", "cell-4", "cell-5"]
        assert dataset.obs("kind")[:3].tolist() == ["T cell", "B cell", ""]
        assert dataset.obs("note")[2] == "zelle-ä2"
        assert dataset.obs("doublet").dtype == bool
        assert np.isnan(dataset.obs("count")[0])
        assert set(dataset.genes("X").columns) == {"gene_ids", "type"}
        np.testing.assert_array_equal(dataset.obsm("spatial"), adata.obsm["spatial"])
        assert dataset.uns == {"title": "test", "n": 3, "cellzoo/organism": "Homo sapiens"}


def test_codec_that_runs_code_is_refused(adata, write):
    with anndata.settings.override(zarr_write_format=2):
        store = write(adata, "made.zarr")
    metadata = Path(store) / "obs" / "note" / ".zarray"
    spoiled = json.loads(metadata.read_text())
    spoiled["filters"] = [{"id": "pickle"}]
    metadata.write_text(json.dumps(spoiled))
    with (
        open_dataset(store) as dataset,
        pytest.raises(UnsupportedEncoding, match=r"'obs/note'.*its codec 'pickle' is not among"),
    ):
        dataset.obs("note")


def test_absurd_size(adata, write):
    with anndata.settings.override(zarr_write_format=3):
        store = write(adata, "made.zarr")
    metadata = Path(store) / "X" / "data" / "zarr.json"
    spoiled = json.loads(metadata.read_text())
    spoiled["shape"] = [2**56]
    metadata.write_text(json.dumps(spoiled))
    with pytest.raises(DeclaredSize, match=f"'X/data' of .* declares {2**58:,}"):
        open_dataset(store)


def test_damaged_metadata(store):
    folder = Path(store) / "obs"
    name = "zarr.json" if (folder / "zarr.json").exists() else ".zgroup"
    (folder / name).write_text("{")
    with pytest.raises(TruncatedFile):
        open_dataset(store)


def test_without_values(adata, write):
    bare = anndata.AnnData(obs=adata.obs, var=adata.var)
    with pytest.raises(NoValues):
        open_dataset(write(bare, "bare.zarr"))


def test_other_zarr_folders(tmp_path):
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(UnknownFormat, match="a zarr folder with nothing at its top"):
        open_dataset(tmp_path)


def test_without_the_extra(store, monkeypatch):
    real = builtins.__import__

    def absent(name, *rest, **options):
        if name == "zarr":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match=r"pip install 'cellzoo\[zarr\]'"):
        open_dataset(store)
