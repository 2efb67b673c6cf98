"""Shelves: the read-only folders of models that `ZOO_MODELS` names.

A shelf's subfolders are models, used in place. They come before the registry for their names, so
that a model image or a cluster's shared folder needs neither cache nor network.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zoo.cache import Cache
from zoo.digest import sha256_of
from zoo.errors import NoModelsFolder
from zoo.hubs.embedded import is_carried
from zoo.hubs.folder import FolderHub
from zoo.manifest import FILE_NAME, Manifest
from zoo.registry import Entry, Registry


def find(reference: str, shelves: Iterable[Path]) -> Path | None:
    """The folder of `name` (its newest version there) or `name@version`, if a shelf has it."""
    name, _, version = reference.partition("@")
    entries = [entry for entry in _entries(shelves) if entry.name == name]
    if version:
        entries = [entry for entry in entries if entry.version == version]
    newest = max(entries, key=lambda entry: entry.order, default=None)
    return Path(newest.locations[0]) if newest else None


def catalog(registry: Registry, shelves: Iterable[Path]) -> Registry:
    """Every version that can be named: those on the shelves, then the registry's others."""
    shelved = _entries(shelves)
    references = {entry.reference for entry in shelved}
    others = [entry for entry in registry.models if entry.reference not in references]
    return Registry(registry_version=1, models=[*shelved, *others])


def newest(registry: Registry, shelves: Iterable[Path]) -> list[Entry]:
    """What each bare name stands for, by name: a shelf's newest version before the registry's."""
    shelved = Registry(registry_version=1, models=_entries(shelves))
    found = {entry.name: entry for entry in (*registry.newest(), *shelved.newest())}
    return [found[name] for name in sorted(found)]


def obtainable(entries: Iterable[Entry], cache: Cache) -> list[Entry]:
    """Those that can be had: in the cache, or at a place that is not the package's own lack."""
    return [
        entry
        for entry in entries
        if cache.manifest(entry.name, entry.version) is not None
        or any(not place.startswith("embedded:") or is_carried(place) for place in entry.locations)
    ]


def _entries(shelves: Iterable[Path]) -> list[Entry]:
    """An entry for each model on the shelves; the first shelf wins for the same `name@version`."""
    found: dict[str, Entry] = {}
    for shelf in shelves:
        if not shelf.is_dir():
            raise NoModelsFolder(str(shelf))
        for path in sorted(shelf.glob(f"*/{FILE_NAME}")):
            with FolderHub(str(path.parent)).open(FILE_NAME) as stream:
                content = stream.read()
            manifest = Manifest.parse(content, str(path))
            entry = Entry.of(manifest, [str(path.parent)], digest=sha256_of(content))
            found.setdefault(manifest.reference, entry)
    return list(found.values())
