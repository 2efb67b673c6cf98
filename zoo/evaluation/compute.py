"""Measured use of resources of a graph: cells per second on one thread, and peak memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Compute

BATCH = 256  # as the runner takes them
_REPEATS = 20
_PER_CELL = ("counts", "total_counts")

Arrays = Mapping[str, npt.NDArray[Any]]

# In a process of its own: the peak of this one holds torch and the training data.
_MEASURE = """
import json, resource, sys, time
import zoo
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
graph = open(sys.argv[1], "rb").read()
session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
names = {node.name for node in session.get_inputs()}
feed = {name: array for name, array in np.load(sys.argv[2]).items() if name in names}
session.run(None, feed)
seconds = []
for _ in range(int(sys.argv[3])):
    start = time.perf_counter()
    session.run(None, feed)
    seconds.append(time.perf_counter() - start)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([float(np.median(seconds)), peak, onnxruntime.__version__]))
"""


def measure(graph: Path, feed: Arrays) -> Compute:
    """Run a graph on one thread of this machine.

    Parameters
    ----------
    graph
        The `model.onnx`.
    feed
        Its inputs, by name: real cells, repeated to a batch; a spatial model takes its slide as it
        is.

    """
    whole = feed if "edge_index" in feed else _batch(feed)
    with tempfile.TemporaryDirectory(prefix="zoo-compute-") as folder:
        inputs = Path(folder, "feed.npz")
        np.savez(inputs, **whole)  # type: ignore[arg-type]
        command = [sys.executable, "-c", _MEASURE, str(graph), str(inputs), str(_REPEATS)]
        told = subprocess.run(
            command, check=True, capture_output=True, text=True, env=_environment()
        )
    seconds, peak, runtime = json.loads(told.stdout.splitlines()[-1])
    cells = len(whole["counts"])
    taken = "one slide" if "edge_index" in feed else "batch"
    return Compute(
        machine=f"{os.cpu_count()}-core {platform.machine()} CPU, one thread, {taken} of {cells}",
        runtime=f"onnxruntime {runtime}",
        cells_per_second=round(cells / max(float(seconds), 1e-9)),
        peak_memory_mb=round(float(peak), 1),
        parameters=parameters(graph),
        model_bytes=graph.stat().st_size,
    )


def _batch(feed: Arrays) -> Arrays:
    """The inputs with their cells repeated to `BATCH`."""
    rows = np.resize(np.arange(len(feed["counts"])), BATCH)
    return {name: array[rows] if name in _PER_CELL else array for name, array in feed.items()}


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def parameters(graph: Path) -> int:
    """Numbers stored in the graph, tables of the calibration included."""
    import onnx

    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(graph).graph.initializer)
