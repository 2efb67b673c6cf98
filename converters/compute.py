"""Measured use of resources of a graph: cells per second on one thread, and peak memory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from zoo.card import Compute

BATCH = 256  # as the runner takes them
_REPEATS = 20

_PEAK = """
import json, resource, sys
import numpy as np
from converters.parity import open_session
graph = open(sys.argv[1], "rb").read()
genes, batch = int(sys.argv[2]), int(sys.argv[3])
session = open_session(graph)
counts = np.random.default_rng(0).poisson(0.5, (batch, genes)).astype(np.float32)
session.run(None, {"counts": counts, "gene_present": np.ones(genes, dtype=np.float32)})
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def measure(graph: Path, counts: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> Compute:
    """Run a graph on real counts [cells, genes] in batches, on one thread of this machine."""
    import onnxruntime

    from converters.parity import open_session

    rows = np.resize(np.arange(len(counts)), BATCH)
    feed = {"counts": counts[rows], "gene_present": np.ones(counts.shape[1], dtype=np.float32)}
    session = open_session(graph.read_bytes())
    session.run(None, feed)
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        session.run(None, feed)
        seconds.append(time.perf_counter() - start)
    command = [sys.executable, "-c", _PEAK, str(graph), str(counts.shape[1]), str(BATCH)]
    root = Path(__file__).resolve().parents[1]
    peak = subprocess.run(command, check=True, capture_output=True, text=True, cwd=root)
    return Compute(
        machine=f"{os.cpu_count()}-core {platform.machine()} CPU, one thread, batch {BATCH}",
        runtime=f"onnxruntime {onnxruntime.__version__}",
        cells_per_second=round(BATCH / float(np.median(seconds))),
        peak_memory_mb=round(float(json.loads(peak.stdout)), 1),
        parameters=parameters(graph),
        model_bytes=graph.stat().st_size,
    )


def parameters(graph: Path) -> int:
    """Numbers stored in the graph, tables of the calibration included."""
    import onnx

    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(graph).graph.initializer)
