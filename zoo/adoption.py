"""Adopting a model from a place that no registry here names: `zoo pull NAME --from URI`.

    URI ─► its registry ─► an entry with a digest ─► fetched, through the gate ─► remembered

The place is named each time and nothing else is tried; afterwards the name is known here, also
without a network.
"""

from __future__ import annotations

from zoo.cache import Cache
from zoo.errors import NoRegistryThere, NotCached
from zoo.hubs.collection import collection_at
from zoo.loaded import Loaded, ensure_same_name
from zoo.pull import Notice, Progress, PulledModel, fetch
from zoo.registry import FILE_NAME, Registry
from zoo.settings import Settings


def registry_at(uri: str, settings: Settings) -> Registry:
    """The registry of a collection, as it is now.

    Raises
    ------
    NoCollection, NoRegistryThere, HubUnreachable, InvalidRegistry, NotCached

    """
    collection = collection_at(uri)
    if settings.offline and collection.needs_network:
        raise NotCached(f"the registry at {uri}", [uri])
    content = collection.registry()
    if content is None:
        raise NoRegistryThere(uri)
    return Registry.parse(content, f"{uri}/{FILE_NAME}")


def adopt(
    reference: str,
    uri: str,
    settings: Settings,
    *,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> PulledModel:
    """Fetch a model from a collection and remember its name.

    Raises
    ------
    NotFound, IntegrityError, HubError, CacheUnwritable, DiskFull
        In each case no name is known here that was not before.

    """
    entry = registry_at(uri, settings).resolve(reference)
    ensure_same_name(entry, settings)
    pulled = fetch(entry, settings=settings, on_progress=on_progress, on_notice=on_notice)
    record = Loaded(entry=entry, files=[]).render()
    Cache(settings.cache).record(entry.name, entry.version, record)
    return pulled
