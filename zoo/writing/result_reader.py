"""Reading a result file back: columns decoded, by blocks or whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from zoo.predictions import CODED_COLUMNS, Coded, Predictions, Summary

Arrays = dict[str, npt.NDArray[Any]]

_BLOCK_CELLS = 16384


@dataclass(frozen=True)
class ResultReader:
    """A finished result file, open for reading."""

    h5: h5py.File

    @property
    def cells(self) -> int:
        """Number of cells."""
        return int(self.h5["obs/_index"].shape[0])

    @property
    def columns(self) -> list[str]:
        """Columns of obs in order."""
        return [str(name) for name in self.h5["obs"].attrs["column-order"]]

    @property
    def provenance(self) -> dict[str, Any]:
        """`uns['cellzoo']` as a dictionary."""
        return _mapping(self.h5["uns/cellzoo"])

    def cell_names(self, start: int = 0, stop: int | None = None) -> npt.NDArray[np.str_]:
        """str [cells]: names of consecutive cells."""
        return np.asarray(self.h5["obs/_index"].asstr()[start:stop], dtype=np.str_)

    def column(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """[cells]: one column, categories decoded to strings."""
        element = self.h5["obs"][name]
        if isinstance(element, h5py.Dataset):
            return _numbers_or_text(element, start, stop)
        # Code -1, a missing value, takes the last one.
        categories = np.append(element["categories"].asstr()[:].astype(np.str_), "")
        return np.asarray(categories[element["codes"][start:stop]])

    def obsm(self) -> Arrays:
        """All arrays of obsm, each [cells, dims]."""
        return {name: np.asarray(array[:]) for name, array in self.h5["obsm"].items()}

    def layers(self) -> Arrays:
        """All dense per-gene arrays, each [cells, genes]."""
        arrays = self.h5["layers"].items()
        return {name: np.asarray(array[:]) for name, array in arrays
                if isinstance(array, h5py.Dataset)}  # fmt: skip

    def table(self, name: str) -> Arrays:
        """The columns of a table in uns, in order; empty if there is none."""
        if name not in self.h5["uns"]:
            return {}
        frame = self.h5["uns"][name]
        return {str(column): _numbers_or_text(frame[column]) for column in
                frame.attrs["column-order"]}  # fmt: skip

    def blocks(self) -> Iterator[tuple[npt.NDArray[np.str_], Arrays]]:
        """Cell names and decoded columns, some thousand cells at a time."""
        for start in range(0, self.cells, _BLOCK_CELLS):
            stop = min(start + _BLOCK_CELLS, self.cells)
            columns = {name: self.column(name, start, stop) for name in self.columns}
            yield self.cell_names(start, stop), columns

    def predictions(self) -> Predictions:
        """Everything, in memory."""
        return Predictions(
            cell_names=self.cell_names(),
            obs={name: self.column(name) for name in self.columns},
            obsm=self.obsm(),
            layers=self.layers(),
            provenance=self.provenance,
        )

    def summary(self) -> Summary:
        """How many cells got which call, label and verdict."""
        present = [name for name in CODED_COLUMNS if name in self.columns]
        prob = self.column("prob") if "prob" in self.columns else None
        return Summary.of({name: self.coded(name) for name in present}, prob, self.cells)

    def coded(self, name: str) -> Coded:
        """A categorical column as codes and categories."""
        element = self.h5["obs"][name]
        return Coded(element["codes"][:], element["categories"].asstr()[:].tolist())


def provenance_json(provenance: dict[str, Any]) -> str:
    """The provenance as JSON text."""
    return json.dumps(provenance, indent=1, ensure_ascii=False) + "\n"


def _numbers_or_text(
    dataset: h5py.Dataset, start: int = 0, stop: int | None = None
) -> npt.NDArray[Any]:
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr()[start:stop], dtype=np.str_)
    return np.asarray(dataset[start:stop])


def _mapping(group: h5py.Group) -> dict[str, Any]:
    return {name: _value(element) for name, element in group.items()}


def _value(element: h5py.Group | h5py.Dataset) -> Any:
    if isinstance(element, h5py.Group):
        return _mapping(element)
    value = element.asstr()[()] if h5py.check_string_dtype(element.dtype) else element[()]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
