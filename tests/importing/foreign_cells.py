"""Cells of three made-up types, with more genes than models read, for weights trained in tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

GENES = tuple(f"GENE{i}" for i in range(40))
OTHERS = tuple(f"OTHER{i}" for i in range(10))
LABELS = ("B cell", "T cell", "monocyte")


@dataclass(frozen=True)
class Cells:
    """Counts [cells, GENES + OTHERS] and the type of each cell."""

    counts: np.ndarray
    label: np.ndarray

    @property
    def library_log1p(self) -> np.ndarray:
        """log(1 + counts per 10,000 of the whole library) of GENES."""
        total = self.counts.sum(axis=1, keepdims=True)
        return np.log1p(self.counts * (1e4 / total))[:, : len(GENES)]

    @property
    def panel_log1p(self) -> np.ndarray:
        """The same with the counts of GENES alone."""
        own = self.counts[:, : len(GENES)]
        return np.log1p(own * (1e4 / own.sum(axis=1, keepdims=True)))

    @property
    def names(self) -> np.ndarray:
        return np.array(LABELS)[self.label]

    def write(self, path: Path, *, without: int = 0) -> Path:
        """As `.h5ad`, without the first genes."""
        adata = ad.AnnData(
            self.counts[:, without:].astype(np.float32),
            obs=pd.DataFrame(
                {"cell_type": pd.Categorical(self.names)},
                index=[f"cell-{i}" for i in range(len(self.label))],
            ),
            var=pd.DataFrame(index=[*GENES, *OTHERS][without:]),
        )
        adata.uns["license"] = "CC0-1.0"
        adata.write_h5ad(path)
        return path


def make_cells(cells: int = 240, *, seed: int = 0, kinds: int = 3) -> Cells:
    """Every third gene speaks for a type."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, kinds, cells)
    mean = np.ones((kinds, len(GENES) + len(OTHERS)))
    for k in range(kinds):
        mean[k, k : len(GENES) : 3] = 3
    rate = rng.gamma(3.0, 1.0, size=(cells, mean.shape[1])) * mean[label]
    return Cells(rng.poisson(rate), label)
