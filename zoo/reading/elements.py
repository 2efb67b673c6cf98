"""Elements of a stored AnnData, whatever stores them: groups of named elements, and arrays.

HDF5 files (`zoo.reading.confined`) and zarr stores (`zoo.reading.zarr_store`) each give these two
forms; tables, sparse and dense matrices are read through them alone.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from zoo.errors import DeclaredSize, UnsupportedEncoding
from zoo.reading.dataset import Strings

AnyArray = npt.NDArray[Any]

# What is read in one piece (an index pointer, a column, an embedding) stays below this.
WHOLE_LIMIT = 2**30

# Strings are read this many at a time, and one string may have this many characters: many elements
# of an HDF5 file may point to one long string.
TEXT_ROWS = 1024
TEXT_LIMIT = 2**16


class Stream(Protocol):
    """A one-dimensional array that is read from front to back."""

    def read(self, start: int, stop: int) -> AnyArray:
        """[stop - start]: the values at `start:stop`; `start` never goes back."""


class Array(ABC):
    """A stored array; `key` is its place in the file and `path` the file, both for messages."""

    path: str
    key: str

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Type of the values; look at `is_text` before, since strings take several forms."""

    @property
    @abstractmethod
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of the pieces that are stored together, None when in one piece."""

    @property
    @abstractmethod
    def is_compressed(self) -> bool:
        """Whether a piece must be decompressed as a whole to read any of it."""

    @property
    @abstractmethod
    def is_text(self) -> bool:
        """Whether the values are strings."""

    @abstractmethod
    def attribute(self, name: str) -> Any:
        """An attribute, bytes decoded; None when absent."""

    @abstractmethod
    def read(self, start: int, stop: int, columns: slice = slice(None)) -> AnyArray:
        """Rows `start:stop` (and, of two axes, some columns); strings as numpy str."""

    @abstractmethod
    def scalar(self) -> Any:
        """The value of an array without axes."""

    @abstractmethod
    def field(self, name: str, start: int, stop: int) -> AnyArray:
        """[stop - start]: one field of a compound type."""

    @abstractmethod
    def stream(self) -> AbstractContextManager[Stream]:
        """One-dimensional values from front to back, as fast as the storage allows."""


class SteppedStream:
    """Values of an array from front to back, read by whole chunks so that none is read twice."""

    def __init__(self, array: Array) -> None:
        self.array = array
        self._step = array.chunks[0] if array.chunks else 1
        self._start, self._held = 0, np.empty(0, array.dtype)

    def read(self, start: int, stop: int) -> AnyArray:
        """[stop - start]: the values at `start:stop`; `start` never goes back."""
        end = self._start + len(self._held)
        if stop > end:
            length = self.array.shape[0]
            target = min(-(-stop // self._step) * self._step, length)
            begin = max(end, start // self._step * self._step)
            fresh = self.array.read(begin, target)
            kept = self._held[start - self._start :] if start < end else self._held[:0]
            self._held = np.concatenate([kept, fresh]) if len(kept) else fresh
            self._start = start if len(kept) else begin
        return self._held[start - self._start : stop - self._start]


class Group(ABC):
    """A stored mapping from names to elements."""

    path: str
    key: str

    @abstractmethod
    def attribute(self, name: str) -> Any:
        """An attribute, bytes decoded; None when absent."""

    @abstractmethod
    def members(self) -> Sequence[str]:
        """Names of the members."""

    @abstractmethod
    def get(self, key: str) -> Group | Array | None:
        """The element at `key` (names joined by `/`), None when absent."""


def array_at(group: Group, name: str) -> Array:
    """The array `name` of a group.

    Raises
    ------
    UnsupportedEncoding
        If it is absent or no array.

    """
    element = group.get(name)
    if not isinstance(element, Array):
        raise UnsupportedEncoding(group.path, group.key, f"it has no array {name!r}")
    return element


def is_number(dtype: np.dtype[Any]) -> bool:
    """Whether values of a type can be expression values: bool, integers, real floats to 64 bit."""
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def whole(array: Array) -> AnyArray:
    """All of a one- or two-dimensional array.

    Raises
    ------
    DeclaredSize
        If it would take more than `WHOLE_LIMIT` bytes.

    """
    size = math.prod(array.shape) * (4 if array.is_text else array.dtype.itemsize)
    if size > WHOLE_LIMIT:
        raise DeclaredSize(array.path, array.key, size, WHOLE_LIMIT)
    return array.read(0, array.shape[0])


def decode(values: AnyArray, path: str, key: str) -> Strings:
    """Bytes or str objects as a numpy str array.

    Bytes that are no UTF-8 become U+FFFD: old files hold Latin-1 here and there, and a name that
    cannot be spelled must not hide the cells.

    Raises
    ------
    DeclaredSize
        If a string is longer than `TEXT_LIMIT` characters.

    """
    texts = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.flat]
    longest = max(map(len, texts), default=0)
    if longest > TEXT_LIMIT:
        raise DeclaredSize(path, key, longest, TEXT_LIMIT)
    return np.array(texts, dtype=f"<U{max(longest, 1)}").reshape(values.shape)


def join_texts(pieces: list[Strings], path: str, key: str) -> Strings:
    """Pieces of a column of strings in one array.

    Raises
    ------
    DeclaredSize
        If one long string would widen the whole column beyond `WHOLE_LIMIT` bytes.

    """
    if not pieces:
        return np.empty(0, dtype="<U1")
    size = sum(map(len, pieces)) * max(piece.dtype.itemsize for piece in pieces)
    if size > WHOLE_LIMIT:
        raise DeclaredSize(path, key, size, WHOLE_LIMIT)
    return np.concatenate(pieces)
