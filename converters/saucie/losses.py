"""The four losses of SAUCIE: reconstruction, information dimension, intracluster distance, MMD.

Amodio et al. 2019, Nature Methods 16:1139, doi:10.1038/s41592-019-0576-7 (Methods). Each function
takes a minibatch and gives a scalar without its weight λ. Reconstruction is the mean squared error.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SIGMAS = (
    *(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0),
    *(1e2, 1e3, 1e4, 1e5, 1e6),
)
_TINY = 1e-9


def squared_distances(x: Tensor) -> Tensor:
    """Squared Euclidean distances [cells, cells] of the rows of x [cells, dims]."""
    square = (x * x).sum(dim=1)
    return (square[:, None] - 2 * x @ x.T + square[None, :]).clamp(min=0)


def multiscale_kernel(squared: Tensor) -> Tensor:
    """Mean of 19 Gaussian kernels exp(−d² / 2σ), σ from 1e-6 to 1e6, of squared distances."""
    return torch.stack([torch.exp(squared / (-2 * sigma)) for sigma in _SIGMAS]).mean(dim=0)


def normalized_activations(h: Tensor) -> Tensor:
    """Activations [cells, units] of the clustering layer, divided by their largest."""
    return h / h.max().clamp(min=_TINY)


def information_dimension(act: Tensor) -> Tensor:
    """Entropy of the units' shares of activation (λc): small when few units carry all.

    p_j = Σ_i act_ij / Σ_ij act_ij;   ID = −Σ_j p_j log p_j
    """
    p = act.sum(dim=0)
    p = p / p.sum().clamp(min=_TINY)
    return -(p * torch.log(p + _TINY)).sum()


def intracluster_distance(act: Tensor, x: Tensor) -> Tensor:
    """Mean distance of pairs of cells in x, weighted by how alike their codes are (λd).

    The weight of a pair is the kernel of its codes' distance, brought to [0, 1] in the minibatch.
    """
    alike = multiscale_kernel(squared_distances(act))
    alike = alike - alike.min()
    alike = alike / alike.max().clamp(min=_TINY)
    return (torch.sqrt(squared_distances(x) + 1e-3) * alike).mean()


def maximal_mean_discrepancy(z: Tensor, batch: Tensor, reference: int) -> Tensor:
    """MMD of the embedding [cells, dims] between the reference batch and each other (λb).

    Distances are divided by the largest of the minibatch. Of several batches the mean is taken;
    those with fewer than two cells in the minibatch are left out. 0 where none is left.
    """
    squared = squared_distances(z)
    kernel = multiscale_kernel(squared / squared.max().clamp(min=_TINY))
    first = batch == reference
    terms = []
    for other in batch.unique().tolist():
        second = batch == other
        if other < 0 or other == reference or second.sum() < 2 or first.sum() < 2:
            continue
        within = kernel[first][:, first].mean() + kernel[second][:, second].mean()
        terms.append((within - 2 * kernel[first][:, second].mean()).abs())
    return torch.stack(terms).mean() if terms else z.new_zeros(())
