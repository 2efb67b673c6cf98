"""Counts to principal components, inside the graph of the model.

Symbols: x counts, m gene_present, s share of each gene in a training spot, T the median number of
counts of a training spot, μ mean of the normalized training spots, V their principal axes.

    y = (m · (log(1 + T · Σ(m·s) · x / Σ(m·x)) − μ)) V

As published: normalization to the median of the counts, logarithm, centring, 50 components; genes
are not scaled to unit variance. A gene that the file lacks enters as its training mean, and the sum
over the panel is held against the share of the genes that are there.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Components(nn.Module):
    """Normalization and projection."""

    share: Tensor
    mean: Tensor
    axes: Tensor
    target: Tensor

    def __init__(self, genes: int, components: int) -> None:
        super().__init__()
        self.register_buffer("share", torch.full((genes,), 1 / genes))
        self.register_buffer("mean", torch.zeros(genes))
        self.register_buffer("axes", torch.zeros(genes, components))
        self.register_buffer("target", torch.tensor(1e4))

    @torch.no_grad()
    def fit(self, counts: Tensor, *, unit: bool = False) -> None:
        """Take everything from training spots.

        Parameters
        ----------
        counts
            float32 [spots, genes].
        unit
            Divide by the standard deviation of the first component, one number for all, so that a
            learning rate means the same for any panel. The published code does not.

        """
        totals = counts.sum(dim=1)
        counts = counts[totals > 0]
        self.target = totals[totals > 0].median()
        self.share = (counts / counts.sum(dim=1, keepdim=True)).mean(dim=0)
        logs = self.logs(counts, torch.ones_like(self.share))
        self.mean = logs.mean(dim=0)
        spots, wanted = len(logs), self.axes.shape[1]
        found = min(wanted, spots - 1, logs.shape[1])
        _, spread, axes = torch.svd_lowrank(logs - self.mean, q=found, niter=6)
        scale = spread[0] / (spots - 1) ** 0.5 if unit else 1.0
        self.axes = functional.pad(_signed(axes) / scale, (0, wanted - found))

    def logs(self, counts: Tensor, present: Tensor) -> Tensor:
        """log-normalized values [spots, genes] of counts and presence [genes]."""
        x = counts * present
        total = x.sum(dim=1, keepdim=True)  # (spots, 1)
        share = (present * self.share).sum()
        # A spot without counts gets scale × 0 = 0, so log(1) = 0: finite, never 0 / 0.
        scale = self.target * share / torch.where(total > 0, total, torch.ones_like(total))
        return torch.log1p(x * scale)

    def forward(self, counts: Tensor, present: Tensor) -> Tensor:
        """[spots, genes] and [genes] → [spots, components]."""
        return ((self.logs(counts, present) - self.mean) * present) @ self.axes


def _signed(axes: Tensor) -> Tensor:
    """Axes with their largest entry positive: a decomposition leaves the sign open."""
    largest = axes.abs().argmax(dim=0)
    return axes * torch.sign(axes[largest, torch.arange(axes.shape[1], device=axes.device)])
