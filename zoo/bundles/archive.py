"""Reading a bundle that may be hostile: only listed, regular files of the listed size.

The archive is never unpacked: its headers are walked, and a file's bytes are read from their place.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zoo.bundles.index import INDEX, MAXIMUM_INDEX, BundleIndex
from zoo.errors import (
    BundleDamaged,
    BundleTooLarge,
    BundleTruncated,
    BundleUnlisted,
    BundleUnsafe,
    FileMissing,
    FileUnreadable,
    NotABundle,
)
from zoo.file_part import FilePart

# What tarfile may read at once: a header that wants more (a long name) is hostile.
_HEADER = 1 << 16
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Bundle:
    """A bundle whose headers are in order; `verify` looks at the content.

    Attributes
    ----------
    path
        The archive.
    index
        What it holds.
    places
        Path in the archive → where its bytes begin.

    """

    path: Path
    index: BundleIndex
    places: Mapping[str, int]

    def open(self, path: str) -> BinaryIO:
        """A stream of one of the files; `KeyError` for others."""
        size = next(file.size for file in self.index.files if file.path == path)
        return FilePart(self.path, self.places[path], size)

    def verify(self) -> None:
        """Read every file and compare it with its sha256.

        Raises
        ------
        BundleDamaged

        """
        for file in self.index.files:
            digest = hashlib.sha256()
            with self.open(file.path) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
            if digest.hexdigest() != file.sha256:
                raise BundleDamaged(str(self.path), file.path, file.sha256, digest.hexdigest())


def read_bundle(path: Path) -> Bundle:
    """Walk the headers of a bundle; no file's content is read but the index's.

    Raises
    ------
    FileMissing, FileUnreadable, NotABundle
        If it is no archive, or one of something else.
    InvalidBundle, BundleUnsafe, BundleUnlisted, BundleTooLarge, BundleTruncated
        If it is not exactly what its index says.

    """
    if not path.exists():
        raise FileMissing(str(path))
    if not path.is_file():
        raise NotABundle(str(path), "it is no file")
    try:
        with path.open("rb") as file, tarfile.open(fileobj=_Guarded(file, path), mode="r:") as tar:
            return _walked(tar, path)
    except tarfile.TarError as error:
        raise NotABundle(str(path), f"it is no plain tar archive ({error})") from error
    except OSError as error:
        raise FileUnreadable(str(path), error.strerror or str(error)) from error


def _walked(tar: tarfile.TarFile, path: Path) -> Bundle:
    members = _members(tar, path)
    first = next(members, None)
    if first is None or first.name != INDEX:
        raise NotABundle(str(path), f"it does not begin with {INDEX!r}")
    index = BundleIndex.parse(_index(tar, first, path), str(path))
    sizes = {file.path: file.size for file in index.files}
    end, places = path.stat().st_size, dict[str, int]()
    for member in members:
        if member.name not in sizes or member.name in places:
            raise BundleUnlisted(str(path), member.name, is_twice=member.name in places)
        if member.size != sizes[member.name]:
            raise BundleTooLarge(str(path), member.name, sizes[member.name], member.size)
        if member.offset_data + member.size > end:
            raise BundleTruncated(str(path), member.name)
        places[member.name] = member.offset_data
    for name in sizes:
        if name not in places:
            raise BundleTruncated(str(path), name)
    return Bundle(path, index, places)


def _members(tar: tarfile.TarFile, path: Path) -> Iterator[tarfile.TarInfo]:
    """The members, one after the other, as long as they are plain files."""
    while (member := tar.next()) is not None:
        if member.type != tarfile.REGTYPE or member.sparse is not None:
            raise BundleUnsafe(str(path), member.name, _kind(member))
        if member.pax_headers or tar.pax_headers:
            raise BundleUnsafe(str(path), member.name, "it has extended headers")
        yield member


def _kind(member: tarfile.TarInfo) -> str:
    kinds = {
        tarfile.SYMTYPE: "it is a symbolic link",
        tarfile.LNKTYPE: "it is a hard link",
        tarfile.DIRTYPE: "it is a folder",
        tarfile.GNUTYPE_SPARSE: "it is a sparse file",
    }
    return kinds.get(member.type, "it is a device, a pipe or a sparse file")


def _index(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> bytes:
    if member.size > MAXIMUM_INDEX:
        raise BundleTooLarge(str(path), INDEX, MAXIMUM_INDEX, member.size)
    with FilePart(path, member.offset_data, member.size) as part:
        return part.read()


class _Guarded(io.RawIOBase):
    """The archive for tarfile, which reads the text of a header whole, whatever its size."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise BundleUnsafe(str(self._path), "a header", f"it claims {size:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
