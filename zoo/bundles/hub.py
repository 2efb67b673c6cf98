"""A bundle as a hub, `bundle:<path>`: what it gives is verified like any other hub's."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from zoo.bundles.archive import Bundle, read_bundle
from zoo.bundles.index import MODEL
from zoo.errors import HubUnreachable

SCHEME = "bundle:"


class BundleHub:
    """The model in a bundle."""

    needs_network = False

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.path = Path(uri.removeprefix(SCHEME))

    def open(self, path: str) -> BinaryIO:
        """Open one of the model's files."""
        if not self.path.is_file():
            raise HubUnreachable(
                self.uri, "the bundle is no longer there; 'zoo bundle load FILE' takes it again"
            )
        bundle: Bundle = read_bundle(self.path)
        if MODEL + path not in bundle.places:
            raise HubUnreachable(self.uri, f"it has no file {path!r}")
        return bundle.open(MODEL + path)
