"""A small random matrix, and AnnData objects around it."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import anndata
import numpy as np
import pandas as pd
import pytest
from matrices import CELLS, GENES
from scipy import sparse


@pytest.fixture
def counts() -> np.ndarray:
    """int64 [cells, genes]; the last cell and one gene are empty."""
    rng = np.random.default_rng(7)
    values = rng.poisson(0.6, (CELLS, GENES)) * rng.integers(1, 5, (CELLS, GENES))
    values[-1] = 0
    values[:, 3] = 0
    return values


@pytest.fixture
def adata(counts) -> anndata.AnnData:
    """Every encoding that obs and var know today, raw, layers, obsm and uns."""
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical(
                np.array(["T cell", "B cell", None], dtype=object)[np.arange(CELLS) % 3]
            ),
            "batch": pd.Categorical(np.arange(CELLS) % 2 + 10),
            "depth": np.linspace(0, 1, CELLS),
            "count": pd.array([None, *range(1, CELLS)], dtype="Int64"),
            "kept": pd.array([True, None] + [False] * (CELLS - 2), dtype="boolean"),
            "doublet": np.arange(CELLS) % 5 == 0,
            "note": np.array([f"zelle-ä{n}" for n in range(CELLS)], dtype=object),
        },
        index=[f"cell-{n}" for n in range(CELLS)],
    )
    var = pd.DataFrame(
        {
            "gene_ids": [f"ENSG{n:011d}" for n in range(GENES)],
            "type": pd.Categorical(["Gene Expression"] * GENES),
            "mean": counts.mean(axis=0),
        },
        index=[f"gene_{n}" for n in range(GENES)],
    )
    made = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)
    made.raw = made.copy()
    made = made[:, :12].copy()
    made.layers["csc"] = sparse.csc_matrix(made.X)
    made.layers["dense"] = made.X.toarray()
    made.obsm["spatial"] = np.arange(2.0 * CELLS).reshape(CELLS, 2)
    made.obsm["table"] = pd.DataFrame({"a": np.arange(CELLS)}, index=made.obs_names)
    made.uns = {"title": "test", "n": 3, "cellzoo": {"organism": "Homo sapiens"}, "list": [1, 2]}
    return made


@pytest.fixture
def write(tmp_path) -> Callable[..., str]:
    """Write an AnnData with anndata itself; its warnings about its own future are not ours."""

    def _write(adata: anndata.AnnData, name: str = "made.h5ad", **options) -> str:
        path = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if name.endswith(".zarr"):
                adata.write_zarr(path, **options)
            else:
                adata.write_h5ad(path, **options)
        return str(path)

    return _write
