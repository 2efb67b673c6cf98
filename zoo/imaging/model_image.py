"""A model's image: the runner, one layer more, and a config that names the model. No engine."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from zoo.container.images import DIGEST_LABEL
from zoo.digest import sha256_of
from zoo.imaging.base_image import BaseImage
from zoo.imaging.layer import MODELS, ModelLayer
from zoo.manifest import Manifest

_LABELS = "org.opencontainers.image"


@dataclass(frozen=True)
class ModelImage:
    """What is pushed or written.

    Attributes
    ----------
    base
        The runner.
    layer
        The model.
    config
        The bytes of the new config.

    """

    base: BaseImage
    layer: ModelLayer
    config: bytes

    @classmethod
    def on(cls, base: BaseImage, layer: ModelLayer, model: Manifest, digest: str) -> ModelImage:
        """Put a model's layer on a runner; `digest` is the model's."""
        config = copy.deepcopy(base.config)
        settings: dict[str, Any] = config["config"]
        settings["Env"] = [*_without(settings.get("Env"), "ZOO_MODEL"), _env(model)]
        settings["Labels"] = {**(settings.get("Labels") or {}), **_labels(model, digest)}
        config["rootfs"]["diff_ids"].append(layer.diff_id)
        # The base's own time: the same model on the same runner is the same image.
        made = {"created": config.get("created"), "created_by": "zoo image build"}
        config["history"] = [*(config.get("history") or []), made]
        for unneeded in ("container", "container_config", "id", "parent"):
            config.pop(unneeded, None)
        content = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        return cls(base, layer, content)

    @property
    def config_digest(self) -> str:
        """Sha256 of the config: the image's id."""
        return f"sha256:{sha256_of(self.config)}"


def _env(model: Manifest) -> str:
    return f"ZOO_MODEL={model.card.name}"


def _without(variables: list[str] | None, name: str) -> list[str]:
    return [line for line in variables or [] if not line.startswith(f"{name}=")]


def _labels(model: Manifest, digest: str) -> dict[str, str]:
    card = model.card
    return {
        f"{_LABELS}.title": f"cellzoo/{card.name}",
        f"{_LABELS}.description": card.summary,
        f"{_LABELS}.version": card.version,
        f"{_LABELS}.licenses": card.license,
        DIGEST_LABEL: digest,
        "org.cellzoo.path": f"/{MODELS}/{card.name}",
    }
