"""Images in OCI registries: a runner as a base, and a model's image pushed on top of it.

Layers of the runner are taken over inside the registry where it lies there already, so that a
second model costs its own megabytes and no more.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from zoo.errors import BaseImageMissing, InvalidImage
from zoo.hubs.oci import OciRepository
from zoo.hubs.oci_reference import OciReference
from zoo.imaging.base_image import BaseImage, StoredLayer, parsed_config
from zoo.imaging.model_image import ModelImage

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
# A gzip-compressed tar, whichever words the base's own manifest used for it.
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_LARGEST_CONFIG = 8 << 20


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes
    ----------
    image
        Where the image is.
    digest
        Of its manifest.
    uploaded
        Bytes that were sent: blobs that the registry did not have.
    mounted
        Bytes that were taken over from another repository of the registry, or were there.

    """

    image: str
    digest: str
    uploaded: int
    mounted: int


def base_in_registry(uri: str) -> BaseImage:
    """An image in a registry; its layers are not fetched.

    Raises
    ------
    BaseImageMissing, InvalidImage, HubUnreachable, HubDenied, DigestMismatch

    """
    reference = OciReference.parse(uri)
    repository = OciRepository(reference)
    if not repository.has_manifest():
        raise BaseImageMissing(uri, reference.host, "it has no such image")
    manifest = repository.manifest()
    try:
        told = json.loads(manifest.content)
        config, layers = told["config"], told["layers"]
        content = _small_blob(repository, config, uri)
        described = [(str(layer["digest"]), int(layer["size"])) for layer in layers]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidImage(uri, "its manifest is not one of an image") from error
    parsed = parsed_config(content, uri, len(described))
    stored = [
        StoredLayer(diff_id, size, partial(repository.open_blob, digest, size), digest)
        for diff_id, (digest, size) in zip(parsed["rootfs"]["diff_ids"], described, strict=True)
    ]
    return BaseImage(uri, parsed, tuple(stored), reference.host, reference.repository)


def push_image(image: ModelImage, uri: str) -> Pushed:
    """Push an image; its manifest is the last thing that is sent.

    Raises
    ------
    HubUnreachable, HubDenied, PushRefused, DigestMismatch

    """
    reference = OciReference.parse(uri)
    repository = OciRepository(reference)
    uploaded = mounted = 0
    layers = []
    for layer in image.base.layers:
        with _Compressed(layer) as blob:
            sent = _send(repository, blob, image.base)
            uploaded, mounted = uploaded + sent, mounted + blob.size - sent
            layers.append(_descriptor(_LAYER, blob.digest, blob.size))
    own = (
        (_LAYER, image.layer.digest, image.layer.compressed),
        (_CONFIG, image.config_digest, image.config),
    )
    for media, digest, content in own:
        size = len(content)
        sent = size * repository.push_blob(digest, size, partial(io.BytesIO, content))
        uploaded, mounted = uploaded + sent, mounted + size - sent
        layers.append(_descriptor(media, digest, size))
    config = layers.pop()
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": layers}
    ).encode()
    digest = repository.push_manifest(manifest, _MANIFEST)
    return Pushed(str(reference), digest, uploaded, mounted)


def _descriptor(media: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media, "digest": digest, "size": size}


def _small_blob(repository: OciRepository, config: dict[str, Any], uri: str) -> bytes:
    if int(config["size"]) > _LARGEST_CONFIG:
        raise InvalidImage(uri, "its config is too large")
    return repository.read_blob(str(config["digest"]), int(config["size"]))


def _send(repository: OciRepository, blob: _Compressed, base: BaseImage) -> int:
    """Have a blob of the base in a repository; returns the bytes that were sent for it."""
    same_host = base.host == repository.reference.host
    if same_host and base.repository == repository.reference.repository:
        return 0
    if same_host and repository.mount_blob(blob.digest, base.repository):
        return 0
    return blob.size * repository.push_blob(blob.digest, blob.size, blob.open)


class _Compressed:
    """A layer as a blob: as it is where a registry knows it, else compressed, always alike."""

    def __init__(self, layer: StoredLayer) -> None:
        self._layer = layer
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.digest, self.size = layer.digest or "", layer.size

    def __enter__(self) -> _Compressed:
        if not self.digest:
            self._folder = tempfile.TemporaryDirectory(prefix="cellzoo-")
            self._compress(Path(self._folder.name) / "blob")
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder:
            self._folder.cleanup()

    def open(self) -> BinaryIO:
        return (Path(self._folder.name) / "blob").open("rb") if self._folder else self._layer.open()

    def _compress(self, path: Path) -> None:
        with self._layer.open() as source, path.open("wb") as target:
            head = source.read(2)
            rest = _Joined(head, source)
            if head == b"\x1f\x8b":
                shutil.copyfileobj(rest, target)
            else:
                with gzip.GzipFile(
                    fileobj=target, mode="wb", compresslevel=6, filename="", mtime=0
                ) as packed:
                    shutil.copyfileobj(rest, packed, 1 << 20)
        with path.open("rb") as file:
            self.digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        self.size = path.stat().st_size


class _Joined:
    """Bytes that were read already, and the rest of their stream."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head, self._rest = head, rest

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head or self._rest.read(size)
