"""Where models come from: the cache, the shelves, the registry and the hubs."""

from __future__ import annotations

import os
import shutil
from importlib.metadata import entry_points

from zoo.cache import Cache
from zoo.doctor.finding import Finding, Level
from zoo.errors import ZooError
from zoo.hubs import GROUP, embedded
from zoo.loaded import loaded
from zoo.settings import Settings
from zoo.shelf import catalog

_LITTLE = 1_000_000_000


def of_cache(settings: Settings) -> Finding:
    """The cache: where, how large, writable, and every file what its name says."""
    cache, root = Cache(settings.cache), settings.cache
    there = next(path for path in (root, *root.parents) if path.exists())
    writable = os.access(there, os.W_OK | os.X_OK) and there.is_dir()
    free = shutil.disk_usage(there).free
    damaged = [str(path.relative_to(root)) for path in cache.verify()] if root.is_dir() else []
    size = f"{cache.size / 1e6:,.1f} MB; {free / 1e9:,.1f} GB free"
    facts = f"{root}: {len(cache.models())} model(s), {size}"
    return judge_cache(
        facts, damaged, writable=writable, free=free, has_shelves=bool(settings.models)
    )


def judge_cache(
    facts: str, damaged: list[str], *, writable: bool, free: int, has_shelves: bool = False
) -> Finding:
    """Judge what is known of the cache; models on shelves need none."""
    if damaged:
        shown = ", ".join(damaged[:3]) + (", …" if len(damaged) > 3 else "")
        return Finding(
            "cache", "fail", f"{facts}; damaged or missing: {shown}",
            "'zoo cache prune' removes what is damaged; 'zoo pull NAME' fetches it again.",
        )  # fmt: skip
    if not writable:
        level: Level = "warn" if has_shelves else "fail"
        remedy = "Let ZOO_CACHE name a folder that you may write to."
        if has_shelves:
            remedy = f"Models in ZOO_MODELS run without it. For others: {remedy}"
        return Finding("cache", level, f"{facts}; you may not write there", remedy)
    if free < _LITTLE:
        return Finding(
            "cache", "warn", facts, "The disk is nearly full: 'zoo cache ls', 'zoo cache rm NAME'."
        )
    return Finding("cache", "ok", facts)


def of_models(settings: Settings) -> Finding:
    """The registry, what bundles brought, and the folders that `ZOO_MODELS` names."""
    shelves = ", ".join(map(str, settings.models))
    try:
        registry = embedded.embedded_registry()
        shelved = len(catalog(registry.model_copy(update={"models": []}), settings.models).models)
    except ZooError as error:
        return Finding("models", "fail", error.message, error.hint)
    brought = len(loaded(Cache(settings.cache)))
    message = f"{len(registry.models)} in the registry, {brought} from bundles"
    if shelves:
        message += f", {shelved} in ZOO_MODELS ({shelves})"
    if shelves and not shelved:
        remedy = "There is no model folder: put or mount one there, or correct ZOO_MODELS."
        return Finding("models", "warn", message, remedy)
    return Finding("models", "ok", message, "'zoo list' shows them.")


def of_hubs(settings: Settings) -> Finding:
    """The kinds of places that models can be pulled from."""
    schemes = ", ".join(sorted({f"{point.name}:" for point in entry_points(group=GROUP)}))
    network = "never (ZOO_OFFLINE)" if settings.offline else "where a hub needs it"
    images = f"; images from {settings.images}" if settings.images else ""
    if not schemes:
        return Finding(
            "hubs",
            "fail",
            "no hub is registered",
            "Install cellzoo again: its metadata is missing.",
        )
    return Finding("hubs", "ok", f"{schemes}; network: {network}{images}")


def of_staging(settings: Settings) -> Finding | None:
    """What broken-off pulls left."""
    left = Cache(settings.cache).stale()
    if not left:
        return None
    return Finding(
        "cache",
        "warn",
        f"{len(left)} file(s) of broken-off pulls",
        "'zoo cache prune' removes them.",
    )
