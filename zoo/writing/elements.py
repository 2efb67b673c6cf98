"""AnnData's on-disk elements, written with h5py alone.

Source: https://anndata.readthedocs.io/en/latest/fileformat-prose.html (encoding versions as there).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

STRING = h5py.string_dtype("utf-8")


def write_mapping(parent: h5py.Group, name: str, values: Mapping[str, Any]) -> h5py.Group:
    """Write a mapping of scalars, strings, string lists and mappings (encoding `dict`)."""
    group = parent.create_group(name)
    set_encoding(group, "dict", "0.1.0")
    for key, value in values.items():
        if isinstance(value, Mapping):
            write_mapping(group, key, value)
        elif isinstance(value, (list, tuple)):
            write_strings(group, key, np.array([str(item) for item in value], dtype=object))
        elif value is not None:
            write_scalar(group, key, value)
    return group


def write_scalar(parent: h5py.Group, name: str, value: str | bool | int | float) -> None:
    """Write one string or number."""
    if isinstance(value, str):
        # A file name need not be UTF-8; what it cannot say is written as an escape.
        value = value.encode("utf-8", "backslashreplace").decode()
        dataset = parent.create_dataset(name, data=value, dtype=STRING)
        set_encoding(dataset, "string", "0.2.0")
    else:
        dataset = parent.create_dataset(name, data=value)
        set_encoding(dataset, "numeric-scalar", "0.2.0")


def write_strings(parent: h5py.Group, name: str, values: npt.NDArray[Any]) -> None:
    """Write a string array."""
    dataset = parent.create_dataset(name, data=values.astype(object), dtype=STRING)
    set_encoding(dataset, "string-array", "0.2.0")


def write_array(parent: h5py.Group, name: str, values: npt.NDArray[Any]) -> None:
    """Write a numeric array, compressed where that is worth it."""
    options = {"compression": "gzip", "compression_opts": 4} if values.size > 4096 else {}
    set_encoding(parent.create_dataset(name, data=values, **options), "array", "0.2.0")


def write_categorical(
    parent: h5py.Group, name: str, codes: npt.NDArray[np.integer], categories: Sequence[str]
) -> None:
    """Write a categorical column from codes in memory."""
    group = parent.create_group(name)
    set_encoding(group, "categorical", "0.2.0")
    group.attrs["ordered"] = False
    write_array(group, "codes", codes)
    write_strings(group, "categories", np.array(list(categories), dtype=object))


def create_frame(parent: h5py.Group, name: str) -> h5py.Group:
    """Begin a data frame; `finish_frame` names its columns."""
    group = parent.create_group(name)
    set_encoding(group, "dataframe", "0.2.0")
    return group


def finish_frame(group: h5py.Group, columns: Sequence[str], index: str = "_index") -> None:
    """Set the order of a data frame's columns and the name of its index."""
    group.attrs["_index"] = index
    # An empty list has no type of its own, and anndata expects strings.
    group.attrs.create("column-order", np.array(list(columns), dtype=object), dtype=STRING)


def write_frame(
    parent: h5py.Group, name: str, columns: Mapping[str, npt.NDArray[Any]]
) -> h5py.Group:
    """Write a whole data frame whose rows have no names of their own."""
    frame = create_frame(parent, name)
    rows = len(next(iter(columns.values()), []))
    write_strings(frame, "_index", np.arange(rows).astype(np.str_))
    for column, values in columns.items():
        if values.dtype.kind in "OU":
            write_strings(frame, column, values)
        else:
            write_array(frame, column, values)
    finish_frame(frame, list(columns))
    return frame


def copy_all(source: h5py.File, target: h5py.File) -> None:
    """Copy a file object by object, attributes of its root included."""
    for name, value in source.attrs.items():
        target.attrs[name] = value
    for name in source:
        source.copy(name, target)


def mapping_at(parent: h5py.Group, name: str) -> h5py.Group:
    """The mapping `name`, made if it is absent."""
    if name not in parent:
        set_encoding(parent.create_group(name), "dict", "0.1.0")
    return parent[name]


def columns_of(frame: h5py.Group) -> list[str]:
    """The names of a data frame's columns, in order."""
    return [str(name) for name in frame.attrs.get("column-order", [])]


def index_of(frame: h5py.Group) -> str:
    """The name of a data frame's index."""
    index = frame.attrs.get("_index", "_index")
    return index.decode() if isinstance(index, bytes) else str(index)


def set_encoding(element: h5py.Group | h5py.Dataset, kind: str, version: str) -> None:
    """Mark an element as anndata does."""
    element.attrs["encoding-type"] = kind
    element.attrs["encoding-version"] = version
