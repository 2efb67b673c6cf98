"""Making images, from the order to where they go.

runner, runner-gpu, trainer   Dockerfile ─► engine [─► registry]
a model                       runner (engine, archive or registry) + layer
                                  ─► registry, archive, or engine
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zoo.container.command import EngineName
from zoo.container.engine import Engine
from zoo.container.images import PREFIX
from zoo.errors import BaseImageMissing
from zoo.hubs.oci_reference import OciReference
from zoo.imaging.base_image import BaseImage
from zoo.imaging.build_context import PipNeeds
from zoo.imaging.image_archive import open_archive, write_archive
from zoo.imaging.image_registry import Pushed, base_in_registry, push_image
from zoo.imaging.layer import ModelLayer
from zoo.imaging.model_image import ModelImage
from zoo.imaging.recipe import Recipe
from zoo.pull import PulledModel
from zoo.version import __version__

SCHEME = "oci://"


@dataclass(frozen=True)
class Order:
    """What is wanted of an image.

    Attributes
    ----------
    engine
        The engine that builds, lends the base or takes the image.
    base_image
        What to build on; by default the Dockerfile's, or for a model the runner of this version.
    tag
        What to call it; by default `cellzoo/<name>`, with its version and as the latest.
    push
        `oci://…`, to push it.
    archive
        A file to write it into.

    """

    engine: EngineName = "docker"
    base_image: str | None = None
    tag: str | None = None
    push: str | None = None
    archive: Path | None = None
    overwrite: bool = False

    def tags(self, name: str, version: str) -> tuple[str, ...]:
        """What the image will be called; the first is its name."""
        image = f"{PREFIX}{name}"
        return (self.tag,) if self.tag else (f"{image}:{version}", f"{image}:latest")


@dataclass(frozen=True)
class Made:
    """What came of an order.

    Attributes
    ----------
    image
        Its name.
    place
        Where it is: an engine, a registry or a file.
    added
        Bytes that the model added, as stored; 0 for a runner.
    pushed
        What a push of a model sent and took over.

    """

    image: str
    place: str
    added: int = 0
    pushed: Pushed | None = None


def build(recipe: Recipe, needs: PipNeeds, order: Order) -> Made:
    """Build an image by an engine and push it where that is wanted.

    Raises
    ------
    HubError, NoImageSources, MalformedOciReference

    """
    destination = OciReference.parse(order.push) if order.push else None
    engine = Engine.reach(order.engine)
    recipe.build(engine, needs)
    if destination is None:
        return Made(recipe.tags[0], engine.name)
    engine.push(recipe.tags[0], str(destination).removeprefix(SCHEME))
    return Made(recipe.tags[0], str(destination))


def put_together(model: PulledModel, order: Order) -> Made:
    """Make a model's image without an engine, and send it where it is wanted.

    Raises
    ------
    BaseImageMissing, InvalidImage, IntegrityError, HubError, OutputError

    """
    card = model.manifest.card
    tags = order.tags(card.name, card.version)
    layer = ModelLayer.of(model)
    with _base(order) as base:
        image = ModelImage.on(base, layer, model.manifest, model.digest)
        if order.push:
            pushed = push_image(image, order.push)
            return Made(tags[0], order.push, len(layer.compressed), pushed)
        if order.archive:
            write_archive(image, order.archive, tags, overwrite=order.overwrite)
            return Made(tags[0], str(order.archive), len(layer.tar))
        with tempfile.TemporaryDirectory(prefix="cellzoo-") as folder:
            archive = Path(folder) / "image.tar"
            write_archive(image, archive, tags)
            Engine.reach(order.engine).load(archive, tags[0])
        return Made(tags[0], order.engine, len(layer.tar))


@contextmanager
def _base(order: Order) -> Iterator[BaseImage]:
    """The runner that was named, or the one that is nearest to where the image goes."""
    named = order.base_image or _nearest_runner(order.push)
    if named.startswith(SCHEME):
        yield base_in_registry(named)
    elif Path(named).is_file():
        yield open_archive(Path(named))
    else:
        engine = Engine.reach(order.engine)
        if engine.label(named, "org.opencontainers.image.title") is None:
            raise BaseImageMissing(named, engine.name, "it has no such image")
        with tempfile.TemporaryDirectory(prefix="cellzoo-") as folder:
            archive = Path(folder) / "base.tar"
            engine.save(named, archive)
            yield open_archive(archive)


def _nearest_runner(push: str | None) -> str:
    if push is None:
        return f"{PREFIX}runner:{__version__}"
    place = OciReference.parse(push)
    folder = place.repository.rpartition("/")[0]
    return f"{SCHEME}{place.host}/{folder and folder + '/'}runner:{__version__}"
