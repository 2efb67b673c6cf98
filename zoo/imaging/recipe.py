"""Building an image from its Dockerfile by an engine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from zoo.container.engine import Engine
from zoo.imaging.build_context import PipNeeds, write_context
from zoo.version import __version__


@dataclass(frozen=True)
class Recipe:
    """An image that an engine builds.

    Attributes
    ----------
    name
        `runner`, `runner-gpu` or `trainer`: `containers/<name>.Dockerfile`.
    tags
        What it will be called; the first is its name.
    base_image
        What it is built in; by default the one that its Dockerfile names.
    runtime_image
        What it runs on; by default the base image.
    network
        The network of the build. `host`: an index or proxy on this machine is reached.

    """

    name: str
    tags: tuple[str, ...]
    base_image: str | None = None
    runtime_image: str | None = None
    network: str = "host"

    def build(self, engine: Engine, needs: PipNeeds) -> None:
        """Build it.

        Raises
        ------
        NoImageSources, BuildFailed

        """
        chosen = {"BASE_IMAGE": self.base_image, "RUNTIME_IMAGE": self.runtime_image}
        args = {"VERSION": __version__, **{key: value for key, value in chosen.items() if value}}
        options = ["--network", self.network]
        for name, value in (args | needs.build_args()).items():
            options += ["--build-arg", f"{name}={value}"]
        with tempfile.TemporaryDirectory(prefix="cellzoo-") as folder:
            write_context(Path(folder), needs)
            engine.build(Path(folder), f"containers/{self.name}.Dockerfile", self.tags, options)
