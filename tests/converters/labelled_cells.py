"""Simulated labelled cells for the tests of recipes."""

import numpy as np
from scipy import sparse

from converters.training_cells import TrainingCells

LABELS = ("acinar", "beta", "ductal")


def labelled_cells(
    *, cells: int = 300, genes: int = 80, seed: int = 0, rare: int = 0, mouse: bool = False
) -> TrainingCells:
    """Poisson counts of three types by their third of the genes; with `rare`, of a fourth type.

    The first three genes are mitochondrial, of sex and of interferon response, and never decide.
    """
    rng = np.random.default_rng(seed)
    label = np.arange(cells) % 3
    rate = np.ones((cells, genes)) * 1.5
    rate[np.arange(genes)[None, :] % 3 == label[:, None]] = 6
    rate[:, :3] = 4
    labels = LABELS
    if rare:
        labels = (*LABELS, "schwann")
        label[:rare] = 3
        rate[:rare] = 1
        rate[:rare, -8:] = 20
    symbols = [f"GENE{i}" for i in range(genes)]
    symbols[:3] = ["mt-Co1", "Xist", "Isg15"] if mouse else ["MT-CO1", "XIST", "ISG15"]
    part = np.array(["train", "train", "validation"])[(np.arange(cells) // 3) % 3]
    counts = sparse.csr_matrix(rng.poisson(rate).astype(np.float32))
    return TrainingCells(
        path="simulated",
        counts=counts,
        symbols=np.array(symbols),
        gene_ids=None,
        names=np.array([f"cell{i}" for i in range(cells)]),
        part=part.astype("<U10"),
        total_counts=np.asarray(counts.sum(axis=1), dtype=np.float32).ravel(),
        labels=labels,
        label=label.astype(np.int64),
    )
