"""Tables of an AnnData (obs, var): column by column, in every encoding that anndata has written.

    group     columns are members; `_index` names the index
              member: array · categorical · nullable-integer, -boolean, -string-array
                      legacy: integer codes beside `__categories/<column>` (anndata 0.7)
    compound  one array whose fields are the columns (anndata to 0.6); the categories of a coded
              column lie in `uns/<column>_categories`

Missing values: an empty string among strings, NaN among numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from zoo.errors import CorruptMatrix, MissingKey, UnsupportedEncoding
from zoo.reading.dataset import GeneTable, Strings
from zoo.reading.elements import AnyArray, Array, Group, array_at, whole

CATEGORIES = "__categories"


class Frame(Protocol):
    """A table with named rows."""

    rows: int
    columns: Sequence[str]

    def names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: the index of consecutive rows."""

    def column(self, name: str) -> AnyArray:
        """[rows]: one column, categories decoded.

        Raises
        ------
        MissingKey, UnsupportedEncoding, CorruptMatrix

        """


def frame_at(root: Group, key: str) -> Frame:
    """The table at `key`.

    Raises
    ------
    MissingKey, UnsupportedEncoding

    """
    element = root.get(key)
    if element is None:
        raise MissingKey(root.path, "the file", key, root.members())
    if isinstance(element, Group):
        return GroupFrame.of(element)
    if element.dtype.names:
        return CompoundFrame(element, root.get("uns"))
    raise UnsupportedEncoding(root.path, key, "neither a group nor a compound type")


def gene_table(frame: Frame) -> GeneTable:
    """A table of genes: its index and those columns that hold strings."""
    columns = {}
    for name in frame.columns:
        try:
            values = frame.column(name)
        except UnsupportedEncoding:  # a column that is no gene id need not be readable
            continue
        if values.dtype.kind == "U":
            columns[name] = values
    return GeneTable(frame.names(0, frame.rows), columns)


class GroupFrame:
    """A table whose columns are members of a group."""

    def __init__(
        self, group: Group, index: str, names: Group | Array, columns: Sequence[str]
    ) -> None:
        self.group, self.index, self.columns = group, index, columns
        self._index = names
        self.rows = _length(names)

    @classmethod
    def of(cls, group: Group) -> GroupFrame:
        """The table that a group holds.

        Raises
        ------
        MissingKey
            If it has no index.

        """
        members = group.members()
        index = str(group.attribute("_index") or ("_index" if "_index" in members else "index"))
        names = group.get(index)
        if names is None:
            raise MissingKey(group.path, group.key, index, members)
        order = group.attribute("column-order")
        # Without columns, anndata stores the order as an empty array of numbers.
        named = [str(name) for name in np.atleast_1d(order)] if order is not None else []
        missing = [name for name in members if name not in (*named, index, CATEGORIES)]
        return cls(group, index, names, [name for name in named if name in members] + missing)

    def names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: the index of consecutive rows."""
        return decoded(self._index, start, min(stop, self.rows)).astype(np.str_)

    def column(self, name: str) -> AnyArray:
        """[rows]: one column, categories decoded."""
        element = self.group.get(name) if name in (*self.columns, self.index) else None
        if element is None:
            raise MissingKey(self.group.path, self.group.key, name, self.columns)
        length = _length(element)
        if length != self.rows:
            detail = f"{length:,} values for {self.rows:,} rows"
            raise CorruptMatrix(self.group.path, element.key, detail)
        legacy = self.group.get(f"{CATEGORIES}/{name}")
        if isinstance(legacy, Array) and isinstance(element, Array):
            return categorical(element.read(0, length), whole(legacy), element.path, element.key)
        return decoded(element, 0, length)


class CompoundFrame:
    """A table that is one array of compound type; the index is its first field or `index`."""

    def __init__(self, array: Array, uns: Group | Array | None) -> None:
        self.array, self.uns = array, uns
        fields = list(array.dtype.names or ())
        self.index = next((name for name in ("index", "_index") if name in fields), fields[0])
        self.rows = array.shape[0]
        self.columns: Sequence[str] = [name for name in fields if name != self.index]

    def names(self, start: int, stop: int) -> Strings:
        """Str [stop - start]: the index of consecutive rows."""
        return self.array.field(self.index, start, min(stop, self.rows)).astype(np.str_)

    def column(self, name: str) -> AnyArray:
        """[rows]: one column, categories decoded."""
        if name not in (*self.columns, self.index):
            raise MissingKey(self.array.path, self.array.key, name, self.columns)
        values = self.array.field(name, 0, self.rows)
        categories = None
        if isinstance(self.uns, Group) and values.dtype.kind in "iu":
            categories = self.uns.get(f"{name}_categories")
        if not isinstance(categories, Array):
            return values
        key = f"{self.array.key}.{name}"
        return categorical(values, whole(categories), self.array.path, key)


def decoded(element: Group | Array, start: int, stop: int) -> AnyArray:
    """Rows `start:stop` of a column in any of today's encodings.

    Raises
    ------
    UnsupportedEncoding, CorruptMatrix

    """
    if isinstance(element, Array):
        if len(element.shape) != 1:
            detail = f"a column with {len(element.shape)} axes"
            raise UnsupportedEncoding(element.path, element.key, detail)
        return element.read(start, stop)
    read = _READERS.get(str(element.attribute("encoding-type")))
    if read is None:
        detail = f"a column encoded as {element.attribute('encoding-type')!r}"
        raise UnsupportedEncoding(element.path, element.key, detail)
    return read(element, start, stop)


def categorical(codes: AnyArray, categories: AnyArray, path: str, key: str) -> AnyArray:
    """Categories by their codes; a negative code is missing.

    Raises
    ------
    CorruptMatrix
        If a code has no category.

    """
    codes = codes.astype(np.int64)
    if len(codes) and codes.max(initial=-1) >= len(categories):
        detail = f"code {codes.max()} where there are {len(categories):,} categories"
        raise CorruptMatrix(path, key, detail)
    if not len(categories):
        return np.full(len(codes), "", dtype=np.str_)
    return _masked(categories[np.maximum(codes, 0)], codes < 0)


def _read_categorical(group: Group, start: int, stop: int) -> AnyArray:
    codes = array_at(group, "codes").read(start, stop)
    categories = group.get("categories")
    if categories is None:
        raise UnsupportedEncoding(group.path, group.key, "it has no categories")
    return categorical(codes, decoded(categories, 0, _length(categories)), group.path, group.key)


def _read_nullable(group: Group, start: int, stop: int) -> AnyArray:
    values = array_at(group, "values").read(start, stop)
    mask = array_at(group, "mask").read(start, stop).astype(bool)
    if len(mask) != len(values):
        detail = f"{len(mask):,} marks for {len(values):,} values"
        raise CorruptMatrix(group.path, group.key, detail)
    return _masked(values, mask)


_READERS: dict[str, Callable[[Group, int, int], AnyArray]] = {
    "categorical": _read_categorical,
    "nullable-integer": _read_nullable,
    "nullable-boolean": _read_nullable,
    "nullable-string-array": _read_nullable,
}


def _masked(values: AnyArray, missing: AnyArray) -> AnyArray:
    """Values with a gap where one is missing."""
    if not missing.any():
        return values
    if values.dtype.kind == "U":
        return np.where(missing, "", values)
    return np.where(missing, np.nan, values.astype(np.float64))


def _length(element: Group | Array) -> int:
    """Number of rows of a column."""
    if isinstance(element, Array):
        return element.shape[0] if element.shape else 0
    name = "codes" if element.get("codes") is not None else "values"
    return array_at(element, name).shape[0]
