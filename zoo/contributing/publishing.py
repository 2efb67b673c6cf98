"""Publishing: a valid folder becomes a version that never changes.

validate deep ─► what is there already ─► files, manifest, tag ─► registry.json ─► read back
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from zoo.contributing.validating import Report, ensure_valid
from zoo.errors import PublishedUnseen, VersionPublished
from zoo.hubs.collection import Collection, Offer, collection_at
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Manifest
from zoo.pull import in_place
from zoo.registry import FILE_NAME as REGISTRY
from zoo.registry import Entry, Registry
from zoo.staging import write_atomically

_ATTEMPTS = 4


@dataclass(frozen=True)
class Published:
    """What publishing did.

    Attributes
    ----------
    place
        URI of the model.
    is_new
        False where the very same version was there already.

    """

    entry: Entry
    uri: str
    place: str
    is_new: bool


def publish(folder: Path, uri: str) -> Published:
    """Validate a folder and publish it to a collection.

    Raises
    ------
    ValidationFailed
    VersionPublished
        If other bytes were published under the version.
    NoCollection, HubUnreachable, HubDenied, PushRefused, PublishedUnseen

    """
    report = ensure_valid(folder, "deep")
    manifest = report.manifest
    assert manifest is not None, "a valid folder has one"
    write_atomically(folder / MANIFEST, manifest.render())
    collection = collection_at(uri)
    entry = entry_of(manifest, collection)
    before = _known(collection, entry)
    if before is not None:
        if before.digest != entry.digest:
            raise VersionPublished(entry.reference, uri, before.digest, entry.digest)
        return Published(before, uri, before.locations[0], is_new=False)
    pulled = in_place(folder)
    collection.put_model(Offer(manifest, manifest.render(), pulled.load, _told(report)))
    _register(collection, entry)
    return Published(entry, uri, entry.locations[0], is_new=True)


def entry_of(manifest: Manifest, collection: Collection) -> Entry:
    """The entry of a model in a collection's registry."""
    card = manifest.card
    entry = Entry.of(manifest, [collection.place_of(card.name, card.version)])
    return entry.model_copy(update={"validated": "deep"})


def _registry(collection: Collection) -> Registry:
    content = collection.registry()
    if content is None:
        return Registry(registry_version=1, models=[])
    return Registry.parse(content, f"{collection.uri}/{REGISTRY}")


def _known(collection: Collection, entry: Entry) -> Entry | None:
    models = _registry(collection).models
    return next((known for known in models if known.reference == entry.reference), None)


def _register(collection: Collection, entry: Entry) -> None:
    """Name the model; read back, since somebody else may have written in between."""
    for _ in range(_ATTEMPTS):
        known = _registry(collection)
        models = [*(e for e in known.models if e.reference != entry.reference), entry]
        models.sort(key=lambda one: (one.name, one.order))
        collection.put_registry(Registry(registry_version=1, models=models).render())
        if _known(collection, entry) is not None:
            return
    raise PublishedUnseen(entry.reference, collection.uri)


def _told(report: Report) -> bytes:
    """The report of the validation, as JSON, without the author's path."""
    findings = [
        {"level": f.level, "check": f.check, "status": f.status, "detail": f.detail}
        for f in report.findings
    ]
    return json.dumps({"level": report.level, "findings": findings}, indent=1).encode()
