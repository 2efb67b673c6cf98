"""A prepared file: counts as CSR in X on a repaired gene axis, all else of the input kept."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.block import Block
from zoo.reading import Dataset
from zoo.version import __version__
from zoo.writing import elements
from zoo.writing.h5_output import h5_output

Strings = npt.NDArray[np.str_]

# What belongs to cells or to the whole file; what belongs to genes would need the new axis.
_KEPT = ("obs", "obsm", "obsp", "uns")
_CHUNK = 1 << 16


def write_prepared(
    path: Path,
    dataset: Dataset,
    blocks: Iterable[Block],
    *,
    names: Strings,
    columns: Mapping[str, Strings],
    changes: Sequence[str],
) -> None:
    """Write an AnnData file with `blocks` as X.

    Parameters
    ----------
    blocks
        All cells in order, on the gene axis `names`.
    columns
        Columns of var, each str [genes].
    changes
        Sentences for `uns['cellzoo']['prepared']`.

    """
    with h5_output(path) as file:
        elements.set_encoding(file, "anndata", "0.1.0")
        _write_x(file, blocks, len(names))
        if dataset.file_format == "h5ad":
            with h5py.File(dataset.path, "r") as original:
                for name in _KEPT:
                    if name in original:
                        original.copy(name, file)
        else:
            _write_obs(file, dataset)
        var = elements.create_frame(file, "var")
        elements.write_strings(var, "_index", names)
        for name, values in columns.items():
            elements.write_strings(var, name, values)
        elements.finish_frame(var, list(columns))
        for name in ("obsm", "obsp", "uns", "layers", "varm", "varp"):
            if name not in file:
                elements.set_encoding(file.create_group(name), "dict", "0.1.0")
        _write_log(file["uns"], dataset, changes)


def _write_x(file: h5py.File, blocks: Iterable[Block], genes: int) -> None:
    x = file.create_group("X")
    elements.set_encoding(x, "csr_matrix", "0.1.0")
    options: dict[str, Any] = {
        "shape": (0,), "maxshape": (None,), "chunks": (_CHUNK,), "compression": "gzip",
        "compression_opts": 4,
    }  # fmt: skip
    data = x.create_dataset("data", dtype=np.float32, **options)
    indices = x.create_dataset("indices", dtype=np.int32, **options)
    ends = [np.zeros(1, dtype=np.int64)]
    for block in blocks:
        end = int(ends[-1][-1])
        for dataset, values in ((data, block.data), (indices, block.indices)):
            dataset.resize(end + len(values), axis=0)
            dataset[end:] = values
        ends.append(block.indptr[1:] + end)
    indptr = np.concatenate(ends)
    x.create_dataset("indptr", data=indptr)
    x.attrs["shape"] = np.array([len(indptr) - 1, genes], dtype=np.int64)


def _write_obs(file: h5py.File, dataset: Dataset) -> None:
    obs = elements.create_frame(file, "obs")
    elements.write_strings(obs, "_index", dataset.cell_names(0, dataset.cells))
    for name in dataset.obs_columns:
        values = dataset.obs(name)
        if values.dtype.kind in "OSU":
            categories, codes = np.unique(values.astype(str), return_inverse=True)
            elements.write_categorical(obs, name, codes.astype(np.int32), categories.tolist())
        else:
            elements.write_array(obs, name, values)
    elements.finish_frame(obs, list(dataset.obs_columns))


def _write_log(uns: h5py.Group, dataset: Dataset, changes: Sequence[str]) -> None:
    if "cellzoo" not in uns:
        elements.set_encoding(uns.create_group("cellzoo"), "dict", "0.1.0")
    log = uns["cellzoo"]
    if "prepared" in log:
        del log["prepared"]
    elements.write_mapping(
        log,
        "prepared",
        {
            "changes": list(changes),
            "input": dataset.path,
            "zoo_version": __version__,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )
