"""A sparse matrix that grows by rows: an AnnData layer in CSR, written block by block."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.writing import elements

_CHUNK = 65536


class SparseLayer:
    """A CSR matrix under construction.

    Parameters
    ----------
    parent, name
        Where it lies.
    columns
        Number of columns.

    """

    def __init__(self, parent: h5py.Group, name: str, columns: int) -> None:
        self._group = parent.create_group(name)
        self._columns = columns
        self._create("data", np.float32)
        self._create("indices", np.int32)
        self._create("indptr", np.int64)
        _append(self._group["indptr"], np.zeros(1, dtype=np.int64))

    def append(self, columns: npt.NDArray[np.int32], values: npt.NDArray[np.float32]) -> None:
        """Add rows: columns and values, each [rows, entries]; a column of -1 is no entry."""
        order = np.argsort(columns, axis=1, kind="stable")
        columns = np.take_along_axis(columns, order, axis=1)
        values = np.take_along_axis(values, order, axis=1)
        given = columns >= 0
        end = self._group["data"].shape[0]
        _append(self._group["indptr"], end + np.cumsum(given.sum(axis=1), dtype=np.int64))
        _append(self._group["data"], values[given])
        _append(self._group["indices"], columns[given])

    def finish(self) -> None:
        """Mark it as a matrix that anndata reads."""
        rows = self._group["indptr"].shape[0] - 1
        elements.set_encoding(self._group, "csr_matrix", "0.1.0")
        self._group.attrs["shape"] = np.array([rows, self._columns], dtype=np.int64)

    def _create(self, name: str, kind: Any) -> None:
        self._group.create_dataset(
            name,
            shape=(0,),
            maxshape=(None,),
            chunks=(_CHUNK,),
            dtype=kind,
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )


def _append(dataset: h5py.Dataset, values: npt.NDArray[Any]) -> None:
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values
