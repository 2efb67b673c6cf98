"""A model folder on a disk, as a hub: `file:` URIs and plain paths."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from zoo.errors import HubUnreachable


class FolderHub:
    """The model in a folder."""

    needs_network = False

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.folder = path_of(uri)

    def open(self, path: str) -> BinaryIO:
        """Open one of the folder's files."""
        return open_file(self.folder / path, self.uri)


def open_file(path: Path, uri: str) -> BinaryIO:
    """Open a file of the hub `uri`.

    Raises
    ------
    HubUnreachable

    """
    if not path.parent.is_dir():
        raise HubUnreachable(uri, f"there is no folder {str(path.parent)!r}")
    if not path.is_file():  # a pipe would wait for ever
        raise HubUnreachable(uri, f"it has no file {path.name!r}")
    try:
        return path.open("rb")
    except OSError as error:
        raise HubUnreachable(uri, f"{path.name!r}: {error.strerror}") from error


def path_of(uri: str) -> Path:
    """The path of a `file:` URI or plain path."""
    if not uri.startswith("file:"):
        return Path(uri).expanduser()
    return Path(unquote(urlsplit(uri).path))
