"""Compressed sparse rows: blocks of cells straight from the stored arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Int64
from zoo.errors import CorruptMatrix, UnsupportedEncoding
from zoo.reading.dataset import starts
from zoo.reading.elements import AnyArray, Array, Group, Stream, array_at, is_number, whole


@dataclass(frozen=True)
class Compressed:
    """A matrix stored as `data`, `indices` and `indptr`; `shape` is (major, minor) axis lengths.

    The major axis is the one that `indptr` runs along: cells of a CSR matrix, genes of a CSC one.
    """

    path: str
    key: str
    data: Array
    indices: Array
    indptr: Array
    shape: tuple[int, int]

    @classmethod
    def of(cls, group: Group, shape: tuple[int, int]) -> Compressed:
        """The three arrays of a group, with types that can be a matrix.

        Raises
        ------
        UnsupportedEncoding, CorruptMatrix

        """
        data, indices, indptr = (array_at(group, name) for name in ("data", "indices", "indptr"))
        for array in (data, indices, indptr):
            if len(array.shape) != 1:
                raise UnsupportedEncoding(group.path, array.key, f"{len(array.shape)} axes, not 1")
        if data.is_text or not is_number(data.dtype):
            raise UnsupportedEncoding(group.path, data.key, f"values of type {data.dtype}")
        for array in (indices, indptr):
            if array.is_text or array.dtype.kind not in "iu":
                raise UnsupportedEncoding(group.path, array.key, f"positions of type {array.dtype}")
        if len(data.shape) and data.shape[0] != indices.shape[0]:
            detail = f"{data.shape[0]:,} values for {indices.shape[0]:,} indices"
            raise CorruptMatrix(group.path, group.key, detail)
        return cls(group.path, group.key, data, indices, indptr, shape)

    @property
    def entries(self) -> int:
        """Number of stored entries."""
        return self.data.shape[0]

    def pointers(self) -> Int64:
        """int64 [major + 1]: `indptr`, read whole and proved to start at 0 and never decrease.

        Raises
        ------
        CorruptMatrix

        """
        if self.indptr.shape[0] != self.shape[0] + 1:
            detail = f"indptr has {self.indptr.shape[0]:,} values for {self.shape[0]:,} rows"
            raise CorruptMatrix(self.path, self.key, detail)
        indptr = whole(self.indptr).astype(np.int64, copy=False)
        if indptr[0] != 0:
            raise CorruptMatrix(self.path, self.key, f"indptr starts at {indptr[0]}, not at 0")
        steps = np.diff(indptr)
        if (steps < 0).any():
            row = int(np.argmax(steps < 0))
            raise CorruptMatrix(self.path, self.key, f"indptr decreases at row {row:,}")
        if indptr[-1] > self.entries:
            detail = f"indptr ends at {indptr[-1]:,}, but {self.entries:,} entries are stored"
            raise CorruptMatrix(self.path, self.key, detail)
        return indptr

    def in_range(self, indices: AnyArray) -> npt.NDArray[np.integer]:
        """Positions on the minor axis as int32 or int64, proved to lie on it.

        Raises
        ------
        CorruptMatrix

        """
        if len(indices):
            low, high = int(indices.min()), int(indices.max())
            if low < 0 or high >= self.shape[1]:
                detail = f"index {low if low < 0 else high} is outside 0…{self.shape[1] - 1:,}"
                raise CorruptMatrix(self.path, self.key, detail)
        if indices.dtype in (np.dtype(np.int32), np.dtype(np.int64)):
            return indices
        return indices.astype(np.int32 if self.shape[1] <= 2**31 else np.int64)


def blocks(
    matrix: Compressed,
    cells: int,
    *,
    keep: npt.NDArray[np.bool_] | None = None,
    order: Sequence[int] | None = None,
) -> Iterator[Block]:
    """Rows of a CSR matrix, `cells` at a time; indices may be unsorted or repeat.

    `keep` bool [minor] leaves only some columns, numbered anew. Blocks in an `order` of their own
    are each read by themselves: a stream only goes forward.
    """
    indptr = matrix.pointers()
    renumbered = None if keep is None else (np.cumsum(keep) - 1).astype(np.int32)
    genes = matrix.shape[1] if keep is None else int(keep.sum())
    with ExitStack() as stack:
        data: Array | Stream = matrix.data
        indices: Array | Stream = matrix.indices
        if order is None:
            data = stack.enter_context(matrix.data.stream())
            indices = stack.enter_context(matrix.indices.stream())
        for start in starts(matrix.shape[0], cells, order):
            stop = min(start + cells, matrix.shape[0])
            first, last = int(indptr[start]), int(indptr[stop])
            columns = matrix.in_range(indices.read(first, last))
            values = data.read(first, last)
            pointer = indptr[start : stop + 1] - first
            if keep is not None and renumbered is not None:
                kept = keep[columns]
                pointer = np.concatenate([[0], np.cumsum(kept)])[pointer]
                columns, values = renumbered[columns[kept]], values[kept]
            yield Block(start, pointer, columns, values, genes)
