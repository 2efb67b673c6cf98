"""Entries in any order, given back by cell, within bounded memory.

A matrix that is stored by gene (CSC, or text sorted by gene) is passed over twice: once to `count`
the entries of each cell, once to lay them out. Cells are cut into partitions of about
`PARTITION_ENTRIES` entries; each entry is appended to its partition's region of one temporary
file, whose place is known from the counts. Then the partitions are read back one by one, and only
one is ever in memory. The temporary file has no name from the moment it is made, so it vanishes
when it is closed and when the process dies.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Int64
from zoo.errors import DiskFull
from zoo.reading.dataset import starts

PARTITION_ENTRIES = 2**20

# Rows, columns and values of some entries.
Triplets: TypeAlias = tuple[
    npt.NDArray[np.integer], npt.NDArray[np.integer], npt.NDArray[np.number]
]


def count(rows: Iterable[npt.NDArray[np.integer]], cells: int) -> Int64:
    """int64 [cells]: how often each row occurs."""
    counts = np.zeros(cells, dtype=np.int64)
    for row in rows:
        counts += np.bincount(row, minlength=cells)
    return counts


def blocks(
    triplets: Iterable[Triplets],
    counts: Int64,
    genes: int,
    dtype: np.dtype[Any],
    cells: int,
    order: Sequence[int] | None = None,
) -> Iterator[Block]:
    """Rows of a matrix whose entries come in any order, given how many each row has.

    Within a row, entries keep the order in which they came.

    Raises
    ------
    DiskFull

    """
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    bounds = _bounds(indptr, cells)
    row_type = np.int32 if len(counts) <= 2**31 else np.int64
    record = np.dtype([("row", row_type), ("column", np.int32), ("value", dtype)])
    with tempfile.TemporaryFile(prefix="cellzoo-") as file:
        _lay_out(file.fileno(), triplets, indptr[bounds], bounds, record)
        low = high = 0  # rows of the partition that is held
        for start in starts(len(counts), cells, order):
            if not low <= start < high:
                number = int(np.searchsorted(bounds, start, side="right")) - 1
                low, high = int(bounds[number]), int(bounds[number + 1])
                first, last = int(indptr[low]), int(indptr[high])
                part = _read(file.fileno(), first, last, record)
                within = (part["row"] - low).astype(_small(high - low))
                entries = np.argsort(within, kind="stable")
            stop = min(start + cells, high)
            begin, end = int(indptr[start]) - first, int(indptr[stop]) - first
            yield Block(
                start,
                indptr[start : stop + 1] - indptr[start],
                part["column"][entries[begin:end]],
                part["value"][entries[begin:end]],
                genes,
            )


def _bounds(indptr: Int64, cells: int) -> Int64:
    """First rows of the partitions, each a whole number of blocks, and the end."""
    rows = len(indptr) - 1
    edges = [0]
    for start in range(0, rows, cells):
        stop = min(start + cells, rows)
        if indptr[stop] - indptr[edges[-1]] > PARTITION_ENTRIES and start > edges[-1]:
            edges.append(start)
    return np.array([*edges, rows] if rows else [0, 0], dtype=np.int64)


def _lay_out(
    file: int,
    triplets: Iterable[Triplets],
    ends: Int64,
    bounds: Int64,
    record: np.dtype[Any],
) -> None:
    """Append each entry to the region of its partition."""
    written = ends.copy()
    count = len(bounds) - 1
    partition_of = np.repeat(np.arange(count, dtype=_small(count)), np.diff(bounds))
    for row, column, value in triplets:
        entries = np.empty(len(row), dtype=record)
        entries["row"], entries["column"], entries["value"] = row, column, value
        partition = partition_of[row]
        entries = entries[np.argsort(partition, kind="stable")]
        edges = np.concatenate([[0], np.cumsum(np.bincount(partition, minlength=count))])
        for number in np.flatnonzero(np.diff(edges)):
            part = entries[edges[number] : edges[number + 1]]
            _write(file, part, int(written[number]) * record.itemsize)
            written[number] += len(part)


def _small(count: int) -> type[np.unsignedinteger]:
    """A type for numbers below `count`: NumPy sorts 16 bits by radix, ten times as fast."""
    return np.uint16 if count <= 2**16 else np.uint64


def _write(file: int, part: npt.NDArray[Any], offset: int) -> None:
    rest = memoryview(part.tobytes())
    try:
        while rest:  # a write may be cut short, by a signal or at 2 GiB
            done = os.pwrite(file, rest, offset)
            rest, offset = rest[done:], offset + done
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        folder = tempfile.gettempdir()
        raise DiskFull(folder, shutil.disk_usage(folder).free) from error


def _read(file: int, first: int, last: int, record: np.dtype[Any]) -> npt.NDArray[Any]:
    part = np.empty(last - first, dtype=record)
    rest, offset = memoryview(part.data).cast("B"), first * record.itemsize
    while rest:
        done = os.preadv(file, [rest], offset)
        rest, offset = rest[done:], offset + done
    return part
