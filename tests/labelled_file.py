"""Labelled `.h5ad` files for the tiny model, with a shift that it was not made for."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from counts_file import GENES  # isort: skip

LABELS = ("T cell", "B cell", "monocyte")


def make_labelled(
    cells: int = 200, *, seed: int = 0, shift: float = 4.0, strangers: int = 0
) -> ad.AnnData:
    """Cells of three types whose own gene stands out a little; T cells' genes are too loud.

    Gene i speaks for class i modulo 3 in the tiny model. The loudness of class 0's genes is
    multiplied by `shift` in every cell, which makes many B cells and monocytes look like T cells.
    The first `strangers` cells have a label that the model does not know.
    """
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, cells)
    rate = rng.gamma(4.0, 1.0, (cells, len(GENES)))
    rate[np.arange(cells), truth] *= 3
    rate[np.arange(cells), truth + 3] *= 3
    rate[:, [0, 3]] *= shift
    adata = ad.AnnData(
        rng.poisson(rate).astype(np.float32),
        obs=pd.DataFrame(index=[f"cell-{i}" for i in range(cells)]),
        var=pd.DataFrame(index=list(GENES)),
    )
    names = np.array(LABELS, dtype=object)[truth]
    names[:strangers] = "mast cell"
    adata.obs["cell_type"] = pd.Categorical(names)
    adata.obs["donor"] = pd.Categorical([f"d{i % 4}" for i in range(cells)])
    adata.uns["organism"] = "Homo sapiens"
    adata.uns["license"] = "CC0-1.0"
    return adata


def write_labelled(path: Path, cells: int = 200, **how: object) -> Path:
    """Write such cells to a file."""
    make_labelled(cells, **how).write_h5ad(path)  # type: ignore[arg-type]
    return path
