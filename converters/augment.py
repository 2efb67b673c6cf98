"""What shallower sequencing, other gene lists and other chemistries do to counts, drawn at random.

Every function takes the generator that it draws from, so that a seed repeats a training.
"""

from __future__ import annotations

import torch
from torch import Tensor


def thin(counts: Tensor, fraction: Tensor, generator: torch.Generator) -> Tensor:
    """Keep each molecule with a cell's probability: a shallower sequencing of the same cells.

    Parameters
    ----------
    counts
        float32 [cells, genes], whole numbers.
    fraction
        float32 [cells, 1], from 0 to 1.
    generator
        Source of randomness.

    """
    return torch.binomial(counts, fraction.expand_as(counts).contiguous(), generator=generator)


def gene_gains(
    genes: int, sd: float, generator: torch.Generator, *, dead_share: float = 0.0
) -> Tensor:
    """float32 [genes]: factors by which another chemistry or pipeline sees each gene.

    Log-normal, and 0 for a share of the genes: aligners that drop multi-mapping reads lose genes
    with many pseudogenes, and joined tables are padded with zeros, yet the gene is listed.
    """
    gains = torch.exp(torch.randn(genes, generator=generator) * sd)
    return gains * (torch.rand(genes, generator=generator) >= dead_share)


def with_ambient(counts: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Add molecules of the batch's mean cell, up to a share of each cell's own: burst cells."""
    profile = counts.mean(dim=0) / counts.mean(dim=0).sum()
    share = torch.rand(len(counts), 1, generator=generator) * largest
    dose = share * counts.sum(dim=1, keepdim=True) * profile
    return counts + torch.poisson(dose, generator=generator)


def panel_order(salience: Tensor, tilt: float, generator: torch.Generator) -> Tensor:
    """int64 [genes]: the genes in the order in which a random gene list would pick them.

    Published gene lists favour variable and well expressed genes. Gumbel noise plus `tilt` times
    the standardised salience draws without replacement with odds exp(tilt × salience).
    """
    uniform = torch.rand(len(salience), generator=generator).clamp(1e-9, 1 - 1e-7)
    return (tilt * salience - torch.log(-torch.log(uniform))).argsort(descending=True)


def panel_of_size(order: Tensor, genes: int) -> Tensor:
    """float32 [genes]: 1 for the first so many genes of an order."""
    present = torch.zeros(len(order))
    present[order[: max(genes, 1)]] = 1
    return present


def panel_of_coverage(order: Tensor, weight: Tensor, coverage: float) -> Tensor:
    """float32 [genes]: 1 for the first genes of an order that together carry the coverage."""
    reached = torch.cumsum(weight[order], dim=0)
    return panel_of_size(order, int((reached < coverage).sum()) + 1)


def log_uniform(low: float, count: int, generator: torch.Generator) -> Tensor:
    """float32 [count]: numbers from `low` to 1, uniform in their logarithm."""
    uniform = torch.rand(count, generator=generator)
    return torch.exp(uniform * torch.log(torch.tensor(low)))
