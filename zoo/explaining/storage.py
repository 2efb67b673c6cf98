"""How an explanation keeps its weights: as they are, or smaller.

A model folder holds the weights twice, since a graph cannot read another's. An explanation needs
them less exactly: what it says of a gene has no more digits than a person reads.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from zoo.explaining.recording import Array
from zoo.onnx_graph import OnnxGraph

Storage = Literal["float32", "float16", "int8"]
STORAGES = get_args(Storage)

_LEAST_BYTES = 16_384
"""Smaller tensors stay as they are: they weigh nothing."""


def shrink(graph: OnnxGraph, storage: Storage) -> None:
    """Store the large weights of a graph as float16 or int8; it computes in float32 all the same.

    int8 has one scale for each column (the outputs of a layer), with 0 for 0.
    """
    if storage == "float32":
        return
    graph.unfold_casts()
    for name, value in graph.constants().items():
        if value.dtype != np.float32 or value.nbytes < _LEAST_BYTES:
            continue
        if not np.isfinite(value).all():
            continue
        if storage == "int8" and value.ndim == 2 and min(value.shape) > 1:
            quantized, scale = quantize(value)
            stored = {"int8": quantized, "scale": scale}
            graph.replace_constant(name, stored, "DequantizeLinear", axis=1)
        else:
            half = value.astype(np.float16)
            if np.isfinite(half).all():
                graph.replace_constant(name, {"float16": half}, "Cast", to=graph.type_of(value))


def quantize(weights: Array) -> tuple[Array, Array]:
    """int8 [rows, columns] and float32 [columns]: weights as whole multiples of a scale."""
    scale = np.abs(weights).max(axis=0) / 127
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    return np.rint(weights / scale).astype(np.int8), scale
