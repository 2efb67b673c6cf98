"""Which image a run uses, where it is looked for, and how it is made where there is none.

cellzoo/<model>:<version of the model>    the runner with one model
cellzoo/runner:<version of CellZoo>       the runner alone; models are mounted
cellzoo/runner-gpu:<version of CellZoo>   the same for NVIDIA GPUs
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.cache import Cache
from zoo.container.command import EngineName
from zoo.container.engine import Engine
from zoo.errors import ImageMismatch, ImageMissing
from zoo.loaded import image_archive
from zoo.registry import Entry
from zoo.settings import Settings
from zoo.version import __version__

PREFIX = "cellzoo/"
DIGEST_LABEL = "org.cellzoo.digest"
"""The label of a model image that holds its model's digest."""


@dataclass(frozen=True)
class Image:
    """An image that a run may use.

    Attributes
    ----------
    name
        `cellzoo/…:…`.
    command
        What makes it.
    digest
        The digest of the model inside; None for a runner without one.

    """

    name: str
    command: str
    digest: str | None = None

    @property
    def has_model(self) -> bool:
        """Whether the image needs no model mounted."""
        return self.digest is not None

    @classmethod
    def of_runner(cls, *, gpu: bool = False) -> Image:
        """The runner, to which models are mounted."""
        name = "runner-gpu" if gpu else "runner"
        return cls(f"{PREFIX}{name}:{__version__}", f"zoo image build {name}")

    @classmethod
    def of_model(cls, entry: Entry) -> Image:
        """The image of a model."""
        name = f"{PREFIX}{entry.name}:{entry.version}"
        return cls(name, f"zoo image build {entry.reference}", entry.digest)

    def sif(self, cache: Path) -> Path:
        """Where apptainer's form of it is looked for."""
        return cache / "sif" / f"{self.name.removeprefix(PREFIX).replace(':', '_')}.sif"


def provide(image: Image, engine: Engine, settings: Settings) -> str:
    """What the engine knows an image by; one that is not here is taken from a bundle or registry.

    Nothing is ever built unasked.

    Raises
    ------
    ImageMissing, ImageMismatch, ImageUnusable

    """
    if engine.name == "apptainer":
        return _sif(image, settings)
    if engine.label(image.name, DIGEST_LABEL) is None:
        _fetch(image, engine, settings)
    ensure_present(image, engine)
    return image.name


def ensure_present(image: Image, engine: Engine) -> None:
    """Make sure that the engine itself has an image of this very model.

    Raises
    ------
    ImageMissing, ImageMismatch

    """
    label = engine.label(image.name, DIGEST_LABEL)
    if label is None:
        raise ImageMissing(image.name, engine.name, image.command)
    if label and image.digest and label != image.digest:
        raise ImageMismatch(image.name, image.digest, label, image.command)


def _fetch(image: Image, engine: Engine, settings: Settings) -> None:
    archive = image_archive(Cache(settings.cache), image.name)
    if archive is not None:
        engine.load(archive, image.name)
    elif settings.images and not settings.offline:
        engine.pull(f"{settings.images}/{image.name.removeprefix(PREFIX)}", image.name)
    else:
        raise ImageMissing(image.name, engine.name, image.command, _not_pulled(settings))


def _not_pulled(settings: Settings) -> str:
    return f"--offline forbids fetching it from {settings.images}" if settings.images else ""


def _sif(image: Image, settings: Settings) -> str:
    path = image.sif(settings.cache)
    if path.is_file():
        return str(path)
    archive = image_archive(Cache(settings.cache), image.name)
    source = f"docker-archive:{archive}" if archive else f"docker-daemon:{image.name}"
    raise ImageMissing(image.name, "apptainer", f"apptainer build {path} {source}")


@contextmanager
def saved_image(image: Image, engine: EngineName, beside: Path) -> Iterator[tuple[str, Path]]:
    """An image's name and archive, in a file beside another for as long as the block takes.

    Raises
    ------
    EngineMissing, EngineUnreachable, ImageMissing, ImageMismatch, ImageUnusable

    """
    reached = Engine.reach(engine)
    ensure_present(image, reached)
    archive = beside.with_name(f"{beside.name}.image")
    try:
        reached.save(image.name, archive)
        yield image.name, archive
    finally:
        archive.unlink(missing_ok=True)
