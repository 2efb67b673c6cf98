"""Files that lie, reach outside or are damaged: each refused with a text that names the place."""

from __future__ import annotations

import os
import struct

import h5py
import numpy as np
import pytest
from matrices import dense_of, write_by_hand

from zoo.errors import (
    CorruptMatrix,
    DeclaredSize,
    FileMissing,
    FileUnreadable,
    NotHdf5,
    TruncatedFile,
    UnknownFormat,
    UnsafeLink,
    UnsupportedEncoding,
    ZooError,
)
from zoo.reading import open_dataset

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture
def path(tmp_path):
    """A sound file, to be spoiled."""
    path = tmp_path / "my.h5ad"
    write_by_hand(path, VALUES, "csr")
    return str(path)


def refused(path: str, kind: type[ZooError]) -> str:
    """The text with which opening and reading everything is refused."""
    with pytest.raises(kind) as caught:
        read_everything(path)
    return str(caught.value)


def read_everything(path: str) -> None:
    with open_dataset(path) as dataset:
        for matrix in dataset.matrices:
            dense_of(dataset, matrix.source)
            dataset.genes(matrix.source)
        dataset.blocks("X")
        for column in dataset.obs_columns:
            dataset.obs(column)
        dataset.cell_names(0, dataset.cells)
        dict(dataset.uns)


# -- links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["X/data", "layers/spliced", "uns/deep/inside", "obs/leiden"])
def test_external_link(path, tmp_path, key):
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.arange(12.0)
    with h5py.File(path, "a") as file:
        if key in file:
            del file[key]
        file[key] = h5py.ExternalLink("other.h5", "/secret")
    text = refused(path, UnsafeLink)
    assert f"'{key}' of '{path}' is an external link to 'other.h5:/secret'" in text
    assert "read_h5ad and write_h5ad" in text


def test_external_link_to_a_file_that_is_absent(path):
    with h5py.File(path, "a") as file:
        file["obsm/spatial"] = h5py.ExternalLink("absent.h5", "/")
    assert "an external link to 'absent.h5:/'" in refused(path, UnsafeLink)


def test_external_storage(path):
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file.create_dataset("X/data", (12,), "u1", external=[("/etc/hostname", 0, 12)])
    text = refused(path, UnsafeLink)
    assert "'X/data'" in text
    assert "is stored outside and leads to '/etc/hostname'" in text


def test_virtual_dataset(path, tmp_path):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (4,))
    with h5py.File(path, "a") as file:
        file.create_virtual_dataset("obs/score", layout)
    text = refused(path, UnsafeLink)
    assert "'obs/score'" in text
    assert "a virtual data set that leads to" in text
    assert "other.h5" in text


def test_soft_links_in_a_circle(path):
    with h5py.File(path, "a") as file:
        del file["X"]
        file["X"] = h5py.SoftLink("/Y")
        file["Y"] = h5py.SoftLink("/X")
    assert "is a soft link in a circle to" in refused(path, UnsafeLink)


def test_soft_link_through_an_external_one(path):
    with h5py.File(path, "a") as file:
        del file["X"]
        file["aside"] = h5py.ExternalLink("/etc/other.h5", "/")
        file["X"] = h5py.SoftLink("/aside/X")
    assert "an external link to '/etc/other.h5:/'" in refused(path, UnsafeLink)


def test_group_within_itself(path):
    with h5py.File(path, "a") as file:
        file["uns/self"] = file["uns"] if "uns" in file else file.create_group("uns")
        file["layers"] = file["/"]
    with open_dataset(path) as dataset:
        assert [matrix.source for matrix in dataset.matrices] == ["X", "layers/X"]
        assert dataset.uns == {}


def test_many_nested_groups(path):
    with h5py.File(path, "a") as file:
        group = file.create_group("uns")
        for _ in range(3000):
            group = group.create_group("a")
        group["x"] = h5py.ExternalLink("other.h5", "/")
    assert "an external link" in refused(path, UnsafeLink)


def test_soft_links_that_multiply(path):
    """Each level walks the next one ten times: 10^12 steps, if only depth were bounded."""
    with h5py.File(path, "a") as file:
        for level in range(12):
            below = "/".join([f"level{level + 1}"] * 10)
            file[f"level{level}"] = h5py.SoftLink(f"/{below}" if level < 11 else "/")
    assert "a soft link in a circle" in refused(path, UnsafeLink)


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["X/data", "X/indices", "X/indptr", "obs/_index", "var/_index"])
def test_absurd_chunked_size(path, key):
    with h5py.File(path, "a") as file:
        dtype = file[key].dtype
        del file[key]
        file.create_dataset(key, (2**56,), dtype, chunks=(1024,), maxshape=(None,))
    text = refused(path, DeclaredSize)
    assert f"'{key}' of '{path}' declares {2**56 * dtype.itemsize:,}" in text
    assert "damaged or hostile" in text


def test_absurd_dense_size(path):
    with h5py.File(path, "a") as file:
        del file["X"]
        file.create_dataset("X", (4, 2**60), "f4", chunks=(4, 1024))
    assert "'X'" in refused(path, DeclaredSize)


def test_contiguous_size_beyond_the_file(path):
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file.create_dataset("X/data", (2**40,), "f4")  # never written, so never allocated
    assert f"declares {2**42:,} where at most" in refused(path, DeclaredSize)


def test_huge_chunk(path):
    with h5py.File(path, "a") as file:
        del file["X/data"]
        file.create_dataset("X/data", (12,), "f8", chunks=(2**28,), maxshape=(None,))
    assert f"declares {2**31:,} where at most {2**30:,}" in refused(path, DeclaredSize)


def test_long_name_repeated(path):
    with h5py.File(path, "a") as file:
        del file["obs/_index"]
        names = np.array(["x" * 70_000, "b", "c", "d"], dtype=object)
        file["obs/_index"] = names
    assert "declares 70,000 where at most 65,536" in refused(path, DeclaredSize)


def test_column_widened_by_one_long_string(path, monkeypatch):
    monkeypatch.setattr("zoo.reading.elements.WHOLE_LIMIT", 2**16)
    with h5py.File(path, "a") as file:
        file["obs/note"] = np.array(["x" * 10_000, "b", "c", "d"], dtype=object)
    assert "'obs/note'" in refused(path, DeclaredSize)


def test_chunk_that_inflates_beyond_itself(tmp_path):
    import zlib

    path = tmp_path / "bomb.h5ad"
    write_by_hand(path, np.ones((100, 20), np.float32), "csr", compression="gzip", chunks=(2000,))
    with h5py.File(path, "a") as file:
        file["X/data"].id.write_direct_chunk((0,), zlib.compress(bytes(2**24)))
    assert "'X/data'" in refused(str(path), DeclaredSize)


def test_chunk_that_is_too_short(tmp_path):
    import zlib

    path = tmp_path / "short.h5ad"
    write_by_hand(path, np.ones((100, 20), np.float32), "csr", compression="gzip", chunks=(2000,))
    with h5py.File(path, "a") as file:
        file["X/data"].id.write_direct_chunk((0,), zlib.compress(bytes(100)))
    assert "X/data: chunk 0 holds 100 of 8,000 bytes" in refused(str(path), TruncatedFile)


# -- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values", "detail"),
    [
        ("indptr", [0, 3, 2, 9, 11], "indptr decreases at row 1"),
        ("indptr", [1, 2, 5, 8, 11], "indptr starts at 1, not at 0"),
        ("indptr", [0, 2, 5, 8, 99], "indptr ends at 99, but 11 entries are stored"),
        ("indptr", [0, 2, 11], "indptr has 3 values for 4 rows"),
        ("indices", [0, 1, 2] * 3 + [0, 3], "index 3 is outside 0…2"),
        ("indices", [0, 1, 2] * 3 + [0, -1], "index -1 is outside 0…2"),
        ("data", [1.0, 2.0], "2 values for 11 indices"),
    ],
)
def test_matrix_that_contradicts_itself(path, name, values, detail):
    with h5py.File(path, "a") as file:
        del file[f"X/{name}"]
        file[f"X/{name}"] = np.array(values, "f4" if name == "data" else "i4")
    text = refused(path, CorruptMatrix)
    assert f"The matrix 'X' of '{path}' contradicts itself: {detail}." in text


def test_matrix_and_tables_that_disagree(path):
    with h5py.File(path, "a") as file:
        file["X"].attrs["shape"] = (4, 5)
    assert "5 columns where var has 3" in refused(path, CorruptMatrix)
    with h5py.File(path, "a") as file:
        file["X"].attrs["shape"] = (3, 3)
    assert "3 rows where obs has 4" in refused(path, CorruptMatrix)


def test_other_elements_in_place_of_a_matrix(path):
    with h5py.File(path, "a") as file:
        del file["X/indices"]
    assert "Cannot read 'X'" in refused(path, UnsupportedEncoding)
    with h5py.File(path, "a") as file:
        file["X/indices"] = np.arange(11.0)
    assert "positions of type float64" in refused(path, UnsupportedEncoding)


def test_compression_that_hdf5_lacks(path):
    with h5py.File(path, "a") as file:
        dcpl = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        dcpl.set_chunk((4, 3))
        dcpl.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (3,))
        space = h5py.h5s.create_simple((4, 3))
        file.create_group("layers")
        h5py.h5d.create(file["layers"].id, b"zstd", h5py.h5t.NATIVE_FLOAT, space, dcpl)
    with open_dataset(path) as dataset:
        assert [matrix.source for matrix in dataset.matrices] == ["X"]
        with pytest.raises(UnsupportedEncoding, match=r"HDF5 filter 32015.*is not part of HDF5"):
            dataset.blocks("layers/zstd")


def test_elements_without_values(path):
    with h5py.File(path, "a") as file:
        file["layers/type"] = np.dtype("f4")
        file["layers/empty"] = h5py.Empty("f4")
        file["layers/text"] = "text"
        file["layers/wide"] = np.zeros((4, 3, 2))
        file["layers/mapping/inside"] = np.zeros((4, 3))
        file["uns/type"] = np.dtype("f4")
        file["uns/empty"] = h5py.Empty("f4")
        file["uns/pair"] = np.zeros((), dtype=[("a", "f4"), ("b", "i4")])
        file["uns/there"] = True
    with open_dataset(path) as dataset:
        assert [matrix.source for matrix in dataset.matrices] == ["X"]
        assert dataset.uns == {"there": True}
        for name in ("type", "empty", "text", "wide", "mapping"):
            with pytest.raises(UnsupportedEncoding, match=f"Cannot read 'layers/{name}'"):
                dataset.blocks(f"layers/{name}")


def test_truncated(path):
    os.truncate(path, os.path.getsize(path) // 2)
    text = refused(path, TruncatedFile)
    assert f"'{path}' is damaged or incomplete" in text
    assert "Copy or download it again" in text


def test_bytes_flipped_anywhere(tmp_path):
    """Whatever byte is damaged, the answer is our error or a result; never another exception.

    The file has no strings of variable length: HDF5 itself may hang on their damaged heap.
    """
    sound = tmp_path / "sound.h5ad"
    with h5py.File(sound, "w") as file:
        for key in ("obs", "var"):
            group = file.create_group(key)
            group.attrs["_index"] = np.bytes_("names")
            group["names"] = np.array([b"a", b"b", b"c", b"d"])
        group = file.create_group("X")
        group.attrs["encoding-type"] = np.bytes_("csr_matrix")
        group.attrs["shape"] = (4, 4)
        for name, values in (
            ("data", np.arange(1, 9)),
            ("indices", np.arange(8) % 4),
            ("indptr", np.array([0, 2, 4, 6, 8])),
        ):
            group.create_dataset(name, data=values, chunks=(3,), compression="gzip")
    content = sound.read_bytes()
    outcomes = set()
    for place in np.random.default_rng(3).integers(0, len(content), 150):
        spoiled = tmp_path / "spoiled.h5ad"
        spoiled.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            read_everything(str(spoiled))
            outcomes.add("read")
        except ZooError:
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# -- what is no AnnData --------------------------------------------------------------------------


def test_missing():
    with pytest.raises(FileMissing, match=r"No file or folder at 'absent\.h5ad'"):
        open_dataset("absent.h5ad")


@pytest.mark.parametrize("content", [b"", b"<html>", struct.pack("<40Q", *range(40))])
def test_not_hdf5(tmp_path, content):
    path = tmp_path / "page.h5ad"
    path.write_bytes(content)
    with pytest.raises(NotHdf5, match="is not an HDF5 file"):
        open_dataset(path)


def test_user_block_before_the_file(tmp_path):
    path = tmp_path / "block.h5ad"
    with h5py.File(path, "w", userblock_size=1024):
        pass
    write_by_hand(path, VALUES, "csr", mode="a", compression="gzip")
    with open_dataset(path) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), VALUES)


def test_file_that_may_not_be_read(path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("zoo.reading.opening._is_hdf5", denied)
    with pytest.raises(FileUnreadable, match=r"Cannot read .*: Permission denied\."):
        open_dataset(path)


def test_pipe(tmp_path):
    os.mkfifo(tmp_path / "my.h5ad")
    with pytest.raises(UnknownFormat, match="neither a file nor a folder"):
        open_dataset(tmp_path / "my.h5ad")


@pytest.mark.parametrize("name", ["my.loom", "my.csv", "my.rds", "my.tsv.gz", "my"])
def test_unknown_suffix(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"something")
    with pytest.raises(UnknownFormat, match="Cannot tell what"):
        open_dataset(path)


@pytest.mark.parametrize(
    ("members", "detail"),
    [
        (["row_attrs/g", "col_attrs/c", "matrix"], "it is a loom file"),
        (["mod/rna", "mod/prot"], "it is a MuData file"),
        (["assays/RNA", "cell.names"], "it is an h5Seurat file"),
        (["molecule_info", "barcode_idx"], "molecule_info.h5"),
        (["weights"], "an HDF5 file with 'weights' at its top is neither AnnData"),
        ([], "an HDF5 file with nothing at its top"),
    ],
)
def test_other_hdf5_files(tmp_path, members, detail):
    path = tmp_path / "other.h5ad"
    with h5py.File(path, "w") as file:
        for member in members:
            file.create_group(member)
    assert detail in refused(str(path), UnknownFormat)


@pytest.mark.parametrize("source", [3, None, ["my.h5ad"]])
def test_no_source_at_all(source):
    with pytest.raises(UnknownFormat, match="it is no path and no AnnData"):
        open_dataset(source)


def test_empty_folder(tmp_path):
    with pytest.raises(UnknownFormat, match="a folder without matrix"):
        open_dataset(tmp_path)
