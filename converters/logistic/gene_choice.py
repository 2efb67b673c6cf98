"""Which genes the regression sees: those seen at all, or those that a first regression weighs most.

CellTypist's first pass: stochastic gradient descent on all genes, then for each class the genes
with the largest absolute coefficients (`train(..., feature_selection=True, top_genes=300)`).
"""

from __future__ import annotations

import numpy as np
import torch

from converters.logistic.network import Scaling
from converters.logistic.recipe import LogisticSettings
from converters.training_cells import Float32, Int64, TrainingCells
from converters.vocabulary import detected_genes

_SEED = 0  # of the descent; the choice of genes belongs to the data, not to a fit's seed


def choose_genes(cells: TrainingCells, settings: LogisticSettings) -> Int64:
    """Ascending columns of `cells`."""
    assert cells.label is not None
    known = cells.where(cells.label >= 0)
    seen = np.flatnonzero(detected_genes(known.counts, 1))
    if not settings.top_genes or settings.top_genes >= len(seen):
        return seen
    assert known.label is not None
    z = scaled(known.with_genes(seen), settings)
    coefficients = first_regression(z, known.label, settings.selection_epochs)
    largest = np.argpartition(np.abs(coefficients), -settings.top_genes, axis=1)
    return seen[np.unique(largest[:, -settings.top_genes :])]


def scaled(cells: TrainingCells, settings: LogisticSettings) -> Float32:
    """float32 [cells, genes]: as the graph sees them."""
    scaling = Scaling(cells.counts.shape[1], target=settings.target, clip=settings.clip)
    counts, totals = torch.from_numpy(cells.dense()), torch.from_numpy(cells.total_counts)[:, None]
    scaling.fit(counts, totals)
    values: Float32 = scaling(counts, torch.ones(counts.shape[1]), totals).numpy()
    return values


def first_regression(z: Float32, labels: Int64, epochs: int) -> Float32:
    """Coefficients [classes, genes] of CellTypist's first pass (one row where there are two)."""
    from sklearn.linear_model import SGDClassifier

    model = SGDClassifier(
        loss="log_loss", alpha=1e-4, max_iter=epochs, tol=None, random_state=_SEED
    )
    coefficients: Float32 = model.fit(z, labels).coef_
    return coefficients
