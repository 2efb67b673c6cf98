"""Small spatial `.h5ad` files: spots of a few slides, with counts and coordinates."""

from __future__ import annotations

import anndata as ad
import numpy as np
from counts_file import make_adata


def make_slides(*sizes: int, interleaved: bool = False, seed: int = 0) -> ad.AnnData:
    """Slides A, B, … of so many spots, all over one another; in turns if `interleaved`."""
    names = np.repeat([chr(ord("A") + slide) for slide in range(len(sizes))], sizes)
    random = np.random.default_rng(seed)
    if interleaved:
        random.shuffle(names)
    adata = make_adata(len(names), seed=seed)
    adata.obs["section"] = names
    adata.obsm["spatial"] = random.uniform(0, 10, (len(names), 2))
    return adata
