"""Folders with `matrix.mtx(.gz)`, `features.tsv(.gz)` or `genes.tsv(.gz)`, and `barcodes.tsv(.gz)`.

Cell Ranger writes genes × cells, cell after cell, so the text is streamed: nothing but the current
block is held. Text whose first piece is in another order (R and SciPy write such) is passed over
twice and laid out by cell on the disk: see `zoo.reading.transpose`. File names may carry a common
prefix, as they do on GEO.
"""

from __future__ import annotations

import gzip
import os
import warnings
import zlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from zoo.block import Block
from zoo.errors import (
    CorruptMatrix,
    DeclaredSize,
    FileMissing,
    TruncatedFile,
    UnsupportedEncoding,
)
from zoo.reading import transpose
from zoo.reading.dataset import DEFAULT_BLOCK_CELLS, Strings
from zoo.reading.elements import TEXT_LIMIT, decode
from zoo.reading.feature_barcode import TYPES, FeatureBarcodeMatrix, Features
from zoo.reading.transpose import Triplets

PIECE = 2**22  # bytes of text that are parsed at once
AXIS_LIMIT = 2**31
FEATURE_LIMIT = 10_000_000
FIELDS: dict[str, np.dtype[Any]] = {
    "integer": np.dtype(np.int64),
    "real": np.dtype(np.float64),
    "pattern": np.dtype(np.int8),
}


def matrix_file(folder: str) -> Path | None:
    """The Matrix Market file of a folder, if there is one and only one."""
    for name in ("matrix.mtx", "matrix.mtx.gz"):
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    found = [*Path(folder).glob("*matrix.mtx"), *Path(folder).glob("*matrix.mtx.gz")]
    return found[0] if len(found) == 1 else None


@contextmanager
def text(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a text file, gunzipped if its name ends in `.gz`.

    Raises
    ------
    TruncatedFile

    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            yield cast(BinaryIO, file)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TruncatedFile(str(path), str(error)) from error


class MatrixMarketFolder(FeatureBarcodeMatrix):
    """A folder with a matrix, its features and its barcodes, all as text."""

    file_format = "mtx"

    def __init__(
        self, folder: str, matrix: Path, header: Header, features: Features, barcodes: Lines
    ) -> None:
        self.path, self.features = folder, features
        self._matrix, self._header, self._barcodes = matrix, header, barcodes
        # A square matrix could be either; genes × cells is what everyone writes.
        self._is_by_gene = header.rows == features.total
        self.cells = header.columns if self._is_by_gene else header.rows
        self.entries, self.close = header.entries, barcodes.close

    @classmethod
    def read(cls, folder: str, matrix: Path) -> MatrixMarketFolder:
        """Read sizes and features, and prove that features and barcodes fit the matrix.

        Raises
        ------
        FileMissing, CorruptMatrix, UnsupportedEncoding, TruncatedFile, DeclaredSize, NoValues

        """
        prefix = matrix.name[: matrix.name.index("matrix.mtx")]
        table = _beside(matrix, prefix, ("features.tsv", "genes.tsv"))
        barcodes = Lines(_beside(matrix, prefix, ("barcodes.tsv",)))
        header = Header.read(matrix)
        ids, columns = _read_features(table)
        if len(ids) not in (header.rows, header.columns):
            detail = (
                f"{header.rows:,} × {header.columns:,} where {table.name} has {len(ids):,} lines"
            )
            raise CorruptMatrix(folder, matrix.name, detail)
        opened = cls(folder, matrix, header, Features.of(folder, ids, columns), barcodes)
        named = barcodes.count()
        if named != opened.cells:
            detail = f"{opened.cells:,} cells where {barcodes.path.name} has {named:,} lines"
            raise CorruptMatrix(folder, matrix.name, detail)
        return opened

    def cell_names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: consecutive barcodes; quick if asked in order."""
        return self._barcodes.read(start, min(stop, self.cells))

    def blocks(
        self,
        source: str,
        *,
        cells: int = DEFAULT_BLOCK_CELLS,
        order: Sequence[int] | None = None,
    ) -> Iterator[Block]:
        """All cells in order, `cells` rows at a time; features that are no genes are left out."""
        self.demand(source)
        genes = len(self.features.genes.index)
        first, _, _ = next(self._triplets(), (np.empty(0, np.int64),) * 3)
        if order is None and (np.diff(first) >= 0).all():
            return self._streamed(cells, genes)
        counts = transpose.count((row for row, _, _ in self._triplets()), self.cells)
        dtype = FIELDS[self._header.field]
        return transpose.blocks(self._triplets(), counts, genes, dtype, cells, order)

    def _streamed(self, cells: int, genes: int) -> Iterator[Block]:
        """Blocks of entries that come cell after cell."""
        held = [np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, self._dtype)]
        start = 0
        for triplet in self._triplets():
            row = triplet[0]
            low = int(row[0]) if len(row) else start
            last = int(held[0][-1]) if len(held[0]) else start
            if (np.diff(row) < 0).any() or low < last:
                detail = "it begins sorted by cell, but later entries are not"
                raise CorruptMatrix(self.path, self._matrix.name, detail)
            held = [np.concatenate([old, new]) for old, new in zip(held, triplet, strict=True)]
            while len(held[0]) and held[0][-1] >= start + cells:
                end = int(np.searchsorted(held[0], start + cells))
                yield _block(start, cells, [part[:end] for part in held], genes)
                held, start = [part[end:] for part in held], start + cells
        for begin in range(start, self.cells, cells):
            stop = min(begin + cells, self.cells)
            end = int(np.searchsorted(held[0], stop))
            yield _block(begin, stop - begin, [part[:end] for part in held], genes)
            held = [part[end:] for part in held]

    @property
    def _dtype(self) -> np.dtype[Any]:
        return FIELDS[self._header.field]

    def _triplets(self) -> Iterator[Triplets]:
        """Cells, genes and values as they come in the text."""
        keep = self.features.keep
        renumbered = None if keep is None else np.cumsum(keep) - 1
        for row, column, values in self._entries():
            gene, cell = (row, column) if self._is_by_gene else (column, row)
            if keep is not None and renumbered is not None:
                kept = keep[gene]
                gene, cell, values = renumbered[gene[kept]], cell[kept], values[kept]
            yield cell, gene, values

    def _entries(self) -> Iterator[Triplets]:
        header, seen = self._header, 0
        with text(self._matrix) as file:
            _skip_header(file)
            rest = b""
            while piece := file.read(PIECE):
                whole_lines, newline, tail = (rest + piece).rpartition(b"\n")
                rest = tail
                if newline:
                    found = self._parsed(whole_lines)
                    seen += len(found[0])
                    yield found
            if rest.strip():
                found = self._parsed(rest)
                seen += len(found[0])
                yield found
        if seen != header.entries:
            detail = f"{seen:,} of {header.entries:,} entries"
            raise TruncatedFile(str(self._matrix), detail)

    def _parsed(self, lines: bytes) -> Triplets:
        """Zero-based rows and columns, and values."""
        width = 2 if self._header.field == "pattern" else 3
        dtype = np.float64 if self._header.field == "real" else np.int64
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older NumPy's "no number here"
            try:
                numbers = np.fromstring(lines, dtype=dtype, sep=" ")
            except (ValueError, DeprecationWarning) as error:
                detail = "a line is not 'row column value'"
                raise CorruptMatrix(self.path, self._matrix.name, detail) from error
        if len(numbers) % width:
            detail = "a line is not 'row column value'"
            raise CorruptMatrix(self.path, self._matrix.name, detail)
        table = numbers.reshape(-1, width)
        places = []
        for axis, length in enumerate((self._header.rows, self._header.columns)):
            place = table[:, axis]
            if not ((place >= 1) & (place <= length) & (np.trunc(place) == place)).all():
                detail = f"a position on axis {axis + 1} is outside 1…{length:,}"
                raise CorruptMatrix(self.path, self._matrix.name, detail)
            places.append(place.astype(np.int64) - 1)
        values = table[:, 2] if width == 3 else np.ones(len(table))
        return places[0], places[1], values.astype(self._dtype)


@dataclass(frozen=True)
class Header:
    """The first lines of a Matrix Market file."""

    field: str
    rows: int
    columns: int
    entries: int

    @classmethod
    def read(cls, path: Path) -> Header:
        """Banner and size line.

        Raises
        ------
        UnsupportedEncoding, TruncatedFile, DeclaredSize

        """
        with text(path) as file:
            banner, sizes = _skip_header(file)
        words = banner.decode("ascii", "replace").lower().split()
        if words[:3] != ["%%matrixmarket", "matrix", "coordinate"] or len(words) < 5:
            raise UnsupportedEncoding(str(path), "its first line", f"{' '.join(words)[:80]!r}")
        if words[3] not in FIELDS or words[4] != "general":
            raise UnsupportedEncoding(str(path), "its first line", f"{words[3]} {words[4]}")
        try:
            rows, columns, entries = (int(word) for word in sizes.split())
        except ValueError as error:
            raise TruncatedFile(str(path), "it has no line with its sizes") from error
        for length in (rows, columns):
            if not 0 <= length <= AXIS_LIMIT:
                raise DeclaredSize(str(path), "its size line", length, AXIS_LIMIT)
        return cls(words[3], rows, columns, entries)


def _skip_header(file: BinaryIO) -> tuple[bytes, bytes]:
    """The banner and the size line; the file stands at the first entry after it."""
    banner = line = file.readline(TEXT_LIMIT)
    while line.startswith(b"%") or (line and not line.strip()):
        line = file.readline(TEXT_LIMIT)
    return banner, line


class Lines:
    """First columns of the lines of a text file, by range; going back reads from the start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = self._from_start()  # a generator: the file is opened by the first read
        self._at = 0

    def count(self) -> int:
        """Number of lines."""
        return sum(1 for _ in self._from_start())

    def read(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: the lines `start:stop`."""
        if start < self._at:
            self.close()
            self._lines, self._at = self._from_start(), 0
        names = []
        for line in self._lines:
            self._at += 1
            if self._at > start:
                names.append(line.split(b"\t")[0].strip(b'\r\n"'))
            if self._at >= stop:
                break
        return decode(np.array(names, dtype=object), str(self.path), "barcodes")

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def _from_start(self) -> Generator[bytes, None, None]:
        with text(self.path) as file:
            while line := file.readline(TEXT_LIMIT):
                yield line


def _read_features(path: Path) -> tuple[Strings, dict[str, Strings]]:
    """Ids; symbols and types where the file has these columns."""
    table: list[list[bytes]] = []
    with text(path) as file:
        while line := file.readline(TEXT_LIMIT):
            table.append([word.strip(b'"') for word in line.rstrip(b"\r\n").split(b"\t")])
            if len(table) > FEATURE_LIMIT:
                raise DeclaredSize(str(path), "features", len(table), FEATURE_LIMIT)
    width = min((len(words) for words in table), default=0)
    columns: list[Strings] = [
        decode(np.array([words[n] for words in table], dtype=object), str(path), "features")
        for n in range(min(width, 3))
    ]
    if not columns:
        return np.empty(0, dtype="<U1"), {}
    return columns[0], dict(zip(("gene_symbols", TYPES), columns[1:], strict=False))


def _beside(matrix: Path, prefix: str, names: tuple[str, ...]) -> Path:
    """A companion of the matrix, zipped or not."""
    for name in names:
        for suffix in ("", ".gz"):
            path = matrix.parent / f"{prefix}{name}{suffix}"
            if path.is_file():
                return path
    raise FileMissing(os.fspath(matrix.parent / f"{prefix}{names[0]}"))


def _block(start: int, cells: int, parts: list[npt.NDArray[np.number]], genes: int) -> Block:
    row, column, values = parts
    indptr = np.searchsorted(row, np.arange(start, start + cells + 1)).astype(np.int64)
    return Block(start, indptr, column.astype(np.int32), values, genes)
