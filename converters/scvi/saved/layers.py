"""Layers of scvi-tools at rest: what evaluation mode makes of linear, batch norm and layer norm.

A hidden layer is linear, batch norm, layer norm, ReLU in this order, each norm where it is asked
for. At rest batch norm is a factor and a shift, which go into the linear layer; dropout is nothing.
Layer norm has no parameters there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.importing.layers import dense
from converters.importing.weights import Weights
from zoo.onnx_graph import OnnxGraph, Tensor

Numbers = npt.NDArray[np.float64]

_BATCH_NORM_EPSILON = 1e-3  # scvi-tools', after the first implementation
_LAYER_NORM_EPSILON = 1e-5


@dataclass(frozen=True)
class Layer:
    """One layer: weight [in, out], bias [out], layer norm and ReLU or neither."""

    weight: Numbers
    bias: Numbers
    layer_norm: bool = False
    relu: bool = False

    @classmethod
    def of(cls, weights: Weights, name: str) -> Layer:
        """A linear layer by the name of its state.

        Raises
        ------
        MissingWeights, UnequalLengths, WeightsNotFinite

        """
        weight, bias = weights.array(f"{name}.weight", 2).T, weights.array(f"{name}.bias", 1)
        weights.ensure_equal(f"units of {name}", weight.shape[1], "biases", len(bias))
        return cls(weight, bias)

    def with_constant(self, inputs: int, values: Numbers) -> Layer:
        """The layer of the first `inputs`, if the others always have these values."""
        return replace(
            self, weight=self.weight[:inputs], bias=self.bias + values @ self.weight[inputs:]
        )

    def write(self, graph: OnnxGraph, x: Tensor) -> Tensor:
        """Append the layer's nodes."""
        x = dense(graph, x, self.weight, self.bias)
        if self.layer_norm:
            ones = graph.constant(np.ones(len(self.bias), dtype=np.float32))
            x = graph.node("LayerNormalization", x, ones, axis=-1, epsilon=_LAYER_NORM_EPSILON)
        return graph.node("Relu", x) if self.relu else x

    def __call__(self, x: npt.NDArray[Any]) -> Numbers:
        """The same in numpy."""
        y: Numbers = x @ self.weight + self.bias
        if self.layer_norm:
            centred = y - y.mean(axis=1, keepdims=True)
            y = centred / np.sqrt(y.var(axis=1, keepdims=True) + _LAYER_NORM_EPSILON)
        return np.maximum(y, 0) if self.relu else y


def hidden_layers(
    weights: Weights, prefix: str, *, layer_norm: bool, covariates: Numbers, deep: bool
) -> list[Layer]:
    """The layers of an `FCLayers` below `prefix`.

    Parameters
    ----------
    layer_norm
        Whether its hidden layers have one.
    covariates
        Values that are appended to the input, always the same ones; may be empty.
    deep
        Whether they are appended to the input of every layer.

    Raises
    ------
    MissingWeights, UnequalLengths, WeightsNotFinite

    """
    layers: list[Layer] = []
    while (name := f"{prefix}.fc_layers.Layer {len(layers)}") and (
        f"{name}.0.weight" in weights or not layers
    ):
        layer = _with_batch_norm(Layer.of(weights, f"{name}.0"), weights, f"{name}.1")
        if len(covariates) and (deep or not layers):
            layer = layer.with_constant(len(layer.weight) - len(covariates), covariates)
        if layers:
            units = layers[-1].weight.shape[1]
            weights.ensure_equal(f"inputs of {name}", len(layer.weight), "units before it", units)
        layers.append(replace(layer, layer_norm=layer_norm, relu=True))
    return layers


def _with_batch_norm(layer: Layer, weights: Weights, name: str) -> Layer:
    if f"{name}.running_mean" not in weights:
        return layer
    parts = ("running_mean", "running_var", "weight", "bias")
    mean, variance, gain, shift = (weights.array(f"{name}.{part}", 1) for part in parts)
    for part in (mean, variance, gain, shift):
        weights.ensure_equal(f"units of {name}", len(part), "units of its layer", len(layer.bias))
    factor = gain / np.sqrt(variance + _BATCH_NORM_EPSILON)
    return Layer(layer.weight * factor, (layer.bias - mean) * factor + shift)
