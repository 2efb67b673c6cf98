"""Containers: sizes, what images share, and the time to start one beside the bare process.

Needs a Docker engine with the runner and the models' images (`zoo image build …`). Runs are
interleaved, so that a busy machine slows all of them alike.

    python benchmarks/docker.py [--models pbmc-celltype pancreas-celltype] [--repeats 7]
                                [--registry localhost:5000]

With --registry, which holds cellzoo/runner, each model is pushed: what it sent and what it shared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from simulated import write_simulated

from zoo.hubs.embedded import embedded_registry
from zoo.parts import ModelParts
from zoo.pull import pull
from zoo.settings import Settings
from zoo.version import __version__

CELLS = 500
GENES = 20_000
DENSITY = 0.0945
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
    "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=256m", "--memory", "2g", "--memory-swap", "2g",
    "--pids-limit", "256",
)  # fmt: skip


def spoken(*words: str | Path) -> str:
    """Run a command and return what it printed."""
    ran = subprocess.run([*map(str, words)], capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{ran.stderr}")
    return ran.stdout


def seconds(*words: str | Path) -> float:
    """Wall time of a command."""
    started = time.monotonic()
    spoken(*words)
    return time.monotonic() - started


def print_sizes(images: list[str]) -> None:
    """Each image's size, and how much of it is its own."""
    runner = inspected(f"cellzoo/runner:{__version__}")
    print(f"{'image':<36} {'MB':>7} {'MB beyond the runner':>22}")
    for image in images:
        told = inspected(image)
        shared = len(set(told["RootFS"]["Layers"]) & set(runner["RootFS"]["Layers"]))
        own = (told["Size"] - runner["Size"]) / 1e6
        note = f"{own:.1f} ({shared} layers shared)" if told["Id"] != runner["Id"] else "–"
        print(f"{image:<36} {told['Size'] / 1e6:>7.1f} {note:>22}")


def inspected(image: str) -> dict:
    (told,) = json.loads(spoken("docker", "image", "inspect", image))
    return told


def print_pushes(models: list[str], registry: str) -> None:
    """What pushing each model to a registry sends and shares."""
    print(f"\n{'pushed':<24} {'MB sent':>8} {'MB taken over':>14} {'seconds':>8}")
    for name in models:
        version = embedded_registry().resolve(name).version
        uri = f"oci://{registry}/cellzoo/{name}:{version}"
        started = time.monotonic()
        told = json.loads(
            spoken(sys.executable, "-m", "zoo", "image", "build", name, "--push", uri, "--json")
        )
        took = time.monotonic() - started
        print(
            f"{name:<24} {told['uploaded'] / 1e6:>8.2f} {told['mounted'] / 1e6:>14.1f} {took:>8.1f}"
        )


def print_starts(model: str, image: str, repeats: int) -> None:
    """Time of `run` on 500 cells: the bare process, the container, the hardened container."""
    parts = ModelParts.of(pull(model, settings=Settings.read()))
    who = f"{os.getuid()}:{os.getgid()}"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        names = parts.vocabulary.names.tolist()
        write_simulated(folder / "x.h5ad", cells=CELLS, genes=GENES, density=DENSITY, names=names)
        run = ("run", model, "x.h5ad", "-o", "out.h5ad", "--overwrite", "--force")
        plain = ("docker", "run", "--rm", "--network", "none", "--user", who, "-v",
                 f"{folder}:/data")  # fmt: skip
        ways = {
            "bare process": (sys.executable, "-m", "zoo", *run[:2], folder / "x.h5ad", "-o",
                             folder / "bare.h5ad", *run[5:]),
            "docker run": (*plain, image, *run),
            "docker run, hardened": (*plain, *HARDENED, image, *run),
            "docker run, --version": (*plain, image, "--version"),
        }  # fmt: skip
        times: dict[str, list[float]] = {way: [] for way in ways}
        for repeat in range(repeats + 1):
            for way, words in ways.items():
                took = seconds(*words)
                if repeat:  # the first fills the page cache
                    times[way].append(took)
    bare = statistics.median(times["bare process"])
    print(f"\n{f'run on {CELLS} cells':<28} {'median s':>9} {'range':>12} {'ratio':>6}")
    for way, took in times.items():
        middle = statistics.median(took)
        print(f"{way:<28} {middle:>9.2f} {min(took):>5.2f}–{max(took):<5.2f} {middle / bare:>6.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["pbmc-celltype", "pancreas-celltype"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--registry", metavar="HOST:PORT")
    arguments = parser.parse_args()
    images = [
        f"cellzoo/{name}:{embedded_registry().resolve(name).version}" for name in arguments.models
    ]
    print_sizes([f"cellzoo/runner:{__version__}", *images])
    if arguments.registry:
        print_pushes(arguments.models, arguments.registry)
    print_starts(arguments.models[0], images[0], arguments.repeats)


if __name__ == "__main__":
    main()
