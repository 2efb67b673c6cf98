"""What was brought into the cache: models that no registry may name, and images.

A record lies beside the model's manifest. By it, `zoo list`, `zoo pull` and `zoo run` know a name
on a machine without a network; the registry that comes with the package wins where it knows the
same version.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from zoo.cache import Cache
from zoo.card import CardModel, Line, Sha256
from zoo.digest import sha256_of
from zoo.errors import NameTaken
from zoo.hubs import embedded
from zoo.registry import Entry, Registry
from zoo.settings import Settings
from zoo.subscriptions import Subscriptions, merged


class ImageArchive(CardModel):
    """A container image in the cache."""

    name: Line
    sha256: Sha256
    size: int


class Loaded(CardModel):
    """A model that came in a bundle."""

    entry: Entry
    files: list[ImageArchive]
    """What came beside the model; under this name the cache looks for digests to keep."""

    def render(self) -> bytes:
        """The bytes of the record."""
        return f"{self.model_dump_json(indent=1)}\n".encode()


def loaded(cache: Cache) -> list[Loaded]:
    """The records of the cache whose model is there; damaged ones are left out."""
    found = []
    for content in cache.records():
        try:
            record = Loaded.model_validate_json(content)
        except ValidationError:
            continue
        manifest = cache.manifest(record.entry.name, record.entry.version)
        if manifest is not None and sha256_of(manifest) == record.entry.digest:
            found.append(record)
    return found


def known_registry(settings: Settings) -> Registry:
    """Every version that this machine knows.

    The package's registry, those that the user added, and what came from elsewhere by bundles or
    `zoo pull --from`, in this order.

    Raises
    ------
    InvalidRegistry

    """
    added = [known.registry for known in Subscriptions.read(settings).registries]
    registry = merged(embedded.embedded_registry(), added)
    known = {entry.reference for entry in registry.models}
    brought = [record.entry for record in loaded(Cache(settings.cache))]
    others = [entry for entry in brought if entry.reference not in known]
    return registry.model_copy(update={"models": [*registry.models, *others]})


def ensure_same_name(entry: Entry, settings: Settings) -> None:
    """Refuse another model under a name that is taken: one word must mean one model.

    Raises
    ------
    NameTaken

    """
    cache = Cache(settings.cache)
    for known in known_registry(settings).models:
        if known.reference == entry.reference and known.digest != entry.digest:
            raise NameTaken(entry.reference, known.digest, entry.digest)
    content = cache.manifest(entry.name, entry.version)
    if content is not None and (before := sha256_of(content)) != entry.digest:
        raise NameTaken(entry.reference, before, entry.digest)


def image_archive(cache: Cache, name: str) -> Path | None:
    """The verified archive of an image that came in a bundle, if there is one."""
    for record in loaded(cache):
        for image in record.files:
            if image.name == name and cache.is_sound(image.sha256):
                return cache.blob_path(image.sha256)
    return None
