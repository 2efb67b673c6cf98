"""What actinn-jax itself says of the cells of a file; run by `reference.sh` where it is installed.

    python reference.py CELLS.h5ad ANSWERS.h5 [GENES.tsv]

`label` is the package's own selection, `prob` the product of its coarse and fine probabilities over
all 324 classes. GENES.tsv (columns `ensembl_id` and `symbol`) renames the genes of files that have
symbols alone, which the package would refuse.
"""

import sys

import actinn_jax
import anndata
import h5py
import numpy as np
import pandas as pd


def with_ids(cells: anndata.AnnData, table: str) -> anndata.AnnData:
    """The cells with Ensembl ids for the symbols that a table knows; other genes stay."""
    genes = pd.read_csv(table, sep="\t", keep_default_na=False)
    known = {s: i for s, i in zip(genes["symbol"], genes["ensembl_id"], strict=True) if s}
    cells.var_names = [known.get(name, name) for name in cells.var_names]
    return cells


def main(source: str, target: str, table: str | None = None) -> None:
    """Ask the package, and write its answers."""
    cells = anndata.read_h5ad(source)
    if table:
        cells = with_ids(cells, table)
    model = actinn_jax.bundled_reference("panhuman_distill_v1", download=False)
    names = model._resolve_gene_ids(cells, "auto")
    asked = {"gene_names": names, "_skip_match": True}
    coarse = model.coarse.predict_proba(cells, **asked)
    joint = np.zeros((cells.n_obs, len(model.classes)), dtype=np.float32)
    column = {name: k for k, name in enumerate(model.classes)}
    for group, name in enumerate(model.coarse.classes):
        fine = model.fine[name]
        if isinstance(fine, str):
            joint[:, column[fine]] = coarse[:, group]
        else:
            within = fine.predict_proba(cells, **asked)
            joint[:, [column[c] for c in fine.classes]] = coarse[:, [group]] * within
    frame, _ = model.predict_frame(cells)
    label = np.array([column[name] for name in frame["celltype"]], dtype=np.int64)
    with h5py.File(target, "w") as file:
        file.attrs["made_with"] = f"actinn-jax {_version('actinn-jax')} (jax {_version('jax')})"
        file.create_dataset("label", data=label, compression="gzip", shuffle=True)
        file.create_dataset("prob", data=joint, compression="gzip", shuffle=True)


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


if __name__ == "__main__":
    main(*sys.argv[1:])
