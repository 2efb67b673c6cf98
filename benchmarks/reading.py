"""Cells per second and peak memory of reading a gzip .h5ad: chunks inflated in threads, or by HDF5.

    python benchmarks/reading.py --cells 20000

Writes a matrix of cells × 20,000 genes with 1,891 entries a cell (the density of our reference
data), reads it in interleaved runs, and prints the ratio of the two paths, which is what decides
whether `zoo.reading.inflate` earns its place. Each run is a process of its own, so peak memory is
its own too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import h5py
import numpy as np

GENES, ENTRIES = 20_000, 1_891

RUN = """
import json, sys, time
from zoo.reading import inflate, open_dataset
path, way, cells = sys.argv[1], sys.argv[2], int(sys.argv[3])
if way == "hdf5":
    inflate.applies = lambda dataset: False
wall, cpu = time.perf_counter(), time.process_time()
with open_dataset(path) as dataset:
    read = total = 0
    for block in dataset.blocks("X", cells=cells):
        read += block.cells
        total += len(block.data)
status = open("/proc/self/status").read()  # ru_maxrss would carry the parent's peak
print(json.dumps({
    "wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "cells": read,
    "megabytes": int(status.split("VmHWM:")[1].split()[0]) / 1024,
}))
"""


def write(path: Path, cells: int, layout: str) -> None:
    """Counts of log-normal genes, block by block, with the chunks that anndata would choose."""
    rng = np.random.default_rng(0)
    abundance = rng.lognormal(0, 1.5, GENES)
    with h5py.File(path, "w") as file:
        for key, length in (("obs", cells), ("var", GENES)):
            group = file.create_group(key)
            group.attrs.update({"encoding-type": "dataframe", "_index": "_index"})
            group["_index"] = np.array([f"{key}{n}" for n in range(length)], h5py.string_dtype())
        x = file.create_group("X")
        major, minor = (cells, GENES) if layout == "csr" else (GENES, cells)
        per_major = ENTRIES if layout == "csr" else ENTRIES * cells // GENES
        total = major * per_major
        x.attrs.update({"encoding-type": f"{layout}_matrix", "shape": (cells, GENES)})
        x["indptr"] = np.arange(major + 1, dtype=np.int64) * per_major
        options = {"compression": "gzip", "chunks": (92_336,), "shape": (total,)}
        data = x.create_dataset("data", dtype="f4", **options)
        indices = x.create_dataset("indices", dtype="i4", **options)
        weights = abundance if layout == "csr" else np.ones(cells)
        for start in range(0, major, 1000):
            stop = min(start + 1000, major)
            # The largest exponential keys are a weighted sample without repeats.
            keys = rng.exponential(size=(stop - start, minor)) / weights
            chosen = np.sort(np.argpartition(keys, per_major)[:, :per_major], axis=1)
            place = slice(start * per_major, stop * per_major)
            indices[place] = chosen.ravel().astype(np.int32)
            data[place] = 1 + rng.poisson(weights[chosen].ravel() * 0.3)


def run(path: Path, way: str, block: int) -> dict[str, float]:
    command = [sys.executable, "-c", RUN, str(path), way, str(block)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--block", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--layout", choices=("csr", "csc"), default="csr")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "reference.h5ad")
        write(path, options.cells, options.layout)
        size = path.stat().st_size / 1e6
        print(f"{options.cells:,} × {GENES:,} {options.layout}, gzip, {size:.0f} MB")
        found: dict[str, list[dict[str, float]]] = {"hdf5": [], "threads": []}
        for _ in range(options.repeats):
            for way, runs in found.items():
                runs.append(run(path, way, options.block))
    for way, runs in found.items():
        speed = median(r["cells"] / r["wall"] for r in runs)
        cpu = median(r["cpu"] / r["cells"] for r in runs) * 1e6
        peak = max(r["megabytes"] for r in runs)
        print(f"{way:8} {speed:8,.0f} cells/s  {cpu:5.0f} µs CPU per cell  peak {peak:.0f} MB")
    ratio = [h["wall"] / t["wall"] for h, t in zip(found["hdf5"], found["threads"], strict=True)]
    print(f"threads are {median(ratio):.2f} times as fast ({min(ratio):.2f} to {max(ratio):.2f})")


if __name__ == "__main__":
    main()
