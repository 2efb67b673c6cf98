"""Taking a bundle into the cache: refused as a whole, or there as a whole.

headers ─► sha256 of every file ─► manifest ─► names ─► image, model, record into the cache
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.bundles.archive import Bundle, read_bundle
from zoo.bundles.hub import SCHEME
from zoo.bundles.image_names import image_names
from zoo.bundles.index import IMAGE, MODEL
from zoo.cache import Cache
from zoo.errors import ImageTagged
from zoo.loaded import ImageArchive, Loaded, ensure_same_name
from zoo.manifest import FILE_NAME as MANIFEST
from zoo.manifest import Manifest
from zoo.pull import fetch
from zoo.registry import Entry
from zoo.settings import Settings


@dataclass(frozen=True)
class Unpacked:
    """What a bundle brought: the model, and the name of an image."""

    entry: Entry
    files: int
    image: str | None


def load_bundle(path: Path, settings: Settings, *, with_image: bool = True) -> Unpacked:
    """Verify a bundle and store what it holds; no network and no container engine is needed.

    Raises
    ------
    FileMissing, FileUnreadable, IntegrityError, CacheUnwritable, DiskFull
        In each case the cache knows no more names than before.

    """
    bundle = read_bundle(path)
    bundle.verify()
    manifest = _manifest(bundle)
    cache = Cache(settings.cache)
    entry = bundle.index.entry
    ensure_same_name(entry, settings)
    located = entry.model_copy(update={"locations": [f"{SCHEME}{path.resolve()}"]})
    images = _store_image(bundle, cache) if with_image else []
    fetch(located, settings=settings)
    cache.record(entry.name, entry.version, Loaded(entry=located, files=images).render())
    return Unpacked(located, len(manifest.files), images[0].name if images else None)


def _manifest(bundle: Bundle) -> Manifest:
    with bundle.open(MODEL + MANIFEST) as stream:
        manifest = Manifest.parse(stream.read(), f"{bundle.path}/{MODEL}{MANIFEST}")
    bundle.index.hold_against(manifest, str(bundle.path))
    return manifest


def _store_image(bundle: Bundle, cache: Cache) -> list[ImageArchive]:
    name = bundle.index.image
    if name is None:
        return []
    with bundle.open(IMAGE) as stream:
        names = image_names(stream)
    if names != [name]:
        raise ImageTagged(str(bundle.path), name, names)
    file = next(file for file in bundle.index.files if file.path == IMAGE)
    if not cache.is_sound(file.sha256):
        with bundle.open(IMAGE) as stream:
            origin = f"{SCHEME}{bundle.path}"
            cache.add(stream, sha256=file.sha256, size=file.size, file=IMAGE, origin=origin)
    return [ImageArchive(name=name, sha256=file.sha256, size=file.size)]
