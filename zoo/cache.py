"""The cache: models on this machine, their files stored under their own sha256.

    <root>/
    ├── sha256/<2 hex>/<64 hex>                  a file's content, named by its digest
    │   └── .<64 hex>.<host>-<pid>-<random>.part    being written; moved into place once verified
    ├── models/<name>/<version>/
    │   ├── manifest.json                        which files make up the model: written last
    │   ├── loaded.json                          what a bundle said of it (`zoo.loaded`)
    │   └── .manifest.json.<…>.part              a pull that is under way
    └── folders/<64 hex>/                        a model's files under their names, for containers

A model is there when its manifest is. A pull stages the manifest first, then adds the files, then
moves the manifest into place; so `prune` and `remove` know what a running pull needs, and a killed
one leaves nothing that could be taken for a model. Two processes that pull the same model write the
same bytes and the last move wins. Nothing is locked, and nothing is trusted: `read` gives bytes
that it has verified, or none.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from zoo.digest import sha256_of_file
from zoo.errors import CacheUnwritable, DigestMismatch, DiskFull, NotInCache, WrongSize
from zoo.staging import is_staging, is_stale, staged, staged_folder, to_disk, write_atomically

MANIFEST = "manifest.json"
RECORD = "loaded.json"

_CHUNK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Readable(Protocol):
    """What a file is stored from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


@dataclass(frozen=True)
class CachedModel:
    """A model in the cache.

    Attributes
    ----------
    name, version
        What it is.
    digest
        Sha256 of its manifest.
    blobs
        Sha256 of each of its files.
    size
        Bytes of its files that are there.

    """

    name: str
    version: str
    digest: str
    blobs: frozenset[str]
    size: int

    @property
    def reference(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"


class Cache:
    """The cache in a folder, which is made when something is first added."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # -- files -----------------------------------------------------------------------------------

    def blob_path(self, sha256: str) -> Path:
        """Where content with this digest lies, or would."""
        return self.root / "sha256" / sha256[:2] / sha256

    def has(self, sha256: str, size: int) -> bool:
        """Whether a file of this name and size is there; its content is verified when read."""
        try:
            return self.blob_path(sha256).stat().st_size == size
        except OSError:
            return False

    def is_sound(self, sha256: str) -> bool:
        """Whether a file of this name is there with the content that the name says."""
        return _is_sound(self.blob_path(sha256))

    def read(self, sha256: str) -> bytes | None:
        """The content with this digest, verified; None if it is missing, unreadable or damaged."""
        try:
            content = self.blob_path(sha256).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == sha256 else None

    def add(self, stream: Readable, *, sha256: str, size: int, file: str, origin: str) -> None:
        """Store a stream's content, verified before it gets its name.

        `file` and `origin` are for messages.

        Raises
        ------
        WrongSize
            If the stream is shorter or longer than `size`; no more than one byte beyond is read.
        DigestMismatch
            If the content is another.
        CacheUnwritable, DiskFull

        """
        target = self.blob_path(sha256)
        with self._writing(target), staged(target) as staging, staging.open("xb") as blob:
            digest, length = hashlib.sha256(), 0
            while chunk := stream.read(min(_CHUNK, size + 1 - length)):
                digest.update(chunk)
                length += len(chunk)
                if length > size:
                    break
                blob.write(chunk)
            to_disk(blob)
            if length != size:
                raise WrongSize(file, origin, size, length)
            if digest.hexdigest() != sha256:
                raise DigestMismatch(file, origin, sha256, digest.hexdigest())

    # -- models ----------------------------------------------------------------------------------

    def manifest(self, name: str, version: str) -> bytes | None:
        """The stored manifest of a model, or None; the caller checks its digest."""
        try:
            return (self._model_folder(name, version) / MANIFEST).read_bytes()
        except OSError:
            return None

    @contextmanager
    def committing(self, name: str, version: str, manifest: bytes) -> Iterator[None]:
        """Add a model: the block adds its files; the manifest appears if the block succeeds."""
        target = self._model_folder(name, version) / MANIFEST
        with self._writing(target), staged(target) as staging:
            write_atomically(staging, manifest)
            yield

    def record(self, name: str, version: str, content: bytes) -> None:
        """Keep what a bundle said of a model that is there."""
        target = self._model_folder(name, version) / RECORD
        with self._writing(target):
            write_atomically(target, content)

    def records(self) -> list[bytes]:
        """What bundles said of the models that are there."""
        paths = (manifest.with_name(RECORD) for manifest in self._manifests())
        return [path.read_bytes() for path in paths if path.is_file()]

    def folder(self, digest: str, files: Mapping[str, bytes]) -> Path:
        """A folder with a model's files under their own names, made again if it is not sound."""
        target = self.root / "folders" / digest
        if not all(_holds(target / name, content) for name, content in files.items()):
            with self._writing(target), staged_folder(target) as staging:
                for name, content in files.items():
                    path = staging / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
        return target

    def models(self) -> list[CachedModel]:
        """The models that are there, by name and version; unreadable manifests are left out."""
        found = ((path, _all_blobs(path)) for path in self._manifests())
        models = [self._model(path, blobs) for path, blobs in found if blobs is not None]
        return sorted(models, key=lambda model: (model.name, _order(model.version)))

    def remove(self, reference: str) -> list[CachedModel]:
        """Remove a version of a model, or all its versions; files that others use stay.

        Raises
        ------
        NotInCache
            If there is none.
        CacheUnwritable

        """
        models = self.models()
        gone = [model for model in models if reference in (model.name, model.reference)]
        if not gone:
            raise NotInCache(reference, [model.reference for model in models])
        for model in gone:
            folder = self._model_folder(model.name, model.version)
            with self._writing(folder):
                (folder / MANIFEST).unlink(missing_ok=True)
                (folder / RECORD).unlink(missing_ok=True)
                _remove_if_empty(folder, folder.parent)
        for sha256 in {sha256 for model in gone for sha256 in model.blobs} - self._in_use():
            self._unlink(self.blob_path(sha256))
        return gone

    # -- care ------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Bytes of all stored files."""
        return sum(_size(path) for path in self._blobs())

    def verify(self) -> list[Path]:
        """Files that are not what their names say, and missing ones: every byte is read."""
        damaged = [path for path in self._blobs() if not _is_sound(path)]
        damaged += [path for path in self._manifests() if _blobs_of(path) is None]
        missing = {self.blob_path(sha256) for model in self.models() for sha256 in model.blobs}
        return sorted(damaged) + sorted(path for path in missing if not path.exists())

    def stale(self) -> list[Path]:
        """Staging files of processes that are gone."""
        return [path for path in self._stagings() if is_stale(path)]

    def prune(self) -> list[Path]:
        """Remove what no model needs: unused and damaged files, staging files of dead processes.

        Returns the removed paths.
        """
        stale = self.stale()
        for path in stale:
            self._unlink(path)
        digests = {model.digest for model in self.models()}
        folders = [path for path in self.root.glob("folders/*") if path.name not in digests]
        folders = [path for path in folders if not is_staging(path) or is_stale(path)]
        for path in folders:
            shutil.rmtree(path, ignore_errors=True)
        in_use = self._in_use()
        unused = [path for path in self._blobs() if path.name not in in_use]
        damaged = [path for path in self.verify() if path.exists() and path not in unused]
        for path in (*unused, *damaged):
            self._unlink(path)
        return [*stale, *folders, *unused, *damaged]

    # -- inside ----------------------------------------------------------------------------------

    def _model_folder(self, name: str, version: str) -> Path:
        return self.root / "models" / name / version

    def _manifests(self) -> list[Path]:
        return sorted(self.root.glob(f"models/*/*/{MANIFEST}"))

    def _blobs(self) -> list[Path]:
        paths = sorted(self.root.glob("sha256/??/*"))
        return [path for path in paths if _SHA256.fullmatch(path.name) and path.is_file()]

    def _stagings(self) -> list[Path]:
        paths = (*self.root.glob("sha256/??/.*"), *self.root.glob("models/*/*/.*"))
        return sorted(path for path in paths if is_staging(path))

    def _in_use(self) -> set[str]:
        """Digests that a model needs, or a pull that is under way."""
        manifests = [*self._manifests(), *(p for p in self._stagings() if MANIFEST in p.name)]
        return {sha256 for path in manifests for sha256 in _all_blobs(path) or ()}

    def _model(self, manifest: Path, blobs: frozenset[str]) -> CachedModel:
        paths = [self.blob_path(sha256) for sha256 in blobs]
        return CachedModel(
            name=manifest.parent.parent.name,
            version=manifest.parent.name,
            digest=sha256_of_file(manifest),
            blobs=blobs,
            size=sum(_size(path) for path in paths),
        )

    def _unlink(self, path: Path) -> None:
        with self._writing(path):
            path.unlink(missing_ok=True)

    @contextmanager
    def _writing(self, path: Path) -> Iterator[None]:
        """Make the folder of `path`; tell a failure to write from all others."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield
        except OSError as error:
            if error.errno in _FULL:
                free = shutil.disk_usage(_existing(self.root)).free
                raise DiskFull(str(self.root), free, option="ZOO_CACHE") from error
            raise CacheUnwritable(str(self.root), error.strerror or str(error)) from error


def _blobs_of(manifest: Path) -> frozenset[str] | None:
    """Digests in a stored manifest, or None if it is damaged.

    Read without the schema: a newer CellZoo that shares this cache may know more of it.
    """
    try:
        digests = [file["sha256"] for file in json.loads(manifest.read_bytes())["files"]]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    sound = all(isinstance(sha256, str) and _SHA256.fullmatch(sha256) for sha256 in digests)
    return frozenset(digests) if sound else None


def _all_blobs(manifest: Path) -> frozenset[str] | None:
    """Digests of a model's files, and of those that came with it in a bundle."""
    blobs = _blobs_of(manifest)
    return None if blobs is None else blobs | (_blobs_of(manifest.with_name(RECORD)) or set())


def _is_sound(blob: Path) -> bool:
    try:
        return sha256_of_file(blob) == blob.name
    except OSError:
        return False


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # missing, or just removed by another process
        return 0


def _order(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _remove_if_empty(*folders: Path) -> None:
    for folder in folders:
        if any(folder.iterdir()):
            return
        folder.rmdir()


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
