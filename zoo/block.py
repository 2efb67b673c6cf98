"""A block: some consecutive cells of a file, in compressed sparse row (CSR) form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive cells of one matrix, rows by genes, in CSR form.

    Attributes
    ----------
    start
        Row of the block's first cell in the file (of the first one taken, after `take`).
    indptr
        int64 [cells + 1]; row i holds entries `indptr[i]:indptr[i + 1]`, and `indptr[0] == 0`.
    indices
        int32 or int64 [entries]; column (gene of the file) of each entry, all in `[0, genes)`.
    data
        [entries], any real number type, as stored; may hold explicit zeros.
    genes
        Number of columns of the matrix.

    """

    start: int
    indptr: Int64
    indices: npt.NDArray[np.integer]
    data: npt.NDArray[np.number]
    genes: int

    @property
    def cells(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def rows(self) -> Int64:
        """int64 [entries]: the row within the block of each entry."""
        return np.repeat(np.arange(self.cells), np.diff(self.indptr))

    def sums(self) -> npt.NDArray[np.float64]:
        """float64 [cells]: the sum of each row."""
        sums = np.zeros(self.cells)
        filled = np.flatnonzero(np.diff(self.indptr))  # reduceat has no empty stretches
        if len(filled):
            sums[filled] = np.add.reduceat(self.data, self.indptr[filled], dtype=np.float64)
        return sums

    def take(self, rows: Int64) -> Block:
        """Some of the cells, in this order; `rows` are counted from 0 within the block."""
        lengths = np.diff(self.indptr)[rows]
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[rows] - indptr[:-1], lengths)
        start = self.start + (int(rows[0]) if len(rows) else 0)
        return Block(start, indptr, self.indices[entries], self.data[entries], self.genes)

    @classmethod
    def joined(cls, blocks: Sequence[Self]) -> Block:
        """Cells of several blocks of one matrix, one block after the other."""
        ends = np.cumsum([0, *(len(block.indices) for block in blocks)])
        indptr = [block.indptr[:-1] + end for block, end in zip(blocks, ends, strict=False)]
        return Block(
            blocks[0].start,
            np.concatenate([*indptr, ends[-1:]]).astype(np.int64),
            np.concatenate([block.indices for block in blocks]),
            np.concatenate([block.data for block in blocks]),
            blocks[0].genes,
        )
