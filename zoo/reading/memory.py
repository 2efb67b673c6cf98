"""An AnnData that lies in memory, or is backed by a file; it is lent, and never changed.

anndata, pandas and SciPy are met only as the objects that the caller already has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from zoo.block import Block
from zoo.errors import MissingKey, NoValues, UnsupportedEncoding
from zoo.reading import dense
from zoo.reading.dataset import DEFAULT_BLOCK_CELLS, GeneTable, Matrix, Strings, starts
from zoo.reading.elements import AnyArray, is_number

if TYPE_CHECKING:
    from anndata import AnnData

PATH = "<AnnData>"


class LentAnnData:
    """An AnnData of the caller; see `zoo.reading.dataset.Dataset`."""

    path = PATH
    file_format = "anndata"

    def __init__(self, adata: AnnData) -> None:
        self.adata = adata
        self.cells = int(adata.n_obs)

    @property
    def matrices(self) -> Sequence[Matrix]:
        """The matrices in the order X, raw/X, layers."""
        found = []
        for source in self._sources():
            try:
                found.append(self._described(source))
            except UnsupportedEncoding:
                continue
        return found

    def demand_values(self) -> None:
        """Raise what keeps the first matrix from being read, if none can be."""
        if self.matrices:
            return
        for source in self._sources():
            self._described(source)
        raise NoValues(PATH, ["X", "raw/X", "layers"])

    def genes(self, source: str) -> GeneTable:
        """The gene axis of the matrix at `source`."""
        self._matrix(source)
        var = self.adata.raw.var if source == "raw/X" else self.adata.var
        columns = {str(name): _plain(var[name]) for name in var.columns}
        strings = {name: values for name, values in columns.items() if values.dtype.kind == "U"}
        return GeneTable(_strings(var.index), strings)

    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: names of consecutive cells."""
        return _strings(self.adata.obs_names[start:stop])

    @property
    def obs_columns(self) -> Sequence[str]:
        """Names of the columns of obs."""
        return [str(name) for name in self.adata.obs.columns]

    def obs(self, column: str) -> AnyArray:
        """[cells]: one column of obs, categories decoded to strings."""
        if column not in self.adata.obs.columns:
            raise MissingKey(PATH, "obs", column, self.obs_columns)
        return _plain(self.adata.obs[column])

    @property
    def obsm_keys(self) -> Sequence[str]:
        """Names of the arrays of obsm."""
        return [str(name) for name in self.adata.obsm]

    def obsm(self, key: str) -> AnyArray:
        """[cells, dims]: one array of obsm; the numbers of a table side by side."""
        if key not in self.adata.obsm:
            raise MissingKey(PATH, "obsm", key, self.obsm_keys)
        values = self.adata.obsm[key]
        if _sparse_format(values):
            raise UnsupportedEncoding(PATH, f"obsm/{key}", "a sparse matrix or a mapping")
        values = np.asarray(values)
        if not is_number(values.dtype):
            raise UnsupportedEncoding(PATH, f"obsm/{key}", f"values of type {values.dtype}")
        return values.reshape(len(values), -1)

    @property
    def uns(self) -> Mapping[str, Any]:
        """The scalars and strings of uns, those of its mappings as `mapping/name` (two levels)."""
        return dict(_scalars(self.adata.uns, depth=3))

    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells of the matrix at `source`, in order, `cells` rows at a time."""
        described = self._described(source)
        matrix = self._matrix(source)
        if described.layout == "csc" and hasattr(matrix, "tocsr"):
            matrix = matrix.tocsr()  # in memory it is cheaper than slicing columns again and again
        return _sliced(matrix, self.cells, described.genes, cells, order)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to close: what was lent stays open."""

    def _sources(self) -> list[str]:
        adata = self.adata
        sources = ["X"] if self._x is not None else []
        if adata.raw is not None and adata.raw.X is not None:
            sources.append("raw/X")
        return [*sources, *(f"layers/{name}" for name in adata.layers)]

    @cached_property
    def _x(self) -> Any:
        """X, asked for once: a view makes a copy each time."""
        return self.adata.X

    def _matrix(self, source: str) -> Any:
        if source not in self._sources():
            if source in ("X", "raw/X"):
                raise NoValues(PATH, [source])
            layers = [str(name) for name in self.adata.layers]
            raise MissingKey(PATH, "layers", source.removeprefix("layers/"), layers)
        if source == "X":
            return self._x
        if source == "raw/X":
            return self.adata.raw.X
        return self.adata.layers[source.removeprefix("layers/")]

    def _described(self, source: str) -> Matrix:
        matrix = self._matrix(source)
        layout = _sparse_format(matrix)
        if layout is None and not _is_dense(matrix):
            kind = type(matrix)
            detail = f"a {kind.__module__}.{kind.__qualname__}; bring it into memory first"
            raise UnsupportedEncoding(PATH, source, detail)
        dtype = np.dtype(matrix.dtype)
        if not is_number(dtype):
            raise UnsupportedEncoding(PATH, source, f"values of type {dtype}")
        rows, genes = (int(length) for length in matrix.shape)
        entries = int(getattr(matrix, "nnz", 0)) if layout else rows * genes
        return Matrix(source, layout or "dense", genes, entries)


def _sliced(
    matrix: Any, rows: int, genes: int, cells: int, order: Sequence[int] | None
) -> Iterator[Block]:
    for start in starts(rows, cells, order):
        part = matrix[start : min(start + cells, rows)]
        if not hasattr(part, "tocsr"):
            yield dense.sparse(np.asarray(part), start)
            continue
        part = part.tocsr()
        yield Block(start, part.indptr.astype(np.int64), part.indices, part.data, genes)


def _sparse_format(matrix: Any) -> str | None:
    """`csr` or `csc` of SciPy's matrices and arrays and of anndata's backed ones."""
    layout = getattr(matrix, "format", None)
    return layout if layout in ("csr", "csc") else None


def _is_dense(matrix: Any) -> bool:
    """NumPy arrays, and the HDF5 or zarr arrays of a backed AnnData; not dask's."""
    home = type(matrix).__module__.split(".")[0]
    return isinstance(matrix, np.ndarray) or home in ("h5py", "zarr")


def _strings(index: Any) -> Strings:
    return np.asarray(index, dtype=object).astype(np.str_)


def _plain(series: Any) -> AnyArray:
    """A column of pandas as NumPy: missing strings empty, missing numbers NaN, as from a file."""
    if str(series.dtype) == "category":
        codes = np.asarray(series.cat.codes)
        categories = _plain(series.cat.categories.to_series())
        if not len(categories):
            return np.full(len(codes), "", dtype=np.str_)
        return _with_gaps(categories[np.maximum(codes, 0)], codes < 0)
    missing = np.asarray(series.isna(), dtype=bool)
    if series.dtype == object or str(series.dtype).startswith(("string", "str")):
        values = np.asarray(series, dtype=object).copy()
        values[missing] = ""
        return values.astype(np.str_)
    if isinstance(series.dtype, np.dtype):
        return np.asarray(series)
    numbers = getattr(series.dtype, "numpy_dtype", None)
    if not isinstance(numbers, np.dtype) or not is_number(numbers):  # dates, arrow's types
        return np.asarray(series, dtype=object).astype(np.str_)
    filled = series.to_numpy(dtype=numbers, na_value=numbers.type(0))
    return _with_gaps(filled, missing)


def _with_gaps(values: AnyArray, missing: AnyArray) -> AnyArray:
    if not missing.any():
        return values
    if values.dtype.kind == "U":
        return np.where(missing, "", values)
    return np.where(missing, np.nan, values.astype(np.float64))


def _scalars(mapping: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            if depth > 1:
                for inner, nested in _scalars(value, depth - 1):
                    yield f"{name}/{inner}", nested
        elif isinstance(value, np.generic):
            yield str(name), value.item()
        elif isinstance(value, str | int | float | bool):
            yield str(name), value
