"""The one layer that a model adds to the runner: `models/<name>/`, the same bytes on any machine.

Entries are sorted, belong to root, carry no time, and may be read by all and written by nobody.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Self

from zoo.digest import sha256_of
from zoo.pull import PulledModel

MODELS = "models"


@dataclass(frozen=True)
class ModelLayer:
    """A layer, plain and compressed.

    Attributes
    ----------
    tar
        Its tar archive; the sha256 of it is the `diff_id`.
    compressed
        The same by gzip; the sha256 of it is the digest of the blob.

    """

    tar: bytes
    compressed: bytes

    @classmethod
    def of(cls, model: PulledModel) -> Self:
        """The layer of a model, whose every file is verified on the way.

        Raises
        ------
        DigestMismatch, WrongSize

        """
        tar = _tar(f"{MODELS}/{model.manifest.card.name}", model.contents())
        return cls(tar, gzip.compress(tar, mtime=0))

    @property
    def diff_id(self) -> str:
        """Sha256 of the tar."""
        return f"sha256:{sha256_of(self.tar)}"

    @property
    def digest(self) -> str:
        """Sha256 of the compressed form."""
        return f"sha256:{sha256_of(self.compressed)}"


def _tar(root: str, files: dict[str, bytes]) -> bytes:
    folders = {root}
    for path in files:
        folders |= {f"{root}/{up}" for up in PurePosixPath(path).parents if str(up) != "."}
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for folder in sorted(folders):
            archive.addfile(_entry(folder, tarfile.DIRTYPE, 0o755))
        for path, content in sorted(files.items()):
            entry = _entry(f"{root}/{path}", tarfile.REGTYPE, 0o444)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)  # mtime, uid and gid are 0
    entry.type, entry.mode = kind, mode
    return entry
