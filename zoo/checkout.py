"""A checkout: `cards/` and what is generated from it, the manifests and `registry.json`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import InvalidCard, InvalidRegistry, NoCheckout, OutputUnwritable, RegistryOutOfDate
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Manifest
from zoo.registry import FILE_NAME as REGISTRY
from zoo.registry import Entry, Registry
from zoo.staging import write_atomically

CARDS = "cards"


@dataclass(frozen=True)
class Checkout:
    """A folder with `cards/`.

    Attributes
    ----------
    root
        The folder.

    """

    root: Path

    def generated(self) -> dict[str, bytes]:
        """Each generated file's path relative to the root → the content that it should have.

        Raises
        ------
        NoCheckout
            If there is no `cards/`.
        InvalidCard, InvalidModelFile, InvalidManifest
            If a model folder is not sound.

        """
        cards = self.root / CARDS
        if not cards.is_dir():
            raise NoCheckout(str(self.root.resolve()))
        files: dict[str, bytes] = {}
        entries = []
        validated = self._validated()
        for folder in sorted(path for path in cards.iterdir() if path.is_dir()):
            manifest = _manifest(folder)
            files[f"{CARDS}/{folder.name}/{MANIFEST}"] = manifest.render()
            entry = Entry.of(manifest, [f"embedded:{folder.name}"])
            level = validated.get(entry.digest)
            entries.append(entry.model_copy(update={"validated": level}))
        files[REGISTRY] = Registry(registry_version=1, models=entries).render()
        return files

    def _validated(self) -> dict[str, Any]:
        """Digest of each model → the level at which the registry knows it as valid."""
        content = _content(self.root / REGISTRY)
        if content is None:
            return {}
        return {entry.digest: entry.validated for entry in _known(content)}

    def check(self) -> None:
        """Compare the generated files with what they should be.

        Raises
        ------
        RegistryOutOfDate

        """
        if outdated := self._outdated():
            raise RegistryOutOfDate(list(outdated))

    def build(self) -> list[str]:
        """Write the generated files that changed; returns their paths, relative to the root.

        Raises
        ------
        OutputUnwritable

        """
        outdated = self._outdated()
        for path, content in outdated.items():
            try:
                write_atomically(self.root / path, content)
            except OSError as error:
                raise OutputUnwritable(path, error.strerror or str(error)) from error
        return list(outdated)

    def _outdated(self) -> dict[str, bytes]:
        generated = self.generated().items()
        return {path: new for path, new in generated if _content(self.root / path) != new}


def _known(content: bytes) -> list[Entry]:
    try:
        return Registry.parse(content, REGISTRY).models
    except InvalidRegistry:  # it is made anew
        return []


def _manifest(folder: Path) -> Manifest:
    manifest = Manifest.of_folder(folder)
    if manifest.card.name != folder.name:
        detail = f"cellzoo.name: {manifest.card.name!r}, but its folder is {folder.name!r}"
        raise InvalidCard(str(folder / "README.md"), detail)
    return manifest


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
