"""A converted CellTypist model beside CellTypist itself, on the files of `reference.sh`.

`python -m converters.celltypist.comparison OUT` converts OUT/model.pkl, runs it on each
cells-MISSING.h5ad and prints how many labels agree and the largest difference of a probability.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np

from converters.celltypist.importer import CellTypist
from zoo.importers import ConvertRequest
from zoo.parity import sample_outputs
from zoo.parts import ModelParts
from zoo.pull import in_place


def compare(folder: Path) -> list[dict[str, float]]:
    """Cells, genes of the file, labels that agree, and the largest difference of `prob`."""
    request = ConvertRequest(
        source=folder / "model.pkl", output=folder / "converted", overwrite=True
    )
    CellTypist().convert(request, print)
    parts = ModelParts.of(in_place(folder / "converted"))
    # What is compared are answers at any coverage, also where a run would be refused.
    inputs = parts.card.inputs.model_copy(update={"gene_coverage": 0.0})
    parts = ModelParts(**{**vars(parts), "card": parts.card.model_copy(update={"inputs": inputs})})
    assert parts.labels is not None
    found = []
    for path in sorted(folder.glob("cells-*.h5ad")):
        given = sample_outputs(parts, path)
        with h5py.File(folder / path.name.replace("cells", "reference").replace("h5ad", "h5")) as f:
            classes = [name.decode() for name in f["classes"]]
            prob, label = f["prob"][()], [name.decode() for name in f["label"]]
        order = [classes.index(name) for name in parts.labels.names]
        names = np.array(parts.labels.names)[given["label"]]
        found.append(
            {
                "missing_percent": float(path.stem.partition("-")[2]),
                "cells": len(prob),
                "labels_equal": int((names == np.array(label)).sum()),
                "largest_difference": float(np.abs(given["prob"] - prob[:, order]).max()),
            }
        )
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where reference.sh wrote")
    for line in compare(parser.parse_args().folder):
        print(line)
