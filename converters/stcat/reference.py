"""What STCAT's own functions say of the cells of a file; run by `reference.sh`.

    python reference.py CELLS.h5ad ANSWERS.h5

`STCAT.STCAT` lets clusters of cells vote and then edits the votes by marker lists, so a cell's
answer depends on the other cells. `label` and `prob` are its cell-by-cell part: the package's
`annotate` without voting, put together by the rules of `STCAT.STCAT`. `voted` is what
`STCAT.STCAT` itself says, for comparison; it is -1 where that could not be run.
"""

import sys
from importlib.metadata import version
from pathlib import Path

import anndata
import h5py
import numpy as np
import scanpy as sc
import STCAT
from STCAT import annotate

UNCONVENTIONAL = ["Double Negative", "Double Positive", "MAIT", "NKT", "Tgd"]
NO_T_CELL = "None T"


def counts_of(cells: anndata.AnnData, *genes: str) -> np.ndarray:
    """float [cells]: summed counts of those of the genes that the file has."""
    known = [gene for gene in genes if gene in cells.var_names]
    return np.asarray(cells[:, known].X.sum(axis=1)).ravel()


def scores(cells: anndata.AnnData, model: str) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Classes, decision scores and sigmoids [cells, classes] of one of the three models."""
    path = str(Path(STCAT.__file__).parent / "data" / model)
    told = annotate.annotate(cells.copy(), model=path, majority_voting=False)
    matrix = told.decision_matrix
    return list(matrix.columns), matrix.to_numpy(), told.probability_matrix.to_numpy()


def cell_by_cell(cells: anndata.AnnData) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Labels, label of each cell and prob [cells, labels] without clusters."""
    t_cell = counts_of(cells, "CD3D", "CD3E", "CD3G") > 0
    as_cd8 = counts_of(cells, "CD8A", "CD8B") > counts_of(cells, "CD4")
    cells = cells.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    cells.X = cells.X.astype(np.float64)
    first, first_scores, first_prob = scores(cells, "T_cell.pkl")
    unusual = np.isin(np.array(first)[first_scores.argmax(axis=1)], UNCONVENTIONAL)
    names, label, prob = [], np.full(cells.n_obs, -1), []
    for model, asked in (
        ("cd4.pkl", t_cell & ~unusual & ~as_cd8),
        ("cd8.pkl", t_cell & ~unusual & as_cd8),
    ):
        classes, values, sigmoid = scores(cells, model)
        label = np.where(asked, values.argmax(axis=1) + len(names), label)
        names += classes
        prob.append(np.where(asked[:, None], sigmoid, 0))
    columns = [first.index(name) for name in UNCONVENTIONAL]
    asked = t_cell & unusual
    label = np.where(asked, first_scores[:, columns].argmax(axis=1) + len(names), label)
    prob.append(np.where(asked[:, None], first_prob[:, columns], 0))
    names += UNCONVENTIONAL
    label = np.where(t_cell, label, len(names))
    prob.append((~t_cell)[:, None].astype(float))
    return [*names, NO_T_CELL], label, np.concatenate(prob, axis=1)


def voted(cells: anndata.AnnData, names: list) -> np.ndarray:
    """int64 [cells]: what `STCAT.STCAT` says; -1 for cells that it drops."""
    told = STCAT.STCAT(cells.copy())
    said = told.obs["Prediction"].astype(str)
    code = {name: k for k, name in enumerate(names)}
    return np.array([code.get(said.get(name, ""), -1) for name in cells.obs_names], np.int64)


def main(source: str, target: str) -> None:
    """Ask the package, and write its answers."""
    cells = anndata.read_h5ad(source)
    names, label, prob = cell_by_cell(cells)
    try:
        votes = voted(cells, names)
    except Exception as error:  # the package fails on few cells: the comparison is left out
        print(f"STCAT.STCAT could not be run: {error}", file=sys.stderr)
        votes = np.full(len(label), -1, dtype=np.int64)
    with h5py.File(target, "w") as file:
        packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy"))
        file.attrs["made_with"] = f"STCAT {version('STCAT')} ({packages})"
        file.attrs["names"] = names
        for name, values in (
            ("label", label.astype(np.int64)),
            ("prob", prob.astype(np.float32)),
            ("voted", votes),
        ):
            file.create_dataset(name, data=values, compression="gzip", shuffle=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
