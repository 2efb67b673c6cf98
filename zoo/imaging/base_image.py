"""The image that a model is put on: its config, and its layers where they lie."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from zoo.errors import InvalidImage


@dataclass(frozen=True)
class StoredLayer:
    """A layer as it is stored in an archive or registry.

    Attributes
    ----------
    diff_id
        Sha256 of its tar.
    size
        Bytes that are stored: of the tar, or of its compressed form.
    open
        Opens what is stored.
    digest
        Sha256 of what is stored; None where nobody said it, as in an archive.

    """

    diff_id: str
    size: int
    open: Callable[[], BinaryIO]
    digest: str | None = None


@dataclass(frozen=True)
class BaseImage:
    """An image to build on.

    Attributes
    ----------
    name
        Where it is from, for messages.
    config
        Its config: environment, entry point, labels, diff_ids.
    layers
        From the lowest to the highest.
    host, repository
        Of the registry that it lies in, if it does.

    """

    name: str
    config: dict[str, Any]
    layers: tuple[StoredLayer, ...]
    host: str = ""
    repository: str = ""


def parsed_config(content: bytes, name: str, layers: int) -> dict[str, Any]:
    """The config of an image.

    Raises
    ------
    InvalidImage
        If it is none of `zoo`'s, or does not fit its number of layers.

    """
    try:
        config: dict[str, Any] = json.loads(content)
        diff_ids, settings = config["rootfs"]["diff_ids"], config["config"]
        variables = settings.get("Env") or []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidImage(name, "its config is not one of an image") from error
    if len(diff_ids) != layers:
        raise InvalidImage(name, f"it has {layers} layers and {len(diff_ids)} diff_ids")
    if not any(str(variable).startswith("ZOO_MODELS=") for variable in variables):
        raise InvalidImage(name, "it is no runner: ZOO_MODELS is not set in it")
    return config
