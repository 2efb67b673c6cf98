"""SHA-256: the identity of files and of what was read from them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from zoo.block import Block


def sha256_of(content: bytes) -> str:
    """Hex sha256 of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def sha256_of_file(path: Path) -> str:
    """Hex sha256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ReadDigest:
    """Digest of the values of a data set as they are read, whatever the block size.

    The method's name is written beside the digest, so that anyone can repeat it: the sha256 of the
    concatenated hex sha256 of, in this order, the genes' names (UTF-8, each ended by a newline),
    the cells' names (likewise), the number of entries of each row (int64, little-endian), the
    column indices (int32) and the values (float32), rows in the file's order, entries as stored.
    """

    method = "cellzoo-read-1"

    def __init__(self, gene_names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> None:
        self._genes = hashlib.sha256(_lines(gene_names))
        self._cells, self._rows = hashlib.sha256(), hashlib.sha256()
        self._columns, self._values = hashlib.sha256(), hashlib.sha256()

    def update(self, block: Block, cell_names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> None:
        """Add consecutive cells."""
        self._cells.update(_lines(cell_names))
        self._rows.update(np.diff(block.indptr).astype("<i8", copy=False).data)
        self._columns.update(np.ascontiguousarray(block.indices, dtype="<i4").data)
        self._values.update(np.ascontiguousarray(block.data, dtype="<f4").data)

    def hexdigest(self) -> str:
        """Hex digest of all that was added so far."""
        parts = (self._genes, self._cells, self._rows, self._columns, self._values)
        return sha256_of("".join(part.hexdigest() for part in parts).encode())


def _lines(names: np.ndarray[tuple[int], np.dtype[np.str_]]) -> bytes:
    return "".join(f"{name}\n" for name in names).encode()
