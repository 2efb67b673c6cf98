"""Files as older anndata wrote them, made by hand."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from matrices import dense_of, write_by_hand

from zoo.errors import CorruptMatrix, MissingKey, UnsupportedEncoding
from zoo.reading import open_dataset

VALUES = np.array([[1, 0, 2], [0, 0, 0], [3, 4, 0], [0, 5, 6]], dtype=np.float32)


@pytest.fixture
def anndata_0_6(tmp_path):
    """Compound tables, `h5sparse_*` attributes, flat raw, categories in uns, compound obsm."""
    path = tmp_path / "old.h5ad"
    obs = np.array(
        [(b"a", 0, 0.5), (b"b", 1, 1.5), (b"c", -1, 2.5), (b"d", 1, 3.5)],
        dtype=[("index", "S4"), ("louvain", "i1"), ("n_counts", "f4")],
    )
    var = np.array(
        [(b"g1", b"E1"), (b"g2", b"E2"), (b"g3", b"E3")], [("index", "S4"), ("ids", "S4")]
    )
    with h5py.File(path, "w") as file:
        for key in ("X", "raw.X"):
            group = file.create_group(key)
            group.attrs["h5sparse_format"] = "csr"
            group.attrs["h5sparse_shape"] = VALUES.shape
            group["data"] = VALUES[VALUES != 0] * (2 if key == "raw.X" else 1)
            group["indices"] = np.nonzero(VALUES)[1].astype(np.int32)
            group["indptr"] = np.array([0, 2, 2, 4, 6], np.int32)
        file["obs"], file["var"], file["raw.var"] = obs, var, var
        file["uns/louvain_categories"] = np.array([b"zero", b"one"])
        file["obsm"] = np.array(
            [((0, 1),), ((2, 3),), ((4, 5),), ((6, 7),)], dtype=[("X_pca", "f4", (2,))]
        )
    return str(path)


def test_anndata_0_6(anndata_0_6):
    with open_dataset(anndata_0_6) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), VALUES)
        np.testing.assert_array_equal(dense_of(dataset, "raw/X"), VALUES * 2)
        assert dataset.cell_names(1, 3).tolist() == ["b", "c"]
        assert dataset.obs("louvain").tolist() == ["zero", "one", "", "one"]
        assert dataset.obs("n_counts").tolist() == [0.5, 1.5, 2.5, 3.5]
        assert dataset.genes("raw/X").columns["ids"].tolist() == ["E1", "E2", "E3"]
        assert list(dataset.obsm_keys) == ["X_pca"]
        assert dataset.obsm("X_pca").tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
        with pytest.raises(MissingKey):
            dataset.obs("leiden")


def test_anndata_0_7_categories_beside_their_codes(tmp_path):
    path = tmp_path / "old.h5ad"
    write_by_hand(path, VALUES, "csr")
    with h5py.File(path, "a") as file:
        obs = file["obs"]
        obs.attrs["column-order"] = np.array(["leiden"], dtype=object)
        obs["leiden"] = np.array([0, 1, -1, 1], np.int8)
        categories = obs.create_dataset(
            "__categories/leiden", data=np.array(["zéro", "one"], dtype=object)
        )
        obs["leiden"].attrs["categories"] = categories.ref
    with open_dataset(path) as dataset:
        assert list(dataset.obs_columns) == ["leiden"]
        assert dataset.obs("leiden").tolist() == ["zéro", "one", "", "one"]


def test_dataframe_without_columns_has_an_order_of_numbers(tmp_path):
    path = tmp_path / "empty.h5ad"
    write_by_hand(path, VALUES, "csr")
    with h5py.File(path, "a") as file:
        file["obs"].attrs["column-order"] = np.array([], dtype=np.float64)
    with open_dataset(path) as dataset:
        assert list(dataset.obs_columns) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (np.array([b"a", b"b\xe4", b"c", b"d"]), ["a", "b\ufffd", "c", "d"]),
        (np.array([0, 1, 2, 3]), ["0", "1", "2", "3"]),
        (np.array(["ä", "b", "", "d"], dtype=h5py.string_dtype("utf-8")), ["ä", "b", "", "d"]),
        (np.array(["a", "b", "c", "d"], dtype=h5py.string_dtype("ascii")), ["a", "b", "c", "d"]),
        (np.array(["ä", "b", "c", "d"], dtype=object), ["ä", "b", "c", "d"]),
    ],
    ids=["latin-1 bytes", "integers", "utf-8", "ascii", "objects"],
)
def test_forms_of_names(tmp_path, names, expected):
    path = tmp_path / "names.h5ad"
    write_by_hand(path, VALUES, "csr")
    with h5py.File(path, "a") as file:
        del file["obs/_index"]
        file["obs/_index"] = names
    with open_dataset(path) as dataset:
        assert dataset.cell_names(0, 4).tolist() == expected


def test_many_names_are_read_in_pieces(tmp_path):
    path = tmp_path / "long.h5ad"
    write_by_hand(path, np.ones((5000, 1), np.float32), "csr")
    with open_dataset(path) as dataset:
        names = dataset.cell_names(0, 5000)
        assert len(names) == 5000
        assert names[4321] == "c4321"
        assert dataset.cell_names(2000, 2001).tolist() == ["c2000"]


def test_soft_and_hard_links_within_the_file_are_followed(tmp_path):
    path = tmp_path / "links.h5ad"
    write_by_hand(path, VALUES, "csr")
    with h5py.File(path, "a") as file:
        file.move("X", "real/matrix")
        file["X"] = h5py.SoftLink("/via/matrix")
        file["via"] = h5py.SoftLink("real")
        file["layers/same"] = file["real/matrix"]
        file["layers/dangling"] = h5py.SoftLink("/nowhere")
    with open_dataset(path) as dataset:
        assert [matrix.source for matrix in dataset.matrices] == ["X", "layers/same"]
        np.testing.assert_array_equal(dense_of(dataset), VALUES)


def test_columns_that_cannot_be_read(tmp_path):
    path = tmp_path / "odd.h5ad"
    write_by_hand(path, VALUES, "csr")
    with h5py.File(path, "a") as file:
        file["obs/short"] = np.arange(3)
        file["obs/wide"] = np.zeros((4, 2))
        file["obs/awkward/data"] = np.zeros(4)
        file["obs/coded/codes"] = np.array([0, 1, 2, 0], np.int8)
        file["obs/coded/categories"] = np.array([b"x", b"y"])
        file["obs/coded"].attrs["encoding-type"] = "categorical"
        file["var/wide"] = np.zeros((3, 2))
    with open_dataset(path) as dataset:
        assert dict(dataset.genes("X").columns) == {}
        with pytest.raises(CorruptMatrix, match=r"'obs/short'.*3 values for 4 rows"):
            dataset.obs("short")
        with pytest.raises(UnsupportedEncoding, match="a column with 2 axes"):
            dataset.obs("wide")
        with pytest.raises(UnsupportedEncoding, match="Cannot read 'obs/awkward'"):
            dataset.obs("awkward")
        with pytest.raises(CorruptMatrix, match="code 2 where there are 2 categories"):
            dataset.obs("coded")
