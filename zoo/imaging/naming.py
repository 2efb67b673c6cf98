"""Names of images: `cellzoo/runner:<version of the package>`, `cellzoo/<model>:<its version>`."""

from __future__ import annotations

from zoo.version import __version__

ORGANISATION = "cellzoo"
# What an engine builds, each from `containers/<name>.Dockerfile`.
BUILT = ("runner", "runner-gpu", "trainer")


def built_image(name: str) -> str:
    """The name of an image that an engine builds."""
    return f"{ORGANISATION}/{name}:{__version__}"


def model_image(name: str, version: str) -> str:
    """The name of a model's image."""
    return f"{ORGANISATION}/{name}:{version}"


def with_tag(image: str) -> str:
    """An image's name with its tag, `latest` where none is said."""
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"
