"""A block: some consecutive cells of a file, in compressed sparse row (CSR) form."""

from __future__ import annotations

from dataclasses import dataclass

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
        Row of the block's first cell in the file.
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
