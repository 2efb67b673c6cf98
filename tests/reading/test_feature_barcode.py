"""Cell Ranger's .h5 files and matrix.mtx folders, as they leave Cell Ranger, R and SciPy."""

from __future__ import annotations

import gzip

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from matrices import CELLS, GENES, dense_of
from scipy import io, sparse

from zoo.errors import (
    CorruptMatrix,
    DeclaredSize,
    FileMissing,
    MissingKey,
    NoValues,
    TruncatedFile,
    UnknownFormat,
    UnsupportedEncoding,
)
from zoo.reading import open_dataset

IDS = np.array([f"ENSG{n:011d}" for n in range(GENES)], "S")
SYMBOLS = np.array([f"gene_{n // 2}" for n in range(GENES)], "S")  # symbols repeat
TYPES = np.array(["Gene Expression"] * (GENES - 3) + ["Antibody Capture"] * 3, "S")
BARCODES = np.array([f"CELL{n:04d}-1" for n in range(CELLS)], "S")


# -- HDF5 ----------------------------------------------------------------------------------------


def write_cellranger(path, counts, *, group="matrix", version=3, types=TYPES):
    by_column = sparse.csc_matrix(counts.T)
    with h5py.File(path, "w") as file:
        matrix = file.create_group(group)
        for name in ("data", "indices", "indptr"):
            matrix.create_dataset(name, data=getattr(by_column, name), compression="gzip")
        matrix["shape"] = np.array(by_column.shape, np.int32)
        matrix["barcodes"] = BARCODES
        if version == 2:
            matrix["genes"], matrix["gene_names"] = IDS, SYMBOLS
            return
        matrix["features/id"], matrix["features/name"] = IDS, SYMBOLS
        matrix["features/feature_type"] = types
        matrix["features/genome"] = np.array(["GRCh38"] * GENES, "S")
        matrix["features/_all_tag_keys"] = np.array([b"genome"])


def test_version_3_keeps_gene_expression(counts, tmp_path):
    path = tmp_path / "filtered_feature_bc_matrix.h5"
    write_cellranger(path, counts)
    with open_dataset(path) as dataset:
        assert dataset.file_format == "10x_h5"
        assert [(m.source, m.layout, m.genes) for m in dataset.matrices] == [
            ("X", "csr", GENES - 3)
        ]
        for cells in (1, 7, 100):
            np.testing.assert_array_equal(dense_of(dataset, cells=cells), counts[:, :-3])
        table = dataset.genes("X")
        assert table.index.tolist() == IDS[:-3].astype(str).tolist()
        assert table.columns["gene_symbols"][:3].tolist() == ["gene_0", "gene_0", "gene_1"]
        assert set(table.columns) == {"gene_symbols", "feature_types", "genome"}
        assert dataset.cell_names(1, 3).tolist() == ["CELL0001-1", "CELL0002-1"]
        assert dataset.obs_columns == dataset.obsm_keys == []
        assert dataset.uns == {}
        with pytest.raises(MissingKey):
            dataset.obs("leiden")
        with pytest.raises(MissingKey):
            dataset.obsm("spatial")
        with pytest.raises(NoValues, match="looked for raw/X"):
            dataset.blocks("raw/X")


def test_version_2(counts, tmp_path):
    path = tmp_path / "filtered_gene_bc_matrices_h5.h5"
    write_cellranger(path, counts, group="hg19", version=2)
    with open_dataset(path) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts)
        assert set(dataset.genes("X").columns) == {"gene_symbols"}


def test_several_genomes_are_refused(counts, tmp_path):
    path = tmp_path / "mixture.h5"
    write_cellranger(path, counts, group="hg19", version=2)
    with h5py.File(path, "a") as file:
        file.copy("hg19", "mm10")
    with pytest.raises(UnsupportedEncoding, match=r"several genomes \(hg19, mm10\)"):
        open_dataset(path)


def test_only_peaks_are_no_genes(counts, tmp_path):
    path = tmp_path / "atac.h5"
    write_cellranger(path, counts, types=np.array(["Peaks"] * GENES, "S"))
    with pytest.raises(NoValues, match="features of type 'Gene Expression'"):
        open_dataset(path)


def test_axes_that_do_not_fit_their_names(counts, tmp_path):
    path = tmp_path / "short.h5"
    write_cellranger(path, counts)
    with h5py.File(path, "a") as file:
        del file["matrix/barcodes"]
        file["matrix/barcodes"] = BARCODES[:-1]
    with pytest.raises(CorruptMatrix, match="36 barcodes named where its shape says 37"):
        open_dataset(path)


# -- text ----------------------------------------------------------------------------------------


def write_folder(folder, counts, *, text=None, names=("features.tsv", "barcodes.tsv"), types=TYPES):
    """A folder as Cell Ranger writes it; `text` replaces the matrix."""
    folder.mkdir(exist_ok=True)
    zipped = names[0].endswith(".gz")
    opened = gzip.open if zipped else open
    rows = zip(IDS, SYMBOLS, types, strict=True) if types is not None else zip(IDS, SYMBOLS)  # noqa: B905
    with opened(folder / names[0], "wb") as file:
        file.writelines(b"\t".join(row) + b"\n" for row in rows)
    with opened(folder / names[1], "wb") as file:
        file.writelines(name + b"\n" for name in BARCODES)
    prefix = names[0].split("features")[0].split("genes")[0]
    with opened(folder / f"{prefix}matrix.mtx{'.gz' if zipped else ''}", "wb") as file:
        file.write(text if text is not None else matrix_text(counts.T))
    return folder


def matrix_text(matrix, field="integer", order="F", shape=None):
    rows, columns = np.nonzero(matrix)
    keys = (rows, columns) if order == "F" else (columns, rows)
    at = np.lexsort(keys)
    entries = [
        f"{rows[n] + 1} {columns[n] + 1}"
        + ("" if field == "pattern" else f" {matrix[rows[n], columns[n]]}")
        for n in at
    ]
    height, width = shape or matrix.shape
    head = [
        f"%%MatrixMarket matrix coordinate {field} general",
        '%metadata_json: {"software_version": "cellranger-7"}',
        f"{height} {width} {len(entries)}",
    ]
    return ("\n".join([*head, *entries]) + "\n").encode()


@pytest.mark.parametrize(
    "names",
    [
        ("features.tsv.gz", "barcodes.tsv.gz"),
        ("features.tsv", "barcodes.tsv"),
        ("GSM1_pbmc_features.tsv.gz", "GSM1_pbmc_barcodes.tsv.gz"),
    ],
)
def test_folder_of_version_3(counts, tmp_path, names):
    folder = write_folder(tmp_path / "out", counts, names=names)
    with open_dataset(folder) as dataset:
        assert dataset.file_format == "mtx"
        assert dataset.cells == CELLS
        for cells in (1, 7, 100):
            np.testing.assert_array_equal(dense_of(dataset, cells=cells), counts[:, :-3])
        table = dataset.genes("X")
        assert table.index.tolist() == IDS[:-3].astype(str).tolist()
        assert set(table.columns) == {"gene_symbols", "feature_types"}


def test_folder_of_version_2(counts, tmp_path):
    folder = write_folder(tmp_path, counts, names=("genes.tsv", "barcodes.tsv"), types=None)
    with open_dataset(folder) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts)
        assert next(dataset.blocks("X")).data.dtype.kind == "i"


def test_matrix_file_stands_for_its_folder(counts, tmp_path):
    folder = write_folder(tmp_path, counts)
    with open_dataset(folder / "matrix.mtx") as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts[:, :-3])


def test_names_by_range_in_any_order(counts, tmp_path):
    with open_dataset(write_folder(tmp_path, counts)) as dataset:
        names = BARCODES.astype(str).tolist()
        for start, stop in ((0, 5), (5, 12), (20, 99), (3, 4), (4, 6)):
            assert dataset.cell_names(start, stop).tolist() == names[start:stop]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    order=st.sampled_from("CF"),
    is_by_gene=st.booleans(),
    piece=st.integers(8, 2000),
    cells=st.integers(1, 50),
    field=st.sampled_from(["integer", "real", "pattern"]),
)
def test_orders_orientations_and_pieces(
    counts, tmp_path_factory, order, is_by_gene, piece, cells, field
):
    matrix = counts.T if is_by_gene else counts
    text = matrix_text(matrix * 0.5 if field == "real" else matrix, field, order)
    folder = write_folder(tmp_path_factory.mktemp("mtx"), counts, text=text)
    expected = {"integer": counts, "real": counts * 0.5, "pattern": counts > 0}[field][:, :-3]
    with pytest.MonkeyPatch.context() as patch, open_dataset(folder) as dataset:
        patch.setattr("zoo.reading.matrix_market.PIECE", piece)
        try:
            np.testing.assert_array_equal(dense_of(dataset, cells=cells), expected)
        except CorruptMatrix as error:  # a first piece too short to show the order
            assert "it begins sorted by cell" in str(error)  # noqa: PT017
            assert piece < 2000


def test_text_as_scipy_writes_it(counts, tmp_path):
    path = tmp_path / "scipy.mtx"
    io.mmwrite(path, sparse.csr_matrix(counts))
    folder = write_folder(tmp_path / "out", counts, text=path.read_bytes())
    with open_dataset(folder) as dataset:
        np.testing.assert_array_equal(dense_of(dataset), counts[:, :-3])


@pytest.mark.parametrize(
    ("old", "new", "kind", "detail"),
    [
        (b"coordinate integer", b"array integer", UnsupportedEncoding, "its first line"),
        (b"coordinate integer", b"coordinate complex", UnsupportedEncoding, "complex general"),
        (b"general", b"symmetric", UnsupportedEncoding, "integer symmetric"),
        (b"%%MatrixMarket", b"%%Nonsense", UnsupportedEncoding, "its first line"),
        (b"23 37 ", b"23 38 ", CorruptMatrix, "38 cells where barcodes.tsv has 37 lines"),
        (b"23 37 ", b"24 38 ", CorruptMatrix, "24 × 38 where features.tsv has 23 lines"),
        (b"23 37 ", b"23 9999999999 ", DeclaredSize, "declares 9,999,999,999"),
        (b"23 37 ", b"hello ", TruncatedFile, "no line with its sizes"),
        (b"\n1 1 ", b"\n0 1 ", CorruptMatrix, "a position on axis 1 is outside 1…23"),
        (b"\n1 1 ", b"\n1 99 ", CorruptMatrix, "a position on axis 2 is outside 1…37"),
        (b"\n1 1 ", b"\nx 1 ", CorruptMatrix, "a line is not 'row column value'"),
        (b"\n1 1 ", b"\n1 ", CorruptMatrix, "a line is not 'row column value'"),
    ],
)
def test_faulty_text(counts, tmp_path, old, new, kind, detail):
    counts[0, 0] = 2
    text = matrix_text(counts.T)
    assert text.count(old) == 1
    folder = write_folder(tmp_path, counts, text=text.replace(old, new))
    with pytest.raises(kind) as caught:
        read(folder)
    assert detail in str(caught.value)


def test_text_that_ends_early(counts, tmp_path):
    text = matrix_text(counts.T)
    folder = write_folder(tmp_path, counts, text=text[: text.rindex(b"\n", 0, -1) + 1])
    with pytest.raises(TruncatedFile, match=r"matrix\.mtx' is damaged or incomplete: \d+ of \d+"):
        read(folder)


def test_gzip_that_ends_early(counts, tmp_path):
    folder = write_folder(tmp_path, counts, names=("features.tsv.gz", "barcodes.tsv.gz"))
    matrix = folder / "matrix.mtx.gz"
    matrix.write_bytes(matrix.read_bytes()[:-20])
    with pytest.raises(TruncatedFile, match=r"matrix\.mtx\.gz' is damaged or incomplete"):
        read(folder)


@pytest.mark.parametrize("name", ["features.tsv", "barcodes.tsv"])
def test_companion_that_is_missing(counts, tmp_path, name):
    folder = write_folder(tmp_path, counts)
    (folder / name).unlink()
    with pytest.raises(FileMissing, match=name):
        open_dataset(folder)


def test_order_that_breaks_late(counts, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.reading.matrix_market.PIECE", 200)
    lines = matrix_text(counts.T).splitlines(keepends=True)
    text = b"".join([*lines[:3], *lines[4:], lines[3]])
    folder = write_folder(tmp_path, counts, text=text)
    with pytest.raises(CorruptMatrix, match="begins sorted by cell, but later entries are not"):
        read(folder)


def test_other_text_matrices_are_unknown(tmp_path):
    (tmp_path / "matrix.txt").write_text("1 2 3")
    with pytest.raises(UnknownFormat):
        open_dataset(tmp_path)


def read(folder) -> None:
    with open_dataset(folder) as dataset:
        dense_of(dataset)
