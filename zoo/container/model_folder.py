"""A model of the cache as a folder, to be mounted: an image without a model gets it that way."""

from __future__ import annotations

from pathlib import Path

from zoo.cache import Cache
from zoo.pull import pull
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
    return Cache(settings.cache).folder(entry.digest, model.contents()).resolve()
