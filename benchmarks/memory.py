"""Peak memory and speed of `zoo run` as the number of cells grows.

The claim: under 300 MB for 100,000 cells × 20,000 genes (gzip), and no growth with cells.

    python benchmarks/memory.py [--model pbmc-celltype] [--cells 25000 100000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulated import write_simulated

from zoo.parts import ModelParts
from zoo.pull import pull
from zoo.settings import Settings

GENES = 20_000
DENSITY = 0.0945


def measure(model: str, path: Path, folder: Path) -> tuple[float, float, int]:
    """Wall seconds, seconds of the run itself, and peak memory in MB of one `zoo run`."""
    out = folder / "out.h5ad"
    words = [sys.executable, "-m", "zoo", "run", model, str(path), "-o", str(out), "--overwrite"]
    # The child reports its own peak: ru_maxrss of children is the largest of all so far.
    script = (
        "import resource, subprocess, sys; "
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss; "
        "print(done.stdout or done.stderr); print(peak)"
    )
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--json", "--force"],
        capture_output=True,
        text=True,
        check=True,
    )
    wall = time.monotonic() - started
    *report, peak = done.stdout.strip().splitlines()
    return wall, json.loads("\n".join(report))["seconds"], int(peak) // 1024


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pbmc-celltype")
    parser.add_argument("--cells", type=int, nargs="+", default=[25_000, 100_000])
    arguments = parser.parse_args()
    parts = ModelParts.of(pull(arguments.model, settings=Settings.read()))
    names = parts.vocabulary.names.tolist()
    print(f"{'cells':>9} {'MB on disk':>10} {'wall s':>7} {'cells/s':>8} {'peak MB':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for cells in arguments.cells:
            path = folder / f"{cells}.h5ad"
            write_simulated(path, cells, GENES, names, DENSITY)
            wall, _, peak = measure(arguments.model, path, folder)
            size = path.stat().st_size / 1e6
            print(f"{cells:>9,} {size:>10.0f} {wall:>7.1f} {cells / wall:>8.0f} {peak:>8}")
            path.unlink()
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"(writing the files took {used} MB)")


if __name__ == "__main__":
    main()
