"""Small `.h5ad` files of counts, for tests of what runs on them."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

GENES = ("G1", "G2", "G3", "G4", "G5", "G6")
HUMAN = tuple(f"{a}{b}" for a in ("LYZ", "CD", "HLA", "RPL", "MT") for b in range(1, 9))


def make_adata(
    cells: int = 60,
    genes: tuple[str, ...] = GENES,
    *,
    organism: str | None = "Homo sapiens",
    seed: int = 0,
) -> ad.AnnData:
    """Counts in which cell i expresses gene i modulo the number of genes most."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.2, (cells, len(genes))).astype(np.float32)
    counts[np.arange(cells), np.arange(cells) % len(genes)] += 20
    adata = ad.AnnData(
        sp.csr_matrix(counts),
        obs=pd.DataFrame(index=[f"cell-{i}" for i in range(cells)]),
        var=pd.DataFrame(index=list(genes)),
    )
    adata.obs["cluster"] = pd.Categorical([f"c{i % 3}" for i in range(cells)])
    if organism:
        adata.uns["organism"] = organism
    return adata


def write_counts(
    path: Path, cells: int = 60, genes: tuple[str, ...] = GENES, **how: object
) -> Path:
    """Write such counts to a file."""
    make_adata(cells, genes, **how).write_h5ad(path, compression="gzip")  # type: ignore[arg-type]
    return path
