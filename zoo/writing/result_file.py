"""A result file: obs, obsm and uns of the annotated cells in AnnData's form, without X.

Results are appended block by block to resizable datasets, so memory does not depend on the number
of cells. Every other output (table, annotated copy, arrays in Python) is made from this one file,
which lies in memory where nobody asked for it on disk.

Layout::

    obs/_index            cell names             obs/<column>           numbers
    obs/<column>/codes    categorical columns    obs/<column>/categories
    obsm/<key>            [cells, dims]          layers/<output>        [cells, genes], if asked
    var/                  empty, or the vocabulary where there are layers
                          layers/attribution     top genes of each cell as CSR, if explained
    uns/cellzoo           provenance             uns/<table>            other tables
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from zoo.writing import elements
from zoo.writing.h5_output import HoldingFile
from zoo.writing.sparse_layer import SparseLayer

_CHUNK_CELLS = 4096
# One row of a per-gene output is large: fewer rows make a chunk of about 1 MB.
_CHUNK_BYTES = 1 << 20

Arrays = Mapping[str, npt.NDArray[Any]]


class ResultFile:
    """An AnnData file under construction; a context manager.

    Parameters
    ----------
    path
        Where it is written; None keeps it in memory.
    genes
        Names of the vocabulary's genes where per-gene layers will be written.

    """

    def __init__(self, path: Path | None, genes: npt.NDArray[np.str_] | None = None) -> None:
        self._disk = None if path is None else HoldingFile(path)
        if self._disk is None:
            self.h5 = h5py.File("results", "w", driver="core", backing_store=False)
        else:
            self.h5 = h5py.File(self._disk, "w")
        elements.set_encoding(self.h5, "anndata", "0.1.0")
        self._obs = elements.create_frame(self.h5, "obs")
        for name in ("obsm", "layers", "varm", "obsp", "varp"):
            elements.set_encoding(self.h5.create_group(name), "dict", "0.1.0")
        var = elements.create_frame(self.h5, "var")
        names = np.array([], dtype=object) if genes is None else genes
        elements.write_strings(var, "_index", names)
        elements.finish_frame(var, [])
        self._columns: list[str] = []
        self._waiting: dict[str, list[npt.NDArray[Any]]] = {}
        self._genes = 0 if genes is None else len(genes)
        self._top: SparseLayer | None = None
        self._tables: dict[str, Arrays] = {}

    def append(
        self,
        cell_names: npt.NDArray[np.str_],
        columns: Arrays,
        obsm: Arrays,
        layers: Arrays,
        top: Arrays | None = None,
    ) -> None:
        """Add consecutive cells.

        Parameters
        ----------
        cell_names
            str [cells].
        columns
            Columns of obs, each [cells]; an int32 column becomes categorical when `finish` gives
            its categories.
        obsm, layers
            Arrays [cells, dims].
        top
            The top genes of each cell with their `attribution`, where cells are explained.

        Raises
        ------
        OSError
            If the disk does not take them.

        """
        arrays = {
            "obs/_index": cell_names.astype(object),
            **{f"obs/{name}": values for name, values in columns.items()},
            **{f"obsm/{name}": values for name, values in obsm.items()},
            **{f"layers/{name}": values for name, values in layers.items()},
        }
        for place, values in arrays.items():
            self._waiting.setdefault(place, []).append(values)
        self._columns += [name for name in columns if name not in self._columns]
        if top and "attribution" not in layers:  # all of them say more than the highest
            with self.revealing():
                if self._top is None:
                    self._top = SparseLayer(self.h5["layers"], "attribution", self._genes)
                self._top.append(top["genes"], top["attribution"])
        # Many small writes cost more than the values in them; per-gene arrays are never small.
        if layers or sum(map(len, self._waiting["obs/_index"])) >= _CHUNK_CELLS:
            self._write_waiting()

    def _write_waiting(self) -> None:
        with self.revealing():
            for place, pieces in self._waiting.items():
                _extend(self.h5, place, np.concatenate(pieces))
        self._waiting = {}

    def add_column(self, name: str, values: npt.NDArray[Any], *, after: str | None = None) -> None:
        """Add a whole column of obs that is known only at the end."""
        self._write_waiting()
        elements.write_array(self._obs, name, values)
        place = self._columns.index(after) + 1 if after in self._columns else len(self._columns)
        self._columns.insert(place, name)

    def add_array(self, name: str, values: npt.NDArray[Any]) -> None:
        """Add a whole array of obsm that is known only at the end."""
        self._write_waiting()
        elements.write_array(self.h5["obsm"], name, values)

    def add_table(self, name: str, columns: Arrays) -> None:
        """Add a table that is not of cells: `uns[name]`, a data frame for AnnData's users."""
        self._tables[name] = columns

    def finish(
        self, categories: Mapping[str, Sequence[str]], provenance: Mapping[str, Any]
    ) -> None:
        """Turn code columns into categorical ones and write the provenance."""
        self._write_waiting()
        with self.revealing():
            for name, values in categories.items():
                if name in self._obs:
                    _make_categorical(self._obs, name, values)
            elements.finish_frame(self._obs, self._columns)
            uns = self.h5.create_group("uns")
            elements.set_encoding(uns, "dict", "0.1.0")
            elements.write_mapping(uns, "cellzoo", provenance)
            for name, columns in self._tables.items():
                elements.write_frame(uns, name, columns)
            if self._top is not None:
                self._top.finish()
            self.h5.flush()

    def revealing(self) -> AbstractContextManager[None]:
        """A block in which the disk's errors and Ctrl-C wait until HDF5 is done."""
        return nullcontext() if self._disk is None else self._disk.revealing()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self.revealing() if error is None else suppress(OSError, RuntimeError):
                self.h5.close()
        finally:
            with suppress(OSError, RuntimeError):
                self.h5.close()  # where the block above raised before it came to this
            if self._disk is not None:
                self._disk.close()


def _extend(file: h5py.File, place: str, values: npt.NDArray[Any]) -> None:
    """Append rows to a resizable dataset, which the first call makes."""
    if place not in file:
        row_bytes = max(1, values.dtype.itemsize * int(np.prod(values.shape[1:], dtype=np.int64)))
        rows = max(1, min(_CHUNK_CELLS, _CHUNK_BYTES // row_bytes))
        dataset = file.create_dataset(
            place,
            shape=(0, *values.shape[1:]),
            maxshape=(None, *values.shape[1:]),
            chunks=(rows, *values.shape[1:]),
            dtype=elements.STRING if values.dtype == object else values.dtype,
            compression="gzip",
            compression_opts=1,
        )
        encoding = "string-array" if values.dtype == object else "array"
        elements.set_encoding(dataset, encoding, "0.2.0")
    dataset = file[place]
    start = dataset.shape[0]
    dataset.resize(start + len(values), axis=0)
    dataset[start:] = values


def _make_categorical(group: h5py.Group, name: str, categories: Sequence[str]) -> None:
    """Move a column of codes into a categorical element, without reading it."""
    group.move(name, f"{name}-codes")
    column = group.create_group(name)
    elements.set_encoding(column, "categorical", "0.2.0")
    column.attrs["ordered"] = False
    group.move(f"{name}-codes", f"{name}/codes")
    elements.write_strings(column, "categories", np.array(list(categories), dtype=object))
