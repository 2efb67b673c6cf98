"""What arrives from a hub: read within bounds, and verified before anyone sees it."""

from __future__ import annotations

from typing import Self

from zoo.digest import sha256_of
from zoo.errors import DigestMismatch, HubUnreachable, WrongSize
from zoo.hubs import Hub
from zoo.manifest import FILE_NAME, MAXIMUM_BYTES, ModelFile


class Arriving:
    """A file as it arrives from a hub: a failure to read is the hub's, not the cache's."""

    def __init__(self, hub: Hub, path: str) -> None:
        self._hub, self._stream = hub, hub.open(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes, fewer only at the end.

        Raises
        ------
        HubUnreachable

        """
        pieces, left = [], size
        while left > 0 and (piece := self._read(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            raise HubUnreachable(self._hub.uri, error.strerror or str(error)) from error


def published_manifest(hub: Hub, digest: str) -> bytes:
    """The bytes of the model's manifest, as the registry knows them.

    Raises
    ------
    HubUnreachable, DigestMismatch

    """
    with Arriving(hub, FILE_NAME) as stream:
        content = stream.read(MAXIMUM_BYTES + 1)
    if (actual := sha256_of(content)) != digest:
        raise DigestMismatch(FILE_NAME, hub.uri, digest, actual)
    return content


def verified(hub: Hub, file: ModelFile) -> bytes:
    """A file's content straight from a hub: these very bytes were verified.

    Raises
    ------
    HubUnreachable, WrongSize, DigestMismatch

    """
    with Arriving(hub, file.path) as stream:
        content = stream.read(file.size + 1)
    if len(content) != file.size:
        raise WrongSize(file.path, hub.uri, file.size, len(content))
    if (actual := sha256_of(content)) != file.sha256:
        raise DigestMismatch(file.path, hub.uri, file.sha256, actual)
    return content
