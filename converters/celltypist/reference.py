"""CellTypist's own training and answers; run by reference.sh, where CellTypist is installed.

Trains on every second labelled cell of pbmc3k and annotates the other cells, whole and with 30% and
90% of the file's genes left out before normalization. Writes model.pkl, the counts that were
annotated (cells-MISSING.h5ad) and the answers (reference-MISSING.h5).
"""

from __future__ import annotations

import sys
from pathlib import Path

import anndata
import celltypist
import h5py
import numpy as np
import scanpy

MISSING = (0, 30, 90)


def main(data: Path, out: Path) -> None:
    """Train and annotate."""
    cells = anndata.read_h5ad(data / "pbmc3k_10x.h5ad")
    known = ~cells.obs["cell_type"].astype(str).str.startswith("unassigned").to_numpy()
    cells = cells[known].copy()
    train, test = cells[::2].copy(), cells[1::2].copy()
    model = celltypist.train(
        normalized(train), labels="cell_type", feature_selection=True, top_genes=300, n_jobs=1
    )
    model.write(str(out / "model.pkl"))
    train.write_h5ad(out / "train.h5ad", compression="gzip")
    for missing in MISSING:
        keep = np.random.default_rng(missing).random(test.n_vars) >= missing / 100
        given = test[:, keep].copy()
        given.write_h5ad(out / f"cells-{missing}.h5ad", compression="gzip")
        answers = celltypist.annotate(normalized(given), model=model)
        with h5py.File(out / f"reference-{missing}.h5", "w") as file:
            file.attrs["made_with"] = f"celltypist {celltypist.__version__}"
            file["prob"] = answers.probability_matrix.to_numpy(dtype=np.float64)
            file["classes"] = [str(name) for name in answers.probability_matrix.columns]
            file["label"] = answers.predicted_labels["predicted_labels"].astype(str).tolist()


def normalized(cells: anndata.AnnData) -> anndata.AnnData:
    """log(1 + counts per 10,000) over the genes that are there."""
    copy = cells.copy()
    scanpy.pp.normalize_total(copy, target_sum=1e4)
    scanpy.pp.log1p(copy)
    return copy


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
