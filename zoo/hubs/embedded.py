"""The embedded hub: the registry and models that come with the package; no network is needed.

    in a wheel              zoo/embedded/registry.json, zoo/embedded/cards/<model>/
    in a checkout           registry.json, cards/<model>/ beside the package's folder
    (or editable install)

The wheel's copy is looked for first; an editable install has none, so a changed card is seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from zoo.errors import HubUnreachable, InvalidRegistry
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
        root = self._root or embedded_root()
        return open_file(root / CARDS / self._name / path, self.uri)


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
