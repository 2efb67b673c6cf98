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
from zoo.errors import MissingExtra
from zoo.session import Session

BATCH = 256
"""Cells of a batch to measure with, unless a slide is one graph: as the runner takes them."""
_REPEATS = 20
_SECONDS = 10.0

# A process of its own, since the peak of this one tells of everything that it ever did.
_PEAK = """
import resource, sys
import numpy as np
from zoo.session import Session
session = Session.of_draft(open(sys.argv[1], "rb").read())
session.run(dict(np.load(sys.argv[2])), session.outputs)
unit = 1024 * 1024 if sys.platform == "darwin" else 1024
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)
"""


def measure(graph: Path, inputs: Mapping[str, npt.NDArray[Any]]) -> Compute:
    """Run a graph on one thread of this machine.

    Parameters
    ----------
    graph
        `model.onnx`.
    inputs
        One batch of real cells: `counts` [cells, genes] and whatever else the graph takes, such as
        `gene_present`, `total_counts`, `edge_index`; inputs that it does not take are ignored.

    Raises
    ------
    MissingExtra
        If onnx, which counts the parameters, is not installed.

    """
    session = Session.of_draft(graph.read_bytes())
    feed = {name: array for name, array in inputs.items() if name in session.inputs}
    cells = len(feed["counts"])
    return Compute(
        machine=f"{os.cpu_count()}-core {platform.machine()} CPU, one thread, batch {cells}",
        runtime=session.runtime,
        cells_per_second=max(1, round(cells / _median_seconds(session, feed))),
        peak_memory_mb=round(_peak_memory(graph, feed), 1),
        parameters=max(1, parameters(graph)),
        model_bytes=graph.stat().st_size,
    )


def parameters(graph: Path) -> int:
    """Numbers stored in the graph, tables of the calibration included.

    Raises
    ------
    MissingExtra

    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtra("convert", "count the parameters of a graph") from error
    return sum(int(np.prod(tensor.dims)) for tensor in onnx.load(graph).graph.initializer)


def _median_seconds(session: Session, feed: dict[str, npt.NDArray[Any]]) -> float:
    """Seconds of one batch; less often repeated where a batch takes long."""
    session.run(feed, session.outputs)
    seconds: list[float] = []
    while len(seconds) < _REPEATS and sum(seconds) < _SECONDS:
        start = time.perf_counter()
        session.run(feed, session.outputs)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _peak_memory(graph: Path, feed: dict[str, npt.NDArray[Any]]) -> float:
    """Megabytes that a process needs to load the graph and run one batch, Python included."""
    with tempfile.TemporaryDirectory() as folder:
        batch = Path(folder) / "batch.npz"
        np.savez(batch, **feed)  # type: ignore[arg-type]
        command = [sys.executable, "-c", _PEAK, str(graph), str(batch)]
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
