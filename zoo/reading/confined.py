"""HDF5 elements that lie in the file itself, with believable sizes.

HDF5 follows links to any file of the machine, takes data from external files, and lets a file of
1 KB declare 2^62 values. Everything that CellZoo reads of an HDF5 file comes through here:

- A sweep at opening looks at every link and data set. External and user-defined links, external
  storage and virtual data sets are refused by name, wherever they lie: what is copied into a
  result must be clean too.
- Soft links are followed by hand, within the file, for at most `HOPS` steps.
- A contiguous array may not declare more bytes than the file has; a chunked one no more than
  `UNWRITTEN` + twice the chunks that were written; no chunk may exceed `CHUNK_LIMIT`.

Links are looked at with the low-level calls: `name in group` and `group.get` would already open
an external file.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import h5py
import numpy as np

from zoo.errors import (
    DeclaredSize,
    NotHdf5,
    TruncatedFile,
    UnsafeLink,
    UnsupportedEncoding,
    ZooError,
)
from zoo.reading import inflate
from zoo.reading.dataset import Strings
from zoo.reading.elements import (
    TEXT_ROWS,
    AnyArray,
    Array,
    Group,
    SteppedStream,
    Stream,
    decode,
    is_number,
    join_texts,
)

HOPS = 16
OBJECTS = 1_000_000
CHUNK_LIMIT = 2**30
UNWRITTEN = 2**26
ATTRIBUTE_LIMIT = 2**24


@contextmanager
def damage_named(path: str, key: str) -> Iterator[None]:
    """Turn HDF5's own complaints about a damaged file into `TruncatedFile`."""
    try:
        yield
    except ZooError:
        raise
    except TypeError as error:  # a type of HDF5 that NumPy has no word for
        raise UnsupportedEncoding(path, key, str(error)) from error
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        detail = str(error.args[0] if error.args else error).rstrip(".")
        raise TruncatedFile(path, f"{key}: {detail}") from error


@contextmanager
def opened(path: str) -> Iterator[ConfinedGroup]:
    """The root of an HDF5 file, swept for what reaches outside.

    Raises
    ------
    NotHdf5, TruncatedFile, UnsafeLink, DeclaredSize

    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        if "signature not found" in str(error):
            raise NotHdf5(path) from error
        raise TruncatedFile(path, str(error).rstrip(".")) from error
    with file:
        with damage_named(path, "/"):
            root = ConfinedGroup(file["/"], path, "/", os.path.getsize(path))
            root.sweep()
        yield root


class Confined:
    """What groups and arrays share: their place and their attributes."""

    def __init__(
        self, element: h5py.Group | h5py.Dataset, path: str, key: str, file_size: int
    ) -> None:
        self.element, self.path, self.key, self.file_size = element, path, key, file_size

    def attribute(self, name: str) -> Any:
        """An attribute, bytes decoded; None when absent or empty."""
        attributes = self.element.attrs
        with damage_named(self.path, f"{self.key}@{name}"):
            if name not in attributes:
                return None
            stored = attributes.get_id(name)
            size = math.prod(stored.shape) * stored.dtype.itemsize
            if size > ATTRIBUTE_LIMIT:
                raise DeclaredSize(self.path, f"{self.key}@{name}", size, ATTRIBUTE_LIMIT)
            value = attributes[name]
        if isinstance(value, h5py.Empty):
            return None
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        if isinstance(value, np.ndarray) and value.dtype.kind in "OS":
            return decode(value, self.path, f"{self.key}@{name}")
        return value


class ConfinedGroup(Confined, Group):
    """A group of an HDF5 file."""

    def members(self) -> Sequence[str]:
        """Names of the members."""
        with damage_named(self.path, self.key):
            return [name.decode("utf-8", "replace") for name in _names(self.element)]

    def get(self, key: str) -> ConfinedGroup | ConfinedArray | None:
        """The element at `key`, None when absent.

        Raises
        ------
        UnsafeLink, DeclaredSize, UnsupportedEncoding, TruncatedFile

        """
        place = f"{self.key.rstrip('/')}/{key}".lstrip("/")
        with damage_named(self.path, place):
            found = self._walk(self.element, key.encode(), place, _Hops(HOPS))
            if found is None:
                return None
            if isinstance(found, h5py.Group):
                return ConfinedGroup(found, self.path, place, self.file_size)
            if not isinstance(found, h5py.Dataset):
                raise UnsupportedEncoding(self.path, place, "a named type, without values")
            array = ConfinedArray(found, self.path, place, self.file_size)
            array.check()
            return array

    def sweep(self) -> None:
        """Refuse the file if any link or data set in it reaches outside."""
        waiting: list[tuple[h5py.Group, str]] = [(self.element, "")]
        seen: set[int] = set()
        while waiting:
            group, place = waiting.pop()
            for name in _names(group):
                key = f"{place}/{name.decode('utf-8', 'replace')}".lstrip("/")
                kind = group.id.links.get_info(name).type
                if kind == h5py.h5l.TYPE_SOFT:
                    self._walk(group, name, key, _Hops(HOPS))
                    continue
                element = self._step(group, name, key, _Hops(HOPS))
                address = h5py.h5o.get_info(element.id).addr
                if address in seen:
                    continue
                seen.add(address)
                if len(seen) > OBJECTS:
                    raise DeclaredSize(self.path, key, len(seen), OBJECTS)
                if isinstance(element, h5py.Group):
                    waiting.append((element, key))
                elif isinstance(element, h5py.Dataset):
                    _refuse_outside_storage(element, self.path, key)

    def _walk(self, start: h5py.Group, key: bytes, place: str, hops: _Hops) -> Any:
        """Follow `key` name by name from `start`, never through HDF5's own path resolution."""
        element: Any = start.file["/"] if key.startswith(b"/") else start
        for name in key.split(b"/"):
            if name in (b"", b"."):
                continue
            if not isinstance(element, h5py.Group) or not element.id.links.exists(name):
                return None
            element = self._step(element, name, place, hops)
        return element

    def _step(self, group: h5py.Group, name: bytes, place: str, hops: _Hops) -> Any:
        """The object behind one link of a group."""
        kind = group.id.links.get_info(name).type
        if kind == h5py.h5l.TYPE_HARD:
            return _object(h5py.h5o.open(group.id, name))
        if kind == h5py.h5l.TYPE_SOFT:
            target = group.id.links.get_val(name)
            if hops.left == 0:
                shown = target.decode("utf-8", "replace")
                raise UnsafeLink(self.path, place, "a soft link in a circle", shown)
            hops.left -= 1
            return self._walk(group, target, place, hops)
        if kind == h5py.h5l.TYPE_EXTERNAL:
            file, target = group.id.links.get_val(name)
            shown = f"{os.fsdecode(file)}:{target.decode('utf-8', 'replace')}"
            raise UnsafeLink(self.path, place, "an external link", shown)
        raise UnsafeLink(self.path, place, "a user-defined link", f"kind {kind}")


class ConfinedArray(Confined, Array):
    """A data set of an HDF5 file."""

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; an empty data set has none."""
        return self.element.shape or ()

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values, in the machine's byte order."""
        dtype: np.dtype[Any] = self.element.dtype
        return dtype.newbyteorder("=") if dtype.kind in "iuf" else dtype

    @cached_property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of a chunk, None when contiguous."""
        chunks: tuple[int, ...] | None = self.element.chunks
        return chunks

    @cached_property
    def is_compressed(self) -> bool:
        """Whether chunks pass through filters."""
        return bool(self.element.id.get_create_plist().get_nfilters())

    @cached_property
    def is_text(self) -> bool:
        """Whether the values are strings of fixed or variable length."""
        return h5py.check_string_dtype(self.element.dtype) is not None

    def check(self) -> None:
        """Refuse storage outside the file, unknown filters and sizes that cannot be true."""
        _refuse_outside_storage(self.element, self.path, self.key)
        dcpl = self.element.id.get_create_plist()
        for number in range(dcpl.get_nfilters()):
            code, _, _, name = dcpl.get_filter(number)
            if not h5py.h5z.filter_avail(code):
                shown = name.decode("utf-8", "replace") or "unnamed"
                detail = f"its compression (HDF5 filter {code}, {shown}) is not part of HDF5"
                raise UnsupportedEncoding(self.path, self.key, detail)
        item = self.element.dtype.itemsize
        declared = item * math.prod(self.shape)
        if self.chunks is None:
            if declared > self.file_size:
                raise DeclaredSize(self.path, self.key, declared, self.file_size)
            return
        chunk = item * math.prod(self.chunks)
        if chunk > CHUNK_LIMIT:
            raise DeclaredSize(self.path, self.key, chunk, CHUNK_LIMIT)
        if declared > UNWRITTEN:
            limit = UNWRITTEN + 2 * chunk * self.element.id.get_num_chunks()
            if declared > limit:
                raise DeclaredSize(self.path, self.key, declared, limit)

    def read(self, start: int, stop: int, columns: slice = slice(None)) -> AnyArray:
        """Rows `start:stop`; strings as numpy str, numbers in the machine's byte order."""
        if self.is_text:
            return self._texts(start, stop)
        if not is_number(self.dtype):
            raise UnsupportedEncoding(self.path, self.key, f"values of type {self.dtype}")
        place = (slice(start, stop), columns) if len(self.shape) > 1 else slice(start, stop)
        with damage_named(self.path, self.key):
            values: AnyArray = self.element[place]
        return values.astype(self.dtype, copy=False)

    def scalar(self) -> Any:
        """The value of a data set without axes, None when empty."""
        with damage_named(self.path, self.key):
            value = self.element[()]
        if isinstance(value, h5py.Empty):
            return None
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def field(self, name: str, start: int, stop: int) -> AnyArray:
        """[stop - start]: one field of a compound type, strings as numpy str."""
        with damage_named(self.path, f"{self.key}.{name}"):
            values: AnyArray = self.element[name, start:stop]
        if values.dtype.kind in "OS":
            return decode(values, self.path, f"{self.key}.{name}")
        return values

    def stream(self) -> AbstractContextManager[Stream]:
        """Values from front to back; plain gzip chunks are inflated ahead in threads."""
        if inflate.applies(self.element):
            with damage_named(self.path, self.key):
                index = inflate.ChunkIndex.of(self.element, self.path, self.key)
            if index is not None:
                return inflate.InflatedStream(index)
        return nullcontext(SteppedStream(self))

    def _texts(self, start: int, stop: int) -> Strings:
        pieces = []
        for row in range(start, stop, TEXT_ROWS):
            with damage_named(self.path, self.key):
                values = self.element[row : min(row + TEXT_ROWS, stop)]
            pieces.append(decode(values, self.path, self.key))
        return join_texts(pieces, self.path, self.key)


@dataclass
class _Hops:
    """Soft links that one look-up may still follow, side paths included."""

    left: int


def _names(group: h5py.Group) -> list[bytes]:
    names: list[bytes] = []
    group.id.links.iterate(names.append)
    return names


def _object(identifier: Any) -> Any:
    if isinstance(identifier, h5py.h5g.GroupID):
        return h5py.Group(identifier)
    if isinstance(identifier, h5py.h5d.DatasetID):
        return h5py.Dataset(identifier, readonly=True)
    return h5py.Datatype(identifier)


def _refuse_outside_storage(dataset: h5py.Dataset, path: str, key: str) -> None:
    """Ask no shape before: for it, HDF5 would open the sources of a virtual data set."""
    dcpl = dataset.id.get_create_plist()
    if dcpl.get_layout() == h5py.h5d.VIRTUAL:
        target = dcpl.get_virtual_filename(0) if dcpl.get_virtual_count() else "nothing"
        raise UnsafeLink(path, key, "a virtual data set that leads", target)
    if dcpl.get_external_count():
        target = os.fsdecode(dcpl.get_external(0)[0])
        raise UnsafeLink(path, key, "stored outside and leads", target)
