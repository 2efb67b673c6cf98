"""Matrices written by hand, and blocks put together again."""

from __future__ import annotations

import h5py
import numpy as np

from zoo.reading import Dataset

CELLS, GENES = 37, 23


def dense_of(dataset: Dataset, source: str = "X", cells: int = 10) -> np.ndarray:
    """All blocks of a matrix, put together; checks on the way that blocks follow each other."""
    genes = next(m.genes for m in dataset.matrices if m.source == source)
    out = np.zeros((dataset.cells, genes))
    at = 0
    for block in dataset.blocks(source, cells=cells):
        assert block.start == at
        assert block.indptr.dtype == np.int64
        assert block.indptr[0] == 0
        assert block.indptr[-1] == len(block.indices) == len(block.data)
        assert block.indices.dtype in (np.int32, np.int64)
        assert block.genes == genes
        np.add.at(out, (block.rows + at, block.indices), block.data)
        at += block.cells
    assert at == dataset.cells
    return out


def write_by_hand(path, values: np.ndarray, layout: str, mode: str = "w", **options) -> None:
    """An .h5ad whose X has exactly the given type, layout, chunks and filters."""
    cells, genes = values.shape
    names = h5py.string_dtype()
    with h5py.File(path, mode) as file:
        for key, prefix, length in (("obs", "c", cells), ("var", "g", genes)):
            group = file.create_group(key)
            group.attrs.update({"encoding-type": "dataframe", "_index": "_index"})
            group["_index"] = np.array([f"{prefix}{n}" for n in range(length)], dtype=names)
        if layout == "dense":
            file.create_dataset("X", data=values, **(options if values.size else {}))
            return
        group = file.create_group("X")
        group.attrs.update({"encoding-type": f"{layout}_matrix", "shape": values.shape})
        major, minor = np.nonzero(values if layout == "csr" else values.T)
        data = values[major, minor] if layout == "csr" else values[minor, major]
        lengths = np.bincount(major, minlength=cells if layout == "csr" else genes)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        usable = options if len(data) else {}
        group.create_dataset("data", data=data, **usable)
        group.create_dataset("indices", data=minor.astype(np.int32), **usable)
        group.create_dataset("indptr", data=indptr)
