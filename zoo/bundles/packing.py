"""Writing a bundle: always the same bytes for the same model and image."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import BinaryIO

from zoo.bundles.index import IMAGE, INDEX, MODEL, BundleFile, BundleIndex
from zoo.digest import sha256_of, sha256_of_file
from zoo.errors import InvalidManifest
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.pull import PulledModel
from zoo.registry import Entry
from zoo.version import __version__


def write_bundle(
    model: PulledModel, entry: Entry, path: Path, image: tuple[str, Path] | None = None
) -> BundleIndex:
    """Write a model, and an image with its name, into a new file.

    Raises
    ------
    InvalidManifest
        If the manifest is not as `zoo registry build` writes it.
    DigestMismatch, WrongSize
        If a file of the model is damaged.
    OSError

    """
    files = _model_files(model)
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


def _model_files(model: PulledModel) -> dict[str, bytes]:
    manifest = model.manifest.render()
    if sha256_of(manifest) != model.digest:
        detail = "it is not written as 'zoo registry build' writes it"
        raise InvalidManifest(f"{model.origin}/{MANIFEST}", detail)
    files = {MODEL + MANIFEST: manifest}
    return files | {MODEL + file.path: model.load(file) for file in model.files}


def _add(tar: tarfile.TarFile, name: str, stream: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    tar.addfile(member, stream)
