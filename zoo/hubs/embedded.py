"""The embedded hub: the registry and models that come with the package; no network is needed.

    in a wheel              zoo/embedded/registry.json, zoo/embedded/cards/<model>/
    in a checkout           registry.json, cards/<model>/ beside the package's folder
    (or editable install)

The runner's image has the registry alone: a model of it comes from a shelf or a cache.
The wheel's copy is looked for first; an editable install has none, so a changed card is seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from zoo.errors import HubUnreachable, InvalidRegistry, NotCarried
from zoo.hubs.folder import open_file
from zoo.registry import FILE_NAME, Registry

CARDS = "cards"

_PACKAGE = Path(__file__).parents[1]


class EmbeddedHub:
    """A model that comes with the package: `embedded:<name>`."""

    needs_network = False

    def __init__(self, uri: str, root: Path | None = None) -> None:
        self.uri = uri
        self._name = uri.partition(":")[2]
        self._root = root

    def open(self, path: str) -> BinaryIO:
        """Open one of the model's files."""
        if not self._name or "/" in self._name or self._name.startswith("."):
            raise HubUnreachable(self.uri, "it names no embedded model")
        folder = (self._root or embedded_root()) / CARDS / self._name
        if not folder.is_dir():
            raise NotCarried(self._name)
        return open_file(folder / path, self.uri)


def is_carried(uri: str) -> bool:
    """Whether the package came with the model of an `embedded:` URI."""
    return (embedded_root() / CARDS / uri.partition(":")[2]).is_dir()


def embedded_root(package: Path = _PACKAGE) -> Path:
    """The folder that holds `registry.json` and `cards/`."""
    beside = package / "embedded"
    return beside if beside.is_dir() else package.parent


def embedded_registry(root: Path | None = None) -> Registry:
    """The registry that comes with the package.

    Raises
    ------
    InvalidRegistry
        If it is missing or damaged.

    """
    path = (root or embedded_root()) / FILE_NAME
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidRegistry(str(path), error.strerror or "unreadable") from error
    return Registry.parse(content, str(path))
