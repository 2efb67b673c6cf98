"""Dense matrices: bands of rows that respect the chunks, turned into sparse blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from zoo.block import Block
from zoo.reading import transpose
from zoo.reading.dataset import starts
from zoo.reading.elements import AnyArray, Array

# A band of rows that is held in memory. Chunks whose rows make a larger band are inflated once,
# strip by strip, and laid out by rows on the disk.
BAND_BYTES = 2**25


def blocks(array: Array, cells: int, order: Sequence[int] | None = None) -> Iterator[Block]:
    """Rows of a dense matrix, `cells` at a time; zeros are left out, NaN is kept."""
    row_bytes = max(1, array.shape[1] * array.dtype.itemsize)
    height = array.chunks[0] if array.chunks else 1
    affordable = max(1, BAND_BYTES // row_bytes)
    if array.is_compressed and height > affordable and array.chunks is not None:
        yield from _by_strips(array, cells, order)
        return
    # Whole chunks where they fit, and about as much as a block needs.
    wanted = min(max(cells, height), affordable)
    band = max(1, wanted // height * height) if height <= affordable else affordable
    yield from _by_bands(array, cells, band, order)


def _by_bands(array: Array, cells: int, band: int, order: Sequence[int] | None) -> Iterator[Block]:
    rows, _ = array.shape
    held, first = array.read(0, min(band, rows)), 0
    for start in starts(rows, cells, order):
        stop = min(start + cells, rows)
        pieces = []
        at = start
        while at < stop:
            if not first <= at < first + len(held):
                first = at // band * band
                held = array.read(first, min(first + band, rows))
            end = min(stop, first + len(held))
            pieces.append(sparse(held[at - first : end - first], at))
            at = end
        yield joined(pieces)


def _by_strips(array: Array, cells: int, order: Sequence[int] | None) -> Iterator[Block]:
    """Chunks that are tall: each is inflated twice (to count, to lay out), never once per block."""
    rows, genes = array.shape
    height, width = array.chunks or (rows, genes)
    strip = max(width, BAND_BYTES // (height * array.dtype.itemsize) // width * width)

    def triplets() -> Iterator[transpose.Triplets]:
        for row in range(0, rows, height):
            for column in range(0, genes, strip):
                part = array.read(
                    row, min(row + height, rows), slice(column, min(column + strip, genes))
                )
                at, gene = np.nonzero(part)
                yield at + row, gene + column, part[at, gene]

    counts = transpose.count((row for row, _, _ in triplets()), rows)
    yield from transpose.blocks(triplets(), counts, genes, array.dtype, cells, order)


def sparse(values: AnyArray, start: int) -> Block:
    """Dense rows as a block that starts at row `start` of the file."""
    rows, columns = np.nonzero(values)
    indptr = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=len(values)), out=indptr[1:])
    return Block(start, indptr, columns.astype(np.int32), values[rows, columns], values.shape[1])


def joined(pieces: list[Block]) -> Block:
    """Blocks that follow each other as one."""
    if len(pieces) == 1:
        return pieces[0]
    ends = np.cumsum([0, *(piece.indptr[-1] for piece in pieces)])
    tails = [piece.indptr[1:] + end for piece, end in zip(pieces, ends, strict=False)]
    return Block(
        pieces[0].start,
        np.concatenate([np.zeros(1, np.int64), *tails]),
        np.concatenate([piece.indices for piece in pieces]),
        np.concatenate([piece.data for piece in pieces]),
        pieces[0].genes,
    )
