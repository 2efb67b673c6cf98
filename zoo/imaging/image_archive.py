"""Archives of `docker save` and `docker load`: read as a base, written as a model's image.

manifest.json              [{"Config": …, "RepoTags": […], "Layers": […]}]
<sha256 of config>.json    the config
<…>.tar                    a layer, lowest first; older engines write one twice, as a link
"""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from zoo.errors import FileMissing, InvalidImage, OutputExists, OutputUnwritable
from zoo.file_part import FilePart
from zoo.imaging.base_image import BaseImage, StoredLayer, parsed_config
from zoo.imaging.model_image import ModelImage
from zoo.staging import staged

_LARGEST_TEXT = 8 << 20


def open_archive(path: Path) -> BaseImage:
    """The one image in an archive.

    Raises
    ------
    FileMissing, InvalidImage

    """
    if not path.is_file():
        raise FileMissing(str(path))
    name = str(path)
    try:
        with tarfile.open(path, "r:") as archive:
            listed = json.loads(_text(archive, "manifest.json", name))
            if len(listed) != 1:
                raise InvalidImage(name, f"it holds {len(listed)} images, not one")
            content = _text(archive, listed[0]["Config"], name)
            members = [_resolved(archive, layer) for layer in listed[0]["Layers"]]
    except (tarfile.TarError, KeyError, TypeError, ValueError, OSError) as error:
        raise InvalidImage(name, f"it is no archive of one image ({error})") from error
    config = parsed_config(content, name, len(members))
    layers = [
        StoredLayer(diff_id, member.size, partial(FilePart, path, member.offset_data, member.size))
        for diff_id, member in zip(config["rootfs"]["diff_ids"], members, strict=True)
    ]
    return BaseImage(name, config, tuple(layers))


def write_archive(
    image: ModelImage, path: Path, tags: Sequence[str], *, overwrite: bool = False
) -> int:
    """Write an image for `docker load`; returns its size in bytes.

    Raises
    ------
    OutputExists, OutputUnwritable
    InvalidImage
        If a layer of the base is not what its config says.

    """
    if path.exists() and not overwrite:
        raise OutputExists(str(path))
    config = f"{image.config_digest.removeprefix('sha256:')}.json"
    names = [f"{_hex(layer.diff_id)}.tar" for layer in image.base.layers]
    names.append(f"{_hex(image.layer.diff_id)}.tar")
    listed = [{"Config": config, "RepoTags": list(tags), "Layers": names}]
    try:
        with staged(path) as staging, tarfile.open(staging, "w") as archive:
            for name, layer in zip(names, image.base.layers, strict=False):
                if name not in archive.getnames():  # an empty layer may be there twice
                    _copy(archive, name, layer, image.base.name)
            _add(archive, names[-1], image.layer.tar)
            _add(archive, config, image.config)
            _add(archive, "manifest.json", json.dumps(listed).encode())
        return path.stat().st_size
    except OSError as error:
        raise OutputUnwritable(str(path), error.strerror or str(error)) from error


def _copy(archive: tarfile.TarFile, name: str, layer: StoredLayer, base: str) -> None:
    with layer.open() as stream:
        hashed = _Hashed(stream)
        archive.addfile(_entry(name, layer.size), io.BufferedReader(hashed, 1 << 20))
    wanted = layer.digest or layer.diff_id
    # A compressed layer of an archive without digests cannot be held against its diff_id.
    if hashed.digest != wanted and not (layer.digest is None and hashed.is_gzip):
        raise InvalidImage(base, f"its layer {_hex(wanted)[:12]}… is damaged")


class _Hashed(io.RawIOBase):
    """A stream that is hashed as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._hash, self.is_gzip, self._at = stream, hashlib.sha256(), False, 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._stream.read(len(buffer))
        if self._at == 0:
            self.is_gzip = piece[:2] == b"\x1f\x8b"
        self._hash.update(piece)
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    archive.addfile(_entry(name, len(content)), io.BytesIO(content))


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _text(archive: tarfile.TarFile, name: str, origin: str) -> bytes:
    member = _resolved(archive, name)
    stream = archive.extractfile(member)
    if stream is None or member.size > _LARGEST_TEXT:
        raise InvalidImage(origin, f"{name!r} in it is no file of a sensible size")
    return stream.read()


def _resolved(archive: tarfile.TarFile, name: str) -> tarfile.TarInfo:
    """The file behind a name; a link of an older engine leads to another layer's file."""
    member = archive.getmember(name)
    if member.issym():
        member = archive.getmember(
            posixpath.normpath(f"{posixpath.dirname(name)}/{member.linkname}")
        )
    if not member.isfile():
        raise KeyError(name)
    return member


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
