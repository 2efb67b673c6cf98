"""What the environment says: where the cache is, where models lie, whether the network is allowed.

ZOO_CACHE    folder of the cache; default: the user's cache folder
ZOO_MODELS   folders whose subfolders are models, separated as in PATH; used in place, never
             written to, and looked through before the registry
ZOO_IMAGES   a registry of container images with a path, e.g. registry.example.org/cellzoo, where
             `zoo run --docker` may fetch an image that the engine does not have
ZOO_OFFLINE  1: never use the network
ZOO_CONFIG   folder of what a user has set up, the registries of `zoo registry add`; default: the
             user's configuration folder
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_NO = {"", "0", "false", "no", "off"}


@dataclass(frozen=True)
class Settings:
    """Settings of a command or a program, read once.

    Attributes
    ----------
    cache
        Folder of the cache, which need not exist yet.
    models
        Read-only folders of models.
    offline
        Whether the network is forbidden.
    images
        A registry of container images; empty for none.
    config
        Folder of what a user has set up, which need not exist.

    """

    cache: Path
    models: tuple[Path, ...] = ()
    offline: bool = False
    images: str = ""
    config: Path | None = None

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ, *, offline: bool = False) -> Settings:
        """Read the environment; nothing is created. `offline=True` wins over the environment."""
        folders = environ.get("ZOO_MODELS", "").split(os.pathsep)
        return cls(
            cache=_cache(environ.get("ZOO_CACHE", "")),
            models=tuple(Path(folder).expanduser() for folder in folders if folder),
            offline=offline or environ.get("ZOO_OFFLINE", "").strip().lower() not in _NO,
            images=environ.get("ZOO_IMAGES", "").strip().removeprefix("oci://").rstrip("/"),
            config=_config(environ.get("ZOO_CONFIG", "")),
        )


def _cache(named: str) -> Path:
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("cellzoo")


def _config(named: str) -> Path:
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_config_path("cellzoo")
