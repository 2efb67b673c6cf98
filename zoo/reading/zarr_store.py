"""AnnData in zarr folders of format 2 and 3, through the `zarr` package (an extra).

A zarr folder names the codecs that decode it, and one of those that are installed unpickles what
it reads. So the metadata of every array is read here first, and only codecs that are known to
decode numbers and text are let through.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import DeclaredSize, MissingExtra, TruncatedFile, UnsupportedEncoding, ZooError
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

METADATA = ("zarr.json", ".zgroup", ".zarray")
METADATA_LIMIT = 2**24
CHUNK_LIMIT = 2**30
# Empty chunks are not written at all, so an array may be larger than its files, but not by this.
INFLATION = 2**14

COMPRESSORS = ["blosc", "zstd", "gzip", "zlib", "lz4", "bz2", "lzma"]
FILTERS = ["shuffle", "delta", "fixedscaleoffset", "quantize", "packbits", "astype", "bitround"]
CHECKSUMS = ["crc32", "crc32c", "adler32", "fletcher32"]
FORMS = ["vlen-utf8", "vlen-bytes", "bytes", "transpose", "sharding_indexed"]
CODECS = frozenset([*COMPRESSORS, *FILTERS, *CHECKSUMS, *FORMS])


def is_store(folder: str) -> bool:
    """Whether a folder is the root of a zarr hierarchy."""
    return any((Path(folder) / name).is_file() for name in METADATA)


def opened(folder: str) -> ZarrGroup:
    """The root of a zarr folder.

    Raises
    ------
    MissingExtra, TruncatedFile

    """
    try:
        import zarr
    except ImportError as error:
        raise MissingExtra("zarr", "read zarr folders") from error
    with _damage_named(folder, "/"):
        # Consolidated metadata could differ from what `_refuse_codecs` reads.
        root = zarr.open_group(folder, mode="r", use_consolidated=False)
    return ZarrGroup(root, folder, "/")


class _Element:
    """What groups and arrays share: their place and their attributes."""

    def __init__(self, element: Any, path: str, key: str) -> None:
        self.element, self.path, self.key = element, path, key

    def attribute(self, name: str) -> Any:
        """An attribute; None when absent."""
        return self.element.attrs.get(name)


class ZarrGroup(_Element, Group):
    """A group of a zarr folder."""

    def members(self) -> Sequence[str]:
        """Names of the members."""
        with _damage_named(self.path, self.key):
            return sorted(name for name, _ in self._children())

    def get(self, key: str) -> ZarrGroup | ZarrArray | None:
        """The element at `key`, None when absent.

        Raises
        ------
        UnsupportedEncoding, DeclaredSize, TruncatedFile

        """
        place = f"{self.key.rstrip('/')}/{key}".lstrip("/")
        names = key.split("/")
        folder = Path(self.path, place)
        if {"", ".", ".."} & set(names) or not is_store(str(folder)):
            return None
        metadata = _metadata(folder, self.path, place)
        _refuse_codecs(metadata, self.path, place)
        with _damage_named(self.path, place):
            found = self.element[key]
        if hasattr(found, "members"):
            return ZarrGroup(found, self.path, place)
        array = ZarrArray(found, self.path, place)
        array.check(folder)
        return array

    def _children(self) -> Iterator[tuple[str, Path]]:
        for entry in Path(self.path, self.key.lstrip("/")).iterdir():
            if is_store(str(entry)):
                yield entry.name, entry


class ZarrArray(_Element, Array):
    """An array of a zarr folder."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        shape: tuple[int, ...] = self.element.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        dtype: np.dtype[Any] = self.element.dtype
        return dtype.newbyteorder("=") if dtype.kind in "iuf" else dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Shape of a chunk."""
        chunks: tuple[int, ...] = self.element.chunks
        return chunks or None

    @property
    def is_compressed(self) -> bool:
        """Always: even raw chunks are read as a whole."""
        return True

    @property
    def is_text(self) -> bool:
        """Whether the values are strings."""
        return self.element.dtype.kind in "OTSU"

    def check(self, folder: Path) -> None:
        """Refuse sizes that cannot be true."""
        item = max(1, self.element.dtype.itemsize)
        chunk = item * math.prod(self.chunks or (1,))
        if chunk > CHUNK_LIMIT:
            raise DeclaredSize(self.path, self.key, chunk, CHUNK_LIMIT)
        declared = item * math.prod(self.shape)
        if declared > CHUNK_LIMIT:
            limit = CHUNK_LIMIT + INFLATION * _bytes_under(folder)
            if declared > limit:
                raise DeclaredSize(self.path, self.key, declared, limit)

    def read(self, start: int, stop: int, columns: slice = slice(None)) -> AnyArray:
        """Rows `start:stop`; strings as numpy str."""
        if self.is_text:
            pieces = []
            step = max(TEXT_ROWS, (self.chunks or (1,))[0])
            for row in range(start, stop, step):
                with _damage_named(self.path, self.key):
                    values = np.asarray(self.element[row : min(row + step, stop)], dtype=object)
                pieces.append(decode(values, self.path, self.key))
            return join_texts(pieces, self.path, self.key)
        if not is_number(self.dtype):
            raise UnsupportedEncoding(self.path, self.key, f"values of type {self.dtype}")
        place = (slice(start, stop), columns) if len(self.shape) > 1 else slice(start, stop)
        with _damage_named(self.path, self.key):
            numbers: AnyArray = np.asarray(self.element[place])
        return numbers.astype(self.dtype, copy=False)

    def scalar(self) -> Any:
        """The value of an array without axes."""
        with _damage_named(self.path, self.key):
            value = np.asarray(self.element[()], dtype=object if self.is_text else None).item()
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else value

    def field(self, name: str, start: int, stop: int) -> AnyArray:
        """Refused: zarr is younger than compound tables."""
        raise UnsupportedEncoding(self.path, self.key, "a compound type")

    def stream(self) -> AbstractContextManager[Stream]:
        """Values from front to back, no chunk decoded twice."""
        return nullcontext(SteppedStream(self))


@contextmanager
def _damage_named(path: str, key: str) -> Iterator[None]:
    """Turn the complaints of zarr and its codecs about damaged data into `TruncatedFile`."""
    try:
        yield
    except ZooError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise TruncatedFile(path, f"{key}: {str(error).rstrip('.')}") from error


def _metadata(folder: Path, path: str, key: str) -> dict[str, Any]:
    """The JSON that describes an element; of an array, not its attributes."""
    for name in METADATA:
        file = folder / name
        if not file.is_file():
            continue
        size = file.stat().st_size
        if size > METADATA_LIMIT:
            raise DeclaredSize(path, f"{key}/{name}", size, METADATA_LIMIT)
        with _damage_named(path, f"{key}/{name}"):
            found = json.loads(file.read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def _refuse_codecs(metadata: dict[str, Any], path: str, key: str) -> None:
    """Let only known codecs through, those inside a sharding codec included."""
    waiting: list[Any] = [metadata.get(name) for name in ("compressor", "filters", "codecs")]
    while waiting:
        codec = waiting.pop()
        if isinstance(codec, list):
            waiting.extend(codec)
        elif isinstance(codec, str):
            _refuse_codec(codec, path, key)
        elif isinstance(codec, dict):
            _refuse_codec(str(codec.get("id", codec.get("name"))), path, key)
            inner = codec.get("configuration") or {}
            waiting.extend([inner.get("codecs"), inner.get("index_codecs")])


def _refuse_codec(name: str, path: str, key: str) -> None:
    if name.removeprefix("numcodecs.") not in CODECS:
        raise UnsupportedEncoding(path, key, f"its codec {name!r} is not among those allowed")


def _bytes_under(folder: Path) -> int:
    return sum(
        os.path.getsize(os.path.join(place, name))
        for place, _, names in os.walk(folder)
        for name in names
    )
