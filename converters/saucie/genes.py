"""Genes that vary more than others of their mean expression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse

_DEGREE = 3


def dispersed_genes(
    counts: sparse.csr_matrix, *, genes: int, min_cells: int
) -> npt.NDArray[np.int64]:
    """Ascending columns of the genes with the largest excess variance.

    The variance of log(1 + counts per 10,000) is held against a cubic in its mean, both logged,
    fitted to all genes that at least `min_cells` cells have. Plain variance would choose the
    highest expressed genes, whose differences are mostly of depth.
    """
    seen = np.asarray((counts > 0).sum(axis=0)).ravel() >= min_cells
    totals = np.asarray(counts.sum(axis=1)).ravel()
    logs = sparse.csr_matrix(sparse.diags(1e4 / np.maximum(totals, 1)) @ counts)
    logs.data = np.log1p(logs.data)
    mean = np.asarray(logs.mean(axis=0)).ravel()
    variance = np.asarray(logs.multiply(logs).mean(axis=0)).ravel() - mean**2
    usable = np.flatnonzero(seen & (variance > 0))
    log_mean, log_variance = np.log(mean[usable]), np.log(variance[usable])
    if len(usable) > genes:
        trend = np.polynomial.Polynomial.fit(log_mean, log_variance, _DEGREE)
        excess = log_variance - trend(log_mean)
        usable = usable[np.argsort(-excess, kind="stable")[:genes]]
    return np.sort(usable).astype(np.int64)
