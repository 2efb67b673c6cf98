"""A large simulated count matrix on disk: gzip CSR `.h5ad`, written without holding it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zoo.block import Block
from zoo.writing import elements
from zoo.writing.h5_output import h5_output


def write_simulated(path: Path, cells: int, genes: int, names: list[str], density: float) -> None:
    """Write `cells` × `genes` counts; the first genes are called `names`."""
    rng = np.random.default_rng(0)
    all_names = [*names, *(f"SIM{i}" for i in range(genes - len(names)))][:genes]
    with h5_output(path) as file:
        elements.set_encoding(file, "anndata", "0.1.0")
        x = file.create_group("X")
        elements.set_encoding(x, "csr_matrix", "0.1.0")
        x.attrs["shape"] = np.array([cells, genes])
        parts = {
            name: x.create_dataset(
                name, (0,), dtype, maxshape=(None,), chunks=(1 << 16,), compression="gzip"
            )
            for name, dtype in (("data", np.float32), ("indices", np.int32))
        }
        ends = [0]
        for block in _blocks(rng, cells, genes, density):
            end = ends[-1]
            for name, values in (("data", block.data), ("indices", block.indices)):
                parts[name].resize(end + len(values), axis=0)
                parts[name][end:] = values
            ends.extend((block.indptr[1:] + end).tolist())
        x.create_dataset("indptr", data=np.array(ends, dtype=np.int64))
        for axis, index in (
            ("obs", np.array([f"cell-{i}" for i in range(cells)])),
            ("var", np.array(all_names)),
        ):
            frame = elements.create_frame(file, axis)
            elements.write_strings(frame, "_index", index)
            elements.finish_frame(frame, [])
        for name in ("obsm", "uns", "layers"):
            elements.set_encoding(file.create_group(name), "dict", "0.1.0")


def _blocks(rng: np.random.Generator, cells: int, genes: int, density: float) -> Iterator[Block]:
    for start in range(0, cells, 1000):
        count = min(1000, cells - start)
        lengths = rng.binomial(genes, density, count)
        indices = np.concatenate(
            [np.sort(rng.choice(genes, length, replace=False)) for length in lengths]
        )
        data = rng.geometric(0.6, len(indices)).astype(np.float32)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        yield Block(start, indptr, indices.astype(np.int32), data, genes)


def main() -> None:
    """Write one file from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--genes", type=int, default=20_000)
    parser.add_argument("--density", type=float, default=0.0945)
    arguments = parser.parse_args()
    write_simulated(arguments.path, arguments.cells, arguments.genes, [], arguments.density)


if __name__ == "__main__":
    main()
