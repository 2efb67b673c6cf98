"""What ccAFv2 itself says of the cells of a file; run by `reference.sh` where it is installed.

    python reference.py CELLS.h5ad ANSWERS.h5

Counts are brought to log(1 + counts per 10,000) first. The package standardizes genes over the
cells of the file that it is asked about, so the answers hold for this file as a whole.
"""

import sys
from importlib.metadata import version

import anndata
import ccAFv2
import h5py
import numpy as np
import scanpy as sc


def main(source: str, target: str) -> None:
    """Ask the package, and write its answers."""
    cells = anndata.read_h5ad(source)
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    ids = "gene_ids" in cells.var
    if ids:
        cells.var_names = cells.var["gene_ids"].astype(str)
    kind = "ensembl" if ids else "symbol"
    _, prob = ccAFv2.predict_labels(cells, species="human", gene_id=kind, threshold=0)
    with h5py.File(target, "w") as file:
        file.attrs["made_with"] = f"ccAFv2 {version('ccAFv2')} (tensorflow-cpu {_tensorflow()})"
        label = prob.argmax(axis=1).astype(np.int64)
        for name, values in (("label", label), ("prob", prob.astype(np.float32))):
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


def _tensorflow() -> str:
    import tensorflow

    return tensorflow.__version__


if __name__ == "__main__":
    main(*sys.argv[1:])
