"""What every reader gives: a data set of cells by genes that is read block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from zoo.block import Block

Strings = npt.NDArray[np.str_]

DEFAULT_BLOCK_CELLS = 1024


def starts(rows: int, cells: int, order: Sequence[int] | None) -> Sequence[int]:
    """First rows of the blocks to give: all in order, or those of the numbers in `order`."""
    every = range(0, rows, cells)
    return every if order is None else [every[number] for number in order]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A matrix of cells by genes that the file offers.

    Attributes
    ----------
    source
        Where it lies: `X`, `raw/X` or `layers/<name>`.
    layout
        `csr`, `csc` or `dense`.
    genes
        Number of columns (raw may hold more genes than X).
    entries
        Stored entries of a sparse matrix, cells × genes of a dense one.

    """

    source: str
    layout: str
    genes: int
    entries: int


@dataclass(frozen=True)
class GeneTable:
    """The gene axis of one matrix.

    Attributes
    ----------
    index
        str [genes]: the names that the file itself uses (`var_names`).
    columns
        Other columns of `var` that hold strings, by name, each str [genes].

    """

    index: Strings
    columns: Mapping[str, Strings] = field(default_factory=dict)


class Dataset(Protocol):
    """Cells by genes, opened for reading; a context manager that closes what it opened.

    `path` is `<AnnData>` for one in memory.
    """

    @property
    def path(self) -> str:
        """Name shown to people."""

    @property
    def file_format(self) -> str:
        """`h5ad`, `10x_h5`, `mtx`, `zarr` or `anndata`."""

    @property
    def cells(self) -> int:
        """Number of cells."""

    @property
    def matrices(self) -> Sequence[Matrix]:
        """The matrices of the file in the order X, raw/X, layers."""

    def genes(self, source: str) -> GeneTable:
        """The gene axis of the matrix at `source`."""

    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: names of consecutive cells."""

    @property
    def obs_columns(self) -> Sequence[str]:
        """Names of the columns of obs."""

    def obs(self, column: str) -> npt.NDArray[Any]:
        """[cells]: one column of obs, categories decoded to strings.

        Raises
        ------
        MissingKey
            If there is no such column.

        """

    @property
    def obsm_keys(self) -> Sequence[str]:
        """Names of the arrays of obsm."""

    def obsm(self, key: str) -> npt.NDArray[Any]:
        """[cells, dims]: one array of obsm."""

    @property
    def uns(self) -> Mapping[str, Any]:
        """The scalars and strings of uns, those of its mappings as `mapping/name` (two levels)."""

    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells of the matrix at `source`, in order, `cells` rows at a time.

        With `order`, only the blocks of these numbers, in this order: block n begins at row
        `n * cells`.

        Entries come as stored: within a row, indices may be unsorted, values may be 0, and an
        index may repeat; repeated entries count together (`np.add.at`, never plain assignment).

        Raises
        ------
        NoValues, MissingKey
            If the file has no such matrix.
        CorruptMatrix, TruncatedFile, UnsupportedEncoding, UnsafeLink, DeclaredSize, DiskFull

        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
