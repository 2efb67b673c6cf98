"""Runs in the throw-away environment of reference.sh: trains, saves and asks scvi-tools itself.

    python reference.py pancreas_baron_human_3donors.h5ad OUT [GENES HIDDEN LATENT EPOCHS]

Writes OUT/sample.h5ad with 50 cells, OUT/NAME as `save()` does for variants of both models, and
beside each one NAME.h5: what scvi-tools says of the sample, as `zoo convert --reference` reads it.
Models whose encoder is told the batch are asked as if all cells were of the donor human1.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import scvi
import torch

CELLS = 50
BATCH = "human1"


def chosen(path: str, genes: int) -> anndata.AnnData:
    """Cells with the genes that vary most."""
    cells = anndata.read_h5ad(path)
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    logs = np.log1p(cells.X.toarray() / totals[:, None] * 1e4)
    order = np.sort(np.argsort(-logs.var(axis=0), kind="stable")[:genes])
    cells = cells[:, order].copy()
    cells.obs = cells.obs[["cell_type", "donor"]]
    return cells


def sample_of(cells: anndata.AnnData, path: Path) -> anndata.AnnData:
    """Evenly spaced cells, also as a file."""
    shown = cells[np.linspace(0, len(cells) - 1, CELLS).astype(int)].copy()
    shown.uns = {
        "organism": "Homo sapiens",
        "attribution": "Baron et al. 2016, GSE84133; subset by came 0.1.13 (MIT)",
    }
    shown.write_h5ad(path, compression="gzip")
    return shown


def ask(model: Any, shown: anndata.AnnData, path: Path) -> None:
    """Keep what the model says of the sample."""
    shown = shown.copy()
    shown.obs["donor"] = BATCH
    with h5py.File(path, "w") as file:
        file.attrs["made_with"] = f"scvi-tools {scvi.__version__}, torch {torch.__version__}"
        file["embedding"] = model.get_latent_representation(shown, give_mean=True)
        if isinstance(model, scvi.model.SCANVI):
            prob = model.predict(shown, soft=True)
            file["prob"] = prob.to_numpy().astype(np.float32)
            file["label"] = prob.to_numpy().argmax(axis=1)
            file["classes"] = np.array(prob.columns, dtype="S")


def main() -> None:
    """Train and keep."""
    path, out = sys.argv[1], Path(sys.argv[2])
    given = [int(number) for number in sys.argv[3:]]
    genes, hidden, latent, epochs = given or (2000, 128, 10, 40)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    scvi.settings.seed = 0
    out.mkdir(parents=True, exist_ok=True)
    cells = chosen(path, genes)
    shown = sample_of(cells, out / "sample.h5ad")
    scvi.model.SCVI.setup_anndata(cells, batch_key="donor")
    small = {"n_hidden": hidden, "n_latent": latent}
    train = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
    variants = {
        "scvi": {},
        "scvi-arches": {
            "use_layer_norm": "both", "use_batch_norm": "none", "encode_covariates": True,
            "n_layers": 2, "gene_likelihood": "nb", "dispersion": "gene-batch",
        },
        "scvi-plain": {
            "log_variational": False, "use_observed_lib_size": False, "n_layers": 2,
            "use_layer_norm": "encoder", "gene_likelihood": "poisson",
        },
    }  # fmt: skip
    for name, choices in variants.items():
        first = name == "scvi"
        model = scvi.model.SCVI(cells, **small, **choices)
        model.train(max_epochs=epochs if first else max(1, epochs // 10), **train)
        model.save(str(out / name), overwrite=True)
        ask(model, shown, out / f"{name}.h5")
        if name == "scvi-plain":
            continue
        labelled = scvi.model.SCANVI.from_scvi_model(
            model, unlabeled_category="Unknown", labels_key="cell_type",
            linear_classifier=not first,
        )  # fmt: skip
        labelled.train(max_epochs=max(1, epochs // 4), **train)
        name = name.replace("scvi", "scanvi")
        labelled.save(str(out / name), overwrite=True)
        ask(labelled, shown, out / f"{name}.h5")


if __name__ == "__main__":
    main()
