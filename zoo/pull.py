"""From a model's name to its verified bytes.

    reference ── a path, or on a shelf ──────────────► used in place
        │
        └─► registry: an entry with a digest ─► plan ─► Reuse   in the cache already
                                                   └──► Fetch   hub → sha256 → cache

`plan` decides and `execute` acts. What a hub gives is checked against the registry (the manifest)
and the manifest (each file). A model is fetched from the first of its locations that may be used;
no other is tried unasked, and `origin` says which it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from zoo.admission import admit, ensure_announced
from zoo.cache import Cache
from zoo.digest import sha256_of
from zoo.errors import (
    CacheUnwritable,
    FileMissing,
    InvalidManifest,
    InvalidModelFile,
    NotCached,
    UnknownModel,
)
from zoo.gate.files import ensure_bounded
from zoo.hubs import Hub, hub_for
from zoo.hubs.arrival import Arriving, published_manifest, verified
from zoo.hubs.folder import FolderHub
from zoo.loaded import known_registry
from zoo.manifest import FILE_NAME, MAXIMUM_BYTES, FileRole, Manifest, ModelFile
from zoo.registry import Entry, Registry
from zoo.settings import Settings
from zoo.shelf import catalog, find

_OWN = "embedded:"
"""What comes with the package needs no trial; every other place does."""

Progress = Callable[[int, int], None]
"""Called with the bytes fetched so far and the bytes in all."""
Notice = Callable[[str], None]
"""Called with a sentence for the user."""


@dataclass(frozen=True)
class PulledModel:
    """A model whose files can be read.

    Attributes
    ----------
    manifest
        Its card's block and its files.
    manifest_bytes
        What `manifest.json` holds, byte for byte: each version of CellZoo may write it otherwise.
    origin
        Where it came from: a hub's URI, `cache`, or a folder.
    load
        Gives the verified content of one of the manifest's files.
    is_by_path
        Whether it was asked for by the path of its folder, not by name.

    """

    manifest: Manifest
    manifest_bytes: bytes = field(repr=False)
    origin: str
    load: Callable[[ModelFile], bytes] = field(repr=False)
    is_by_path: bool = False

    @property
    def digest(self) -> str:
        """Sha256 of the manifest: pins every byte."""
        return sha256_of(self.manifest_bytes)

    @property
    def files(self) -> tuple[ModelFile, ...]:
        """The model's files."""
        return tuple(self.manifest.files)

    def read(self, role: FileRole) -> bytes:
        """The content of the file with a role, verified against the manifest at this very read.

        Raises
        ------
        InvalidModelFile
            If the model has no such file.
        DigestMismatch, WrongSize
            If the content is another and cannot be fetched again.
        HubUnreachable, NotCached
            If a damaged file in the cache must be fetched again and cannot be.

        """
        file = self.manifest.file(role)
        if file is None:
            raise InvalidModelFile(self.manifest.reference, role, "the model has no such file")
        return self.load(file)

    def contents(self) -> dict[str, bytes]:
        """Path and verified content of each file of the model's folder, the manifest first."""
        return {FILE_NAME: self.manifest_bytes} | {f.path: self.load(f) for f in self.files}


@dataclass(frozen=True)
class Reuse:
    """The cache has the model."""

    entry: Entry
    manifest: Manifest
    manifest_bytes: bytes


@dataclass(frozen=True)
class Fetch:
    """The model must come from a hub, or those of its files that the cache has lost."""

    entry: Entry
    hub: Hub
    repairs: bool
    """Whether the cache had the model, but files are missing or of another size."""


def pull(
    reference: str,
    *,
    settings: Settings,
    registry: Registry | None = None,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> PulledModel:
    """Have a model on this machine, and give access to its files.

    Parameters
    ----------
    reference
        `name`, `name@version`, or the path of a model folder (one that begins with `.`, `~` or
        holds a separator), which is used in place.
    settings
        The cache, the shelves and whether the network may be used.
    registry
        Where names are looked up; by default the registry that comes with the package, and what
        bundles brought.
    on_progress, on_notice
        Told how far a fetch is, and what the user should know.

    Raises
    ------
    NotFound, IntegrityError, HubError, FileMissing, CacheUnwritable, DiskFull

    """
    found = locate(reference, settings, registry)
    if isinstance(found, Path):
        return in_place(found, is_by_path=is_path(reference))
    return fetch(found, settings=settings, on_progress=on_progress, on_notice=on_notice)


def fetch(
    entry: Entry,
    *,
    settings: Settings,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> PulledModel:
    """As `pull`, for an entry of a registry."""
    cache = Cache(settings.cache)
    step = plan(entry, cache, offline=settings.offline)
    return execute(
        step, cache, offline=settings.offline, on_progress=on_progress, on_notice=on_notice
    )


def browse(reference: str, *, settings: Settings, registry: Registry | None = None) -> PulledModel:
    """Look into a model without storing it: as `pull`, but a file is fetched when it is read."""
    found = locate(reference, settings, registry)
    if isinstance(found, Path):
        return in_place(found, is_by_path=is_path(reference))
    cache = Cache(settings.cache)
    step = plan(found, cache, offline=settings.offline)
    if isinstance(step, Reuse):
        return execute(step, cache, offline=settings.offline)
    content = published_manifest(step.hub, found.digest)
    manifest = Manifest.parse(content, f"{step.hub.uri}/{FILE_NAME}")
    return PulledModel(manifest, content, step.hub.uri, partial(verified, step.hub))


def locate(reference: str, settings: Settings, registry: Registry | None = None) -> Entry | Path:
    """What a reference stands for: a folder used in place, or an entry of the registry.

    Raises
    ------
    MalformedReference, UnknownModel, UnknownVersion, InvalidRegistry, HubUnreachable

    """
    if is_path(reference):
        return Path(reference).expanduser()
    if (shelved := find(reference, settings.models)) is not None:
        return shelved
    known = known_registry(settings) if registry is None else registry
    try:
        return catalog(known, settings.models).resolve(reference)
    except UnknownModel as error:
        if not (Path(reference) / FILE_NAME).is_file():
            raise
        # Never taken unasked: the same word must mean the same model in every folder.
        raise UnknownModel(error.name, error.near, is_folder=True) from error


def is_path(reference: str) -> bool:
    """Whether a reference names a folder, not a model of the registry."""
    return reference.startswith((".", "~")) or os.sep in reference or "/" in reference


def plan(entry: Entry, cache: Cache, *, offline: bool = False) -> Reuse | Fetch:
    """Decide whether a model must be fetched, and from where; nothing is fetched yet.

    Raises
    ------
    NotCached
        If it must be fetched and `offline` leaves no place.
    UnknownScheme

    """
    content = cache.manifest(entry.name, entry.version)
    repairs = False
    if content is not None and sha256_of(content) == entry.digest:
        manifest = Manifest.parse(content, f"cache:{entry.reference}")
        if all(cache.has(file.sha256, file.size) for file in manifest.files):
            return Reuse(entry, manifest, content)
        repairs = True
    return Fetch(entry, _source(entry, offline=offline), repairs=repairs)


def execute(
    step: Reuse | Fetch,
    cache: Cache,
    *,
    offline: bool = False,
    on_progress: Progress | None = None,
    on_notice: Notice | None = None,
) -> PulledModel:
    """Fetch what a plan says, and give access to the cached files."""
    if isinstance(step, Fetch):
        if step.repairs and on_notice:
            on_notice(_repair("files are", step.entry, step.hub))
        manifest, content = _fetch(step, cache, on_progress)
        origin = step.hub.uri
    else:
        manifest, content, origin = step.manifest, step.manifest_bytes, "cache"
    reader = _CacheReader(cache, step.entry, offline=offline, on_notice=on_notice)
    return PulledModel(manifest, content, origin, reader.load)


def in_place(folder: Path, *, is_by_path: bool = True) -> PulledModel:
    """A model folder, read where it lies and verified against its own manifest.

    Raises
    ------
    FileMissing, InvalidManifest, UnsafeFileName

    """
    if not folder.exists():
        raise FileMissing(str(folder))
    path = folder / FILE_NAME
    if not path.is_file():
        raise InvalidManifest(str(path), "there is no such file")
    hub = FolderHub(str(folder))
    with Arriving(hub, FILE_NAME) as stream:
        content = stream.read(MAXIMUM_BYTES + 1)
    manifest = Manifest.parse(content, str(path))
    load = partial(verified, hub)
    return PulledModel(manifest, content, hub.uri, load, is_by_path)


# -- acting --------------------------------------------------------------------------------------


def _fetch(step: Fetch, cache: Cache, on_progress: Progress | None) -> tuple[Manifest, bytes]:
    entry, hub = step.entry, step.hub
    content = published_manifest(hub, entry.digest)
    manifest = Manifest.parse(content, f"{hub.uri}/{FILE_NAME}")
    if manifest.reference != entry.reference:
        detail = f"it is of {manifest.reference!r}, not of {entry.reference!r}"
        raise InvalidManifest(f"{hub.uri}/{FILE_NAME}", detail)
    ensure_bounded(manifest)
    if is_foreign := not hub.uri.startswith(_OWN):
        ensure_announced(entry, manifest, hub.uri)
    missing = [file for file in manifest.files if not cache.has(file.sha256, file.size)]
    total, done = sum(file.size for file in missing), 0
    with cache.committing(entry.name, entry.version, content):
        for file in missing:
            _store(file, hub, cache)
            done += file.size
            if on_progress:
                on_progress(done, total)
        # What is refused stays unnamed in the cache, until `zoo cache prune`.
        if is_foreign:
            admit(manifest, partial(_admitted, cache=cache), hub.uri)
    return manifest, content


def _admitted(file: ModelFile, cache: Cache) -> bytes:
    content = cache.read(file.sha256)
    if content is None:
        raise CacheUnwritable(str(cache.root), f"{file.path!r} does not stay whole there")
    return content


def _store(file: ModelFile, hub: Hub, cache: Cache) -> None:
    with Arriving(hub, file.path) as stream:
        cache.add(stream, sha256=file.sha256, size=file.size, file=file.path, origin=hub.uri)


def _source(entry: Entry, *, offline: bool) -> Hub:
    for location in entry.locations:
        hub = hub_for(location)
        if not (offline and hub.needs_network):
            return hub
    raise NotCached(entry.reference, entry.locations)


def _repair(what: str, entry: Entry, hub: Hub) -> str:
    return (
        f"The cache's copy of {entry.reference} is damaged ({what} missing or changed); fetching "
        f"again from {hub.uri}."
    )


class _CacheReader:
    """Reads a model's files from the cache; a damaged one is fetched again and said."""

    def __init__(
        self, cache: Cache, entry: Entry, *, offline: bool, on_notice: Notice | None
    ) -> None:
        self._cache, self._entry, self._offline = cache, entry, offline
        self._on_notice = on_notice

    def load(self, file: ModelFile) -> bytes:
        content = self._cache.read(file.sha256)
        if content is not None:
            return content
        hub = _source(self._entry, offline=self._offline)
        if self._on_notice:
            self._on_notice(_repair(f"{file.path!r} is", self._entry, hub))
        _store(file, hub, self._cache)
        content = self._cache.read(file.sha256)
        if content is None:  # verified a moment ago: the disk itself does not keep it
            raise CacheUnwritable(str(self._cache.root), f"{file.path!r} does not stay whole there")
        return content
