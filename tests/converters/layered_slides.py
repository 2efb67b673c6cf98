"""Simulated slides with three layers, as a file and as training cells."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from converters.training_cells import TrainingCells
from zoo.slides import Slides

LAYERS = ("outer", "middle", "inner")
SIDE = 12
GENES = 30


def layered(slides: int = 3, *, mouse: bool = False, seed: int = 0) -> ad.AnnData:
    """Grids of SIDE × SIDE spots; a third of the genes marks each layer, every tenth is unclear."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    places = np.tile(np.stack([x.ravel(), y.ravel()], axis=1).astype(float), (slides, 1))
    layer = (places[:, 0] * 3 // SIDE).astype(int)
    rate = np.ones((len(places), GENES))
    rate[np.arange(GENES)[None, :] % 3 == layer[:, None]] = 3
    slide = np.repeat(np.arange(slides), SIDE * SIDE)
    rate *= np.exp(0.2 * rng.normal(size=(slides, GENES)))[slide]
    names = [f"Gene{i}" if mouse else f"GENE{i}" for i in range(GENES)]
    adata = ad.AnnData(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)),
        obs=pd.DataFrame(index=[f"spot{i}" for i in range(len(places))]),
        var=pd.DataFrame(index=names),
        obsm={"spatial": places},
        uns={"organism": "Mus musculus" if mouse else "Homo sapiens"},
    )
    told = np.array(LAYERS)[layer].astype(object)
    told[::10] = "unclear"
    adata.obs["layer"] = told.astype(str)
    adata.obs["patient"] = [f"P{s}" for s in slide]
    return adata


def write_layered(path: Path, slides: int = 3, **how: object) -> Path:
    """Write such slides to a file."""
    layered(slides, **how).write_h5ad(path)  # type: ignore[arg-type]
    return path


def cells_of(adata: ad.AnnData) -> TrainingCells:
    """The slides as a recipe is given them; unclear spots have no label."""
    told = adata.obs["layer"].to_numpy(dtype=str)
    label = np.array([LAYERS.index(name) if name in LAYERS else -1 for name in told])
    patients, batch = np.unique(adata.obs["patient"].to_numpy(dtype=str), return_inverse=True)
    counts = sparse.csr_matrix(adata.X)
    return TrainingCells(
        path="simulated",
        counts=counts,
        symbols=adata.var_names.to_numpy(dtype=str),
        gene_ids=None,
        names=adata.obs_names.to_numpy(dtype=str),
        part=np.full(len(told), "train", dtype="<U10"),
        total_counts=np.asarray(counts.sum(axis=1), dtype=np.float32).ravel(),
        labels=LAYERS,
        label=label.astype(np.int64),
        batches=tuple(patients.tolist()),
        batch=batch.astype(np.int64),
        slides=Slides.of(
            "simulated", adata.obsm["spatial"], "patient", patients[batch].astype(str)
        ),
    )
