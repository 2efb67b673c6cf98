"""Which reader takes a source: decided by what it is, then by what lies inside."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import FileMissing, FileUnreadable, NotHdf5, UnknownFormat
from zoo.reading import confined, zarr_store
from zoo.reading.cellranger import CellRangerFile, matrix_groups
from zoo.reading.confined import ConfinedGroup
from zoo.reading.dataset import Dataset
from zoo.reading.layout import StoredAnnData
from zoo.reading.matrix_market import MatrixMarketFolder, matrix_file
from zoo.reading.memory import LentAnnData

if TYPE_CHECKING:
    from anndata import AnnData

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HDF5_NAMES = (".h5ad", ".h5", ".hdf5")
MATRIX_NAMES = ("matrix.mtx", "matrix.mtx.gz")


def open_dataset(source: str | os.PathLike[str] | AnnData) -> Dataset:
    """Open cells by genes for reading, block by block; close it, or use it in a `with`.

    Takes an AnnData file (`.h5ad`, zarr folder), Cell Ranger output (`.h5`, folder with
    `matrix.mtx(.gz)`) or an AnnData in memory.

    Raises
    ------
    FileMissing, FileUnreadable, UnknownFormat, NotHdf5, TruncatedFile
        If the source cannot be opened as any of these.
    UnsafeLink, DeclaredSize
        If the file reaches outside itself, or declares sizes that cannot be true.
    NoValues, UnsupportedEncoding, CorruptMatrix
        If no matrix in it can be read.

    """
    if not isinstance(source, str | os.PathLike):
        return _in_memory(source)
    path = os.fspath(source)
    try:
        return _stored(path)
    except PermissionError as error:
        raise FileUnreadable(path, error.strerror or "permission denied") from error


def _stored(path: str) -> Dataset:
    if not os.path.exists(path):
        raise FileMissing(path)
    if os.path.isdir(path):
        return _folder(path)
    if not os.path.isfile(path):
        raise UnknownFormat(path, "it is neither a file nor a folder")
    if _is_hdf5(path):
        return _hdf5(path)
    if path.endswith(MATRIX_NAMES):
        return MatrixMarketFolder.read(path, Path(path))
    suffixes = "".join(Path(path).suffixes[-2:]).lower()
    if path.endswith(HDF5_NAMES):
        raise NotHdf5(path)
    raise UnknownFormat(path, f"its name ends in {suffixes!r}" if suffixes else "it is no HDF5")


def _is_hdf5(path: str) -> bool:
    """Whether a file begins like HDF5: at 0, or after a user block of 512, 1024, … bytes."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        offset = 0
        while offset + len(HDF5_SIGNATURE) <= size:
            file.seek(offset)
            if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return True
            offset = max(512, offset * 2)
    return False


def _hdf5(path: str) -> Dataset:
    resources = ExitStack()
    try:
        root = resources.enter_context(confined.opened(path))
        members = root.members()
        if "obs" in members and "var" in members:
            stored = StoredAnnData(root, file_format="h5ad", close=resources.close)
            stored.demand_values()
            return stored
        if matrix_groups(root):
            return CellRangerFile.read(root, close=resources.close)
        raise UnknownFormat(path, _foreign(root))
    except BaseException:
        resources.close()
        raise


def _foreign(root: ConfinedGroup) -> str:
    """What an HDF5 file that is none of ours looks like."""
    members = root.members()
    if "row_attrs" in members and "col_attrs" in members:
        return "it is a loom file"
    if "mod" in members:
        return "it is a MuData file; write one of its modalities as .h5ad"
    if "molecule_info" in members or "barcode_idx" in members:
        return "it is Cell Ranger's molecule_info.h5; give filtered_feature_bc_matrix.h5"
    if "assays" in members:
        return "it is an h5Seurat file"
    shown = ", ".join(repr(name) for name in members[:5]) or "nothing"
    return f"an HDF5 file with {shown} at its top is neither AnnData nor Cell Ranger output"


def _folder(path: str) -> Dataset:
    matrix = matrix_file(path)
    if matrix is not None:
        return MatrixMarketFolder.read(path, matrix)
    if not zarr_store.is_store(path):
        raise UnknownFormat(path, "a folder without matrix.mtx(.gz) and without zarr metadata")
    root = zarr_store.opened(path)
    members = root.members()
    if "obs" not in members or "var" not in members:
        shown = ", ".join(repr(name) for name in members[:5]) or "nothing"
        raise UnknownFormat(path, f"a zarr folder with {shown} at its top is no AnnData")
    stored = StoredAnnData(root, file_format="zarr")
    stored.demand_values()
    return stored


def _in_memory(source: Any) -> Dataset:
    # Whoever holds an AnnData has imported anndata; others need not.
    anndata = sys.modules.get("anndata")
    if anndata is None or not isinstance(source, anndata.AnnData):
        raise UnknownFormat(f"<{type(source).__name__}>", "it is no path and no AnnData")
    lent = LentAnnData(source)
    lent.demand_values()
    return lent
