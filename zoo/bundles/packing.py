"""Writing a bundle: always the same bytes for the same model and image."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import BinaryIO

from zoo.bundles.index import IMAGE, INDEX, MODEL, BundleFile, BundleIndex
from zoo.digest import sha256_of, sha256_of_file
from zoo.pull import PulledModel
from zoo.registry import Entry
from zoo.version import __version__


def write_bundle(
    model: PulledModel, entry: Entry, path: Path, image: tuple[str, Path] | None = None
) -> BundleIndex:
    """Write a model, and an image with its name, into a new file.

    Raises
    ------
    DigestMismatch, WrongSize
        If a file of the model is damaged.
    OSError

    """
    files = {MODEL + name: content for name, content in model.contents().items()}
    listed = [BundleFile(path=p, sha256=sha256_of(c), size=len(c)) for p, c in files.items()]
    if image is not None:
        size = image[1].stat().st_size
        listed.append(BundleFile(path=IMAGE, sha256=sha256_of_file(image[1]), size=size))
    index = BundleIndex(
        bundle_version=1,
        zoo_version=__version__,
        entry=entry,
        files=listed,
        image=image[0] if image else None,
    )
    with (
        path.open("wb") as file,
        tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content in {INDEX: index.render(), **files}.items():
            _add(tar, name, io.BytesIO(content), len(content))
        if image is not None:
            with image[1].open("rb") as stream:
                _add(tar, IMAGE, stream, listed[-1].size)
    return index


def _add(tar: tarfile.TarFile, name: str, stream: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, stream)
