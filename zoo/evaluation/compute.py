"""Measured use of resources of a graph: cells per second on one thread, and peak memory."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.card import Compute
from zoo.onnx_graph import require_onnx
from zoo.session import Session

BATCH = 256
"""Cells of a batch to measure with, as the runner takes them."""
_REPEATS = 20
_SECONDS = 10.0
_PER_CELL = ("counts", "total_counts")

# A process of its own, since the peak of this one tells of everything that it ever did. Linux keeps
# the parent's peak in the child's ru_maxrss, but VmHWM is the child's own.
_PEAK = """
import re, resource, sys
import numpy as np
from zoo.session import Session
session = Session.of_draft(open(sys.argv[1], "rb").read())
session.run(dict(np.load(sys.argv[2])), session.outputs)
try:
    kilobytes = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read()).group(1))
except OSError:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kilobytes /= 1024 if sys.platform == "darwin" else 1
print(kilobytes / 1024)
"""


def measure(
    graph: Path | bytes, inputs: Mapping[str, npt.NDArray[Any]], *, known: int | None = None
) -> Compute:
    """Run a graph on one thread of this machine.

    Parameters
    ----------
    graph
        `model.onnx`, or its bytes.
    inputs
        Real cells: `counts` [cells, genes] and whatever else the graph takes, such as
        `gene_present`, `total_counts`, `edge_index`; inputs that it does not take are ignored.
        Cells are repeated to a batch of `BATCH`; a slide is taken as it is.
    known
        The number of parameters where a card tells it already.

    Raises
    ------
    MissingExtra
        If the number of parameters is not known and onnx, which counts them, is not installed.

    """
    content = graph if isinstance(graph, bytes) else graph.read_bytes()
    session = Session.of_draft(content)
    feed = {name: array for name, array in inputs.items() if name in session.inputs}
    taken = "one slide" if "edge_index" in feed else "batch"
    if "edge_index" not in feed:
        rows = np.resize(np.arange(len(feed["counts"])), BATCH)
        feed |= {name: feed[name][rows] for name in _PER_CELL if name in feed}
    cells = len(feed["counts"])
    return Compute(
        machine=f"{os.cpu_count()}-core {platform.machine()} CPU, one thread, {taken} of {cells}",
        runtime=session.runtime,
        cells_per_second=max(1, round(cells / _median_seconds(session, feed))),
        peak_memory_mb=round(_peak_memory(content, feed), 1),
        parameters=max(1, parameters(content) if known is None else known),
        model_bytes=len(content),
    )


def parameters(graph: bytes) -> int:
    """Numbers stored in the graph, tables of the calibration included.

    Raises
    ------
    MissingExtra

    """
    onnx = require_onnx("evaluate", "count the parameters of a graph")
    loaded = onnx.load_model_from_string(graph)
    return sum(int(np.prod(tensor.dims)) for tensor in loaded.graph.initializer)


def _median_seconds(session: Session, feed: dict[str, npt.NDArray[Any]]) -> float:
    """Seconds of one batch; less often repeated where a batch takes long."""
    session.run(feed, session.outputs)
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _SECONDS:
        start = time.perf_counter()
        session.run(feed, session.outputs)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _peak_memory(graph: bytes, feed: dict[str, npt.NDArray[Any]]) -> float:
    """Megabytes that a process needs to load the graph and run one batch, Python included."""
    with tempfile.TemporaryDirectory() as folder:
        model, batch = Path(folder) / "model.onnx", Path(folder) / "batch.npz"
        model.write_bytes(graph)
        np.savez(batch, **feed)  # type: ignore[arg-type]
        command = [sys.executable, "-c", _PEAK, str(model), str(batch)]
        # The package may be importable only by this process's path.
        path = os.pathsep.join([entry for entry in sys.path if entry])
        done = subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    return float(done.stdout)
