"""The layout of a stored AnnData, in HDF5 and zarr alike: X, raw, layers, obs, var, obsm, uns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np

from zoo.block import Block
from zoo.errors import CorruptMatrix, MissingKey, NoValues, UnsupportedEncoding
from zoo.reading import csc, csr, dense
from zoo.reading.csr import Compressed
from zoo.reading.dataset import DEFAULT_BLOCK_CELLS, GeneTable, Matrix, Strings
from zoo.reading.elements import AnyArray, Array, Group, is_number, whole
from zoo.reading.frames import Frame, GroupFrame, frame_at, gene_table

# anndata to 0.6 kept raw in two flat members.
FLAT_RAW = {"raw/X": "raw.X", "raw/var": "raw.var"}


class StoredAnnData:
    """An AnnData on the disk; see `zoo.reading.dataset.Dataset`."""

    def __init__(
        self, root: Group, *, file_format: str, close: Callable[[], object] = lambda: None
    ) -> None:
        self.root, self.path, self.file_format = root, root.path, file_format
        self._close = close

    @cached_property
    def cells(self) -> int:
        """Number of cells."""
        return self._obs.rows

    @cached_property
    def matrices(self) -> Sequence[Matrix]:
        """The matrices with one row per cell, in the order X, raw/X, layers."""
        found = []
        for source in self._sources:
            try:
                found.append(self._described(source))
            except (UnsupportedEncoding, CorruptMatrix):  # raised again when it is asked for
                continue
        return found

    def demand_values(self) -> None:
        """Raise what keeps the first matrix from being read, if none can be.

        Raises
        ------
        NoValues, UnsupportedEncoding, CorruptMatrix

        """
        if self.matrices:
            return
        for source in self._sources:
            self._described(source)
        raise NoValues(self.path, ["X", "raw/X", "layers"])

    def genes(self, source: str) -> GeneTable:
        """The gene axis of the matrix at `source`."""
        self._element(source)
        return gene_table(self._var(source))

    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: names of consecutive cells."""
        return self._obs.names(start, stop)

    @property
    def obs_columns(self) -> Sequence[str]:
        """Names of the columns of obs."""
        return self._obs.columns

    def obs(self, column: str) -> AnyArray:
        """[cells]: one column of obs, categories decoded to strings."""
        return self._obs.column(column)

    @property
    def obsm_keys(self) -> Sequence[str]:
        """Names of the arrays of obsm."""
        obsm = self.root.get("obsm")
        if isinstance(obsm, Array):  # anndata to 0.6: a compound array
            return list(obsm.dtype.names or ())
        return obsm.members() if obsm is not None else []

    def obsm(self, key: str) -> AnyArray:
        """[cells, dims]: one array of obsm; the numbers of a table side by side."""
        if key not in self.obsm_keys:
            raise MissingKey(self.path, "obsm", key, self.obsm_keys)
        obsm = self.root.get("obsm")
        element = obsm.get(key) if isinstance(obsm, Group) else None
        if isinstance(obsm, Array):
            values = obsm.field(key, 0, self.cells)
        elif isinstance(element, Array):
            values = whole(element)
        elif element is not None and element.attribute("encoding-type") == "dataframe":
            table = GroupFrame.of(element)
            values = np.stack([table.column(name) for name in table.columns], axis=1)
        else:
            raise UnsupportedEncoding(self.path, f"obsm/{key}", "a sparse matrix or a mapping")
        values = values.reshape(len(values), -1)
        if len(values) != self.cells or not is_number(values.dtype):
            detail = f"{values.dtype} {values.shape} for {self.cells:,} cells"
            raise CorruptMatrix(self.path, f"obsm/{key}", detail)
        return values

    @cached_property
    def uns(self) -> Mapping[str, Any]:
        """The scalars and strings of uns, those of its mappings as `mapping/name` (two levels)."""
        uns = self.root.get("uns")
        return dict(_scalars(uns, depth=3)) if isinstance(uns, Group) else {}

    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells of the matrix at `source`, in order, `cells` rows at a time."""
        matrix = self._described(source)
        element = self._element(source)
        if isinstance(element, Array):
            return dense.blocks(element, cells, order)
        if matrix.layout == "csc":
            return csc.blocks(Compressed.of(element, (matrix.genes, self.cells)), cells, order)
        return csr.blocks(Compressed.of(element, (self.cells, matrix.genes)), cells, order=order)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    @cached_property
    def _obs(self) -> Frame:
        return frame_at(self.root, "obs")

    @cached_property
    def _sources(self) -> list[str]:
        """Where matrices may lie: the members that exist."""
        layers = self.root.get("layers")
        named = layers.members() if isinstance(layers, Group) else []
        sources = ["X", "raw/X", *(f"layers/{name}" for name in named)]
        return [source for source in sources if self._is_there(source)]

    def _is_there(self, source: str) -> bool:
        try:
            return self._find(source) is not None
        except UnsupportedEncoding:  # raised again when it is asked for
            return True

    def _find(self, source: str) -> Group | Array | None:
        element = self.root.get(source)
        if element is None and source in FLAT_RAW:
            element = self.root.get(FLAT_RAW[source])
        return element

    def _element(self, source: str) -> Group | Array:
        element = self._find(source) if source in self._sources else None
        if element is not None:
            return element
        if source in ("X", "raw/X"):
            raise NoValues(self.path, [source])
        layers = [name.removeprefix("layers/") for name in self._sources if "layers/" in name]
        raise MissingKey(self.path, "layers", source.removeprefix("layers/"), layers)

    def _var(self, source: str) -> Frame:
        if source != "raw/X":
            return frame_at(self.root, "var")
        key = "raw/var" if self.root.get("raw/var") is not None else FLAT_RAW["raw/var"]
        return frame_at(self.root, key)

    def _described(self, source: str) -> Matrix:
        """Layout and size of a matrix, proved to fit obs and var."""
        element = self._element(source)
        layout, rows, genes, entries = (
            _dense_form(element) if isinstance(element, Array) else _sparse_form(element)
        )
        if rows != self.cells:
            detail = f"{rows:,} rows where obs has {self.cells:,}"
            raise CorruptMatrix(self.path, source, detail)
        named = self._var(source).rows
        if genes != named:
            detail = f"{genes:,} columns where var has {named:,}"
            raise CorruptMatrix(self.path, source, detail)
        return Matrix(source, layout, genes, entries)


def _dense_form(array: Array) -> tuple[str, int, int, int]:
    if len(array.shape) != 2:
        raise UnsupportedEncoding(array.path, array.key, f"an array with {len(array.shape)} axes")
    if array.is_text or not is_number(array.dtype):
        raise UnsupportedEncoding(array.path, array.key, f"values of type {array.dtype}")
    rows, genes = array.shape
    return "dense", rows, genes, rows * genes


def _sparse_form(group: Group) -> tuple[str, int, int, int]:
    """Layout, rows, genes and entries; `h5sparse_*` are the attributes of anndata to 0.6."""
    encoding = str(group.attribute("encoding-type") or "")
    layout = encoding.removesuffix("_matrix") or str(group.attribute("h5sparse_format") or "")
    if layout not in ("csr", "csc"):
        detail = f"a group encoded as {encoding!r}" if encoding else "a group that is no matrix"
        raise UnsupportedEncoding(group.path, group.key, detail)
    shape = group.attribute("shape")
    if shape is None:
        shape = group.attribute("h5sparse_shape")
    lengths = [int(length) for length in np.atleast_1d(shape)] if shape is not None else []
    if len(lengths) != 2 or min(lengths) < 0:
        raise CorruptMatrix(group.path, group.key, f"its shape is {lengths}")
    rows, genes = lengths
    major = (rows, genes) if layout == "csr" else (genes, rows)
    return layout, rows, genes, Compressed.of(group, major).entries


def _scalars(group: Group, depth: int) -> Iterator[tuple[str, Any]]:
    for name in group.members():
        try:
            element = group.get(name)
        except UnsupportedEncoding:
            continue
        if isinstance(element, Group):
            if depth > 1:
                for inner, value in _scalars(element, depth - 1):
                    yield f"{name}/{inner}", value
        elif element is not None and element.shape == ():
            value = element.scalar()
            if isinstance(value, np.generic) and value.dtype.kind in "biuf":
                value = value.item()
            if isinstance(value, str | int | float):
                yield name, value
