"""A folder with a registry and models, `file:` or a plain path.

    <root>/registry.json
    <root>/<name>/<version>/manifest.json, model.onnx, …

A model's folder appears whole, by one move; `registry.json` is replaced by one move after it.
"""

from __future__ import annotations

from pathlib import Path

from zoo.errors import HubUnreachable, PushRefused
from zoo.hubs.collection import Offer
from zoo.hubs.folder import path_of
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.registry import FILE_NAME as REGISTRY
from zoo.staging import staged_folder, write_atomically


class FolderCollection:
    """Models in a folder, such as a shared one of a cluster."""

    needs_network = False

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.root = path_of(uri)

    def place_of(self, name: str, version: str) -> str:
        """The folder of a model."""
        return str(self.root.resolve() / name / version)

    def registry(self) -> bytes | None:
        """Content of `registry.json`."""
        path = self.root / REGISTRY
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HubUnreachable(self.uri, error.strerror or str(error)) from error

    def put_model(self, offer: Offer) -> None:
        """Fill a staging folder, then move it into its place."""
        card = offer.manifest.card
        target = Path(self.place_of(card.name, card.version))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with staged_folder(target) as staging:
                for file in offer.manifest.files:
                    path = staging / file.path
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(offer.read(file))
                (staging / MANIFEST).write_bytes(offer.manifest_bytes)
        except OSError as error:
            raise PushRefused(self.uri, "the model", error.strerror or str(error)) from error

    def put_registry(self, content: bytes) -> None:
        """Replace `registry.json` by one move."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomically(self.root / REGISTRY, content)
        except OSError as error:
            raise PushRefused(self.uri, REGISTRY, error.strerror or str(error)) from error
