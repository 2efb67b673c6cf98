"""The trial: a model's first session and batch in a child process, under limits.

What no reading of a graph can tell (a shape that grows on the way, a kernel that never ends) shows
here, where it can neither take this machine's memory nor its time.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from zoo.card import CellZooBlock
from zoo.errors import TrialFailed

CELLS = 3

Shapes = dict[str, tuple[int, ...]]
"""Name of an output → its shape for three cells."""

_SCRIPT = """
import json
import sys
import numpy as np
import onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 4
options.add_session_config_entry("session.load_model_format", "ONNX")
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
cells, genes = int(sys.argv[2]), int(sys.argv[3])
feed = {
    "counts": np.ones((cells, genes), np.float32),
    "gene_present": np.ones(genes, np.float32),
    "total_counts": np.full((cells, 1), genes, np.float32),
    "edge_index": np.tile(np.arange(cells), (2, 1)),
    "edge_weight": np.ones(cells, np.float32),
    "label": np.zeros(cells, np.int64),
}
found = session.run(None, {node.name: feed[node.name] for node in session.get_inputs()})
names = [node.name for node in session.get_outputs()]
print(json.dumps({name: array.shape for name, array in zip(names, found)}))
"""


@dataclass(frozen=True)
class Limits:
    """What a trial may use.

    Attributes
    ----------
    memory
        Bytes of address space.
    seconds
        Of processor time.
    clock_seconds
        Of waiting.

    """

    memory: int = 6 << 30
    seconds: int = 60
    clock_seconds: int = 300


def try_graph(graph: bytes, card: CellZooBlock, limits: Limits = Limits()) -> Shapes:
    """Load a graph and run it on three made-up cells, elsewhere; the shapes of what it gives.

    Parameters
    ----------
    graph
        Bytes that have passed `zoo.gate.graph`.

    Raises
    ------
    TrialFailed
        If it fails, answers for another number of cells, or reaches a limit.

    """
    with tempfile.TemporaryDirectory(prefix="zoo-trial-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph)
        command = [sys.executable, "-c", _SCRIPT, str(path), str(CELLS), str(card.inputs.genes)]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                check=False,
                cwd=folder,
                env=_environment(folder),
                timeout=limits.clock_seconds,
                preexec_fn=lambda: _limit(limits),
            )
        except subprocess.TimeoutExpired as error:
            detail = f"it did not end within {limits.clock_seconds} seconds"
            raise TrialFailed(card.reference, detail) from error
    if done.returncode:
        raise TrialFailed(card.reference, _reason(done.returncode, done.stderr, limits))
    shapes = {name: tuple(shape) for name, shape in json.loads(done.stdout).items()}
    if not all(shape[:1] == (CELLS,) for shape in shapes.values()):
        raise TrialFailed(card.reference, f"it does not answer for each of {CELLS} cells")
    return shapes


def _limit(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.seconds, limits.seconds + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _environment(folder: str) -> dict[str, str]:
    """Nothing of the user's but where Python finds its packages."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "HOME": folder,
        "ORT_DISABLE_TELEMETRY": "1",
    }


def _reason(code: int, stderr: bytes, limits: Limits) -> str:
    if code < 0:
        ended = {-24: f"it used {limits.seconds} seconds of processor time"}
        return ended.get(code, f"its process ended with signal {-code}")
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    last = " ".join(lines[-1].split())[:200] if lines else f"exit code {code}"
    if "alloc" in last.lower() or "MemoryError" in last:
        return f"it wants more than {limits.memory >> 30} GB of memory ({last})"
    return f"ONNX Runtime says: {last}"
