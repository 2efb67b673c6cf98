"""A sequential Keras 2 network in HDF5, read as data: dense layers and their activations."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.weights import Weights
from zoo.errors import FileMissing, UnreadableWeights, UnsupportedWeights
from zoo.reading import confined

_ACTIVATIONS = ("relu", "softmax", "linear")
_IDLE = ("InputLayer", "Dropout")

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Dense:
    """x W + b and an activation; weight is [in, out]."""

    weight: Float64
    bias: Float64
    activation: str


def read_layers(path: Path, format: str) -> list[Dense]:
    """The dense layers in order; dropout does nothing when a network answers.

    Raises
    ------
    FileMissing, UnreadableWeights, UnsupportedWeights, MissingWeights, UnequalLengths
    WeightsNotFinite, NotHdf5, TruncatedFile, UnsafeLink

    """
    if not path.is_file():
        raise FileMissing(str(path))
    layers: list[Dense] = []
    with confined.opened(str(path)) as root:
        for kind, config in _listed(root.attribute("model_config"), path, format):
            if kind in _IDLE:
                continue
            activation = config.get("activation")
            if kind != "Dense" or activation not in _ACTIVATIONS:
                part = f"a layer {kind} with the activation {activation!r}"
                raise UnsupportedWeights(str(path), format, part, ["Dense", "Dropout"])
            layers.append(_dense(root, str(config.get("name")), activation, path, format))
    if not layers:
        raise UnreadableWeights(str(path), format, "it has no dense layer")
    weights = Weights(path, format, {})
    for number, (one, following) in enumerate(pairwise(layers), start=1):
        weights.ensure_equal(
            f"outputs of layer {number}", one.weight.shape[1],
            f"inputs of layer {number + 1}", len(following.weight),
        )  # fmt: skip
    return layers


def _listed(config: Any, path: Path, format: str) -> list[tuple[str, dict[str, Any]]]:
    """Kind and settings of each layer."""
    try:
        told = json.loads(config)
        listed = [(layer["class_name"], layer["config"]) for layer in told["config"]["layers"]]
        if told["class_name"] != "Sequential":
            raise UnsupportedWeights(str(path), format, told["class_name"], ["Sequential"])
    except (TypeError, KeyError, json.JSONDecodeError) as error:
        detail = "its 'model_config' describes no layers"
        raise UnreadableWeights(str(path), format, detail) from error
    return listed


def _dense(root: Any, name: str, activation: str, path: Path, format: str) -> Dense:
    place = f"model_weights/{name}/{name}"
    parts: dict[str, Any] = {}
    for part in ("kernel", "bias"):
        found = root.get(f"{place}/{part}:0")
        if isinstance(found, confined.ConfinedArray):
            parts[part] = found.read(0, found.shape[0])
    weights = Weights(path, format, parts, name)
    weight, bias = weights.array("kernel", 2), weights.array("bias", 1)
    weights.ensure_equal("columns of the kernel", weight.shape[1], "biases", len(bias))
    return Dense(weight, bias, activation)
