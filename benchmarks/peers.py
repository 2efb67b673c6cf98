"""`zoo run` beside CellTypist on one simulated file: wall time, processor time, peak memory.

CellTypist gets a logistic model over the same genes with made-up coefficients (its speed does not
depend on them) and the normalization that it asks for. It lives in an environment of its own:

    python -m venv peer && peer/bin/pip install celltypist
    python benchmarks/peers.py --peer peer/bin/python [--cells 20000] [--runs 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from simulated import write_simulated

from zoo.parts import ModelParts
from zoo.pull import pull
from zoo.settings import Settings

PEER = """
import sys
import numpy as np, scanpy as sc, celltypist
from celltypist.models import Model
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
path, genes, classes, out = sys.argv[1], open(sys.argv[2]).read().split(), 30, sys.argv[3]
rng = np.random.default_rng(0)
logistic = LogisticRegression()
logistic.coef_ = rng.normal(size=(classes, len(genes)))
logistic.intercept_ = np.zeros(classes)
logistic.classes_ = np.array([f"type {i}" for i in range(classes)], dtype=object)
logistic.features = np.array(genes)
logistic.n_features_in_ = len(genes)
scaler = StandardScaler()
scaler.mean_, scaler.scale_ = np.full(len(genes), 0.1), np.ones(len(genes))
scaler.var_, scaler.n_features_in_, scaler.n_samples_seen_ = scaler.scale_, len(genes), 1
adata = sc.read_h5ad(path)
sc.pp.normalize_total(adata, target_sum=1e4)
sc.pp.log1p(adata)
result = celltypist.annotate(adata, model=Model(logistic, scaler, {"date": "", "details": ""}))
result.predicted_labels.to_csv(out)
"""

MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.stderr.buffer.write(done.stderr)
sys.exit(done.returncode)
"""


class Cost(NamedTuple):
    """What one run took: seconds, processor seconds, MB."""

    wall: float
    processor: float
    peak: float


def cost(words: list[str]) -> Cost:
    """Run a command and measure it."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *words], capture_output=True, text=True, check=False
    )
    wall = time.monotonic() - started
    if done.returncode:
        sys.exit(done.stderr)
    processor, peak = done.stdout.split()
    return Cost(wall, float(processor), int(peak) / 1024)


def main() -> None:
    """Print the medians of interleaved runs, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", required=True, help="Python of an environment with celltypist")
    parser.add_argument("--model", default="pbmc-celltype")
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    names = ModelParts.of(pull(arguments.model, settings=Settings.read())).vocabulary.names
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, genes = folder / "cells.h5ad", folder / "genes.txt"
        write_simulated(path, arguments.cells, 20_000, names.tolist(), 0.0945)
        genes.write_text("\n".join(names.tolist()))
        ours = [sys.executable, "-m", "zoo", "run", arguments.model, str(path), "--force",
                "--overwrite", "-o", str(folder / "ours.csv")]  # fmt: skip
        peer = [arguments.peer, "-c", PEER, str(path), str(genes), str(folder / "peer.csv")]
        costs: dict[str, list[Cost]] = {"zoo run": [], "celltypist": []}
        for _ in range(arguments.runs):
            costs["zoo run"].append(cost(ours))
            costs["celltypist"].append(cost(peer))
    print(f"{arguments.cells:,} cells × 20,000 genes, medians of {arguments.runs} runs")
    print(f"{'':12} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    medians = {
        name: Cost(*(median(values) for values in zip(*runs, strict=True)))
        for name, runs in costs.items()
    }
    for name, typical in medians.items():
        print(f"{name:12} {typical.wall:8.1f} {typical.processor:8.1f} {typical.peak:8.0f}")
    ratios = [p / o for p, o in zip(medians["celltypist"], medians["zoo run"], strict=True)]
    print(f"{'ratio':12} " + " ".join(f"{ratio:8.1f}" for ratio in ratios))


if __name__ == "__main__":
    main()
