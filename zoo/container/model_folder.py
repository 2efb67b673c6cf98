"""A model of the cache as a folder, to be mounted: an image without a model gets it that way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zoo.cache import Cache
from zoo.manifest import FILE_NAME
from zoo.pull import PulledModel, pull
from zoo.registry import Entry
from zoo.settings import Settings


def model_folder(entry: Entry, settings: Settings) -> Path:
    """A folder with a model's verified files, made in the cache when it is first needed.

    Whoever reads it verifies it again: the manifest inside has each file's sha256.

    Raises
    ------
    HubError, IntegrityError, CacheUnwritable, DiskFull

    """
    model = pull(entry.reference, settings=settings)
    return Cache(settings.cache).folder(entry.digest, dict(files_of(model))).resolve()


def files_of(model: PulledModel) -> Iterator[tuple[str, bytes]]:
    """Path and verified content of each of a model's files, the manifest first."""
    yield FILE_NAME, model.manifest.render()
    for file in model.files:
        yield file.path, model.load(file)
