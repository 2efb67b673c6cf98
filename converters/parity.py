"""Parity: the source framework's outputs on a sample, kept to be compared with anywhere.

`expected.h5` holds one dataset per output and, as attribute `made_with`, what computed them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Tolerance

Arrays = Mapping[str, npt.NDArray[Any]]


def run_graph(graph: bytes, inputs: Arrays, *, threads: int = 1) -> dict[str, npt.NDArray[Any]]:
    """All outputs of an ONNX graph, by name."""
    session = open_session(graph, threads=threads)
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def open_session(graph: bytes, *, threads: int = 1) -> Any:
    """An ONNX Runtime session on the CPU."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def largest_difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    """Largest absolute difference; of indices and flags, the number of entries that differ."""
    if found.shape != expected.shape:
        raise ValueError(f"shapes differ: {found.shape} and {expected.shape}")
    if expected.dtype.kind in "biu":
        return float((found != expected).sum())
    return float(np.abs(found.astype(np.float64) - expected).max())


def measured_tolerances(
    found: Arrays, expected: Arrays, declared: Mapping[str, tuple[float, float]]
) -> dict[str, Tolerance]:
    """The declared (atol, rtol) of each output with the difference that was measured.

    Raises
    ------
    ValueError
        If an output differs by more than its tolerance.

    """
    tolerances = {}
    for name, reference in expected.items():
        atol, rtol = declared[name]
        allowed = atol + rtol * np.abs(reference.astype(np.float64))
        gap = np.abs(found[name].astype(np.float64) - reference.astype(np.float64))
        if not np.isfinite(gap).all() or (gap > allowed).any():
            raise ValueError(f"{name} differs by {gap.max():.3g}, more than its tolerance")
        tolerances[name] = Tolerance(
            atol=atol, rtol=rtol, measured=largest_difference(found[name], reference)
        )
    return tolerances


def write_expected(path: Path, expected: Arrays, *, made_with: str) -> None:
    """Write `expected.h5`."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["made_with"] = made_with
        for name, values in expected.items():
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


def read_expected(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read `expected.h5`."""
    import h5py

    with h5py.File(path) as file:
        return {name: file[name][()] for name in file}
