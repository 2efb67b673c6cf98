"""Compressed sparse columns: a bounded transpose, since its entries lie gene by gene."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from zoo.block import Block
from zoo.reading import transpose
from zoo.reading.csr import Compressed

PIECE_ENTRIES = 2**18


def blocks(matrix: Compressed, cells: int, order: Sequence[int] | None = None) -> Iterator[Block]:
    """Rows of a CSC matrix, `cells` at a time: see `zoo.reading.transpose` for memory and disk."""
    indptr = matrix.pointers()
    genes, rows = matrix.shape
    entries = int(indptr[-1])

    def row_pieces() -> Iterator[npt.NDArray[np.integer]]:
        with matrix.indices.stream() as indices:
            for first in range(0, entries, PIECE_ENTRIES):
                yield matrix.in_range(indices.read(first, min(first + PIECE_ENTRIES, entries)))

    def triplets() -> Iterator[transpose.Triplets]:
        with matrix.data.stream() as data:
            first = 0
            for row in row_pieces():
                last = first + len(row)
                # Entry k lies in the gene whose pointers enclose it; empty genes are stepped over.
                low = int(np.searchsorted(indptr, first, side="right")) - 1
                high = int(np.searchsorted(indptr, last, side="left"))
                edges = np.clip(indptr[low : high + 1], first, last)
                yield row, np.repeat(np.arange(low, high), np.diff(edges)), data.read(first, last)
                first = last

    counts = transpose.count(row_pieces(), rows)
    yield from transpose.blocks(triplets(), counts, genes, matrix.data.dtype, cells, order)
