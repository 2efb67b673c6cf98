"""Rows of single cells on the gene axis of a model, kept sparse until they become a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Float32, Int64


@dataclass(frozen=True)
class CellRows:
    """Some cells, in any order.

    Attributes
    ----------
    row
        int64 [cells]: row of each cell in the file.
    indptr
        int64 [cells + 1], as in CSR.
    gene
        int32 [entries]: column of the model's axis; may repeat within a cell.
    value
        float32 [entries]: counts.

    """

    row: Int64
    indptr: Int64
    gene: npt.NDArray[np.int32]
    value: Float32

    @classmethod
    def of(cls, block: Block, position: npt.NDArray[np.int32]) -> CellRows:
        """The cells of a block; `position` int32 [genes of the file], -1 where none is wanted."""
        gene = position[block.indices]
        known = gene >= 0
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(known)])[block.indptr]
        value = block.data[known].astype(np.float32, copy=False)
        return cls(np.arange(block.start, block.start + block.cells), indptr, gene[known], value)

    @classmethod
    def joined(cls, pieces: Sequence[CellRows]) -> CellRows:
        """Pieces one after the other."""
        lengths = np.concatenate([np.diff(piece.indptr) for piece in pieces])
        return cls(
            np.concatenate([piece.row for piece in pieces]),
            np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
            np.concatenate([piece.gene for piece in pieces]),
            np.concatenate([piece.value for piece in pieces]),
        )

    def __len__(self) -> int:
        return len(self.row)

    def take(self, order: Int64) -> CellRows:
        """Cells by their position here, in this order."""
        lengths = np.diff(self.indptr)[order]
        indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        entries = np.arange(indptr[-1]) + np.repeat(self.indptr[order] - indptr[:-1], lengths)
        return CellRows(self.row[order], indptr, self.gene[entries], self.value[entries])

    def counts(self, genes: int) -> Float32:
        """float32 [cells, genes]: entries of one gene that repeat within a cell are summed."""
        counts = np.zeros(len(self) * genes, dtype=np.float32)
        start = np.repeat(np.arange(len(self)) * genes, np.diff(self.indptr))
        np.add.at(counts, start + self.gene, self.value)
        return counts.reshape(len(self), genes)
