"""What another chemistry or pipeline makes of cells: the genes it lists, how well it sees them."""

from __future__ import annotations

import torch
from torch import Tensor

from converters.augment import gene_gains
from converters.celltype.confidence_settings import ConfidenceSettings

TARGET = 2000.0  # counts of a cell, for the spread of genes alone


def random_gains(genes: int, settings: ConfidenceSettings, generator: torch.Generator) -> Tensor:
    """float32 [genes]: gains of a random chemistry, from hardly another one to quite another."""
    sd, dead = torch.rand(2, generator=generator).tolist()
    return gene_gains(
        genes, sd * settings.gain_sd, generator, dead_share=dead * settings.dead_share
    )


def gene_salience(counts: Tensor) -> Tensor:
    """float32 [genes]: standardised log of a gene's spread, by which gene lists favour genes."""
    fractions = counts / counts.sum(dim=1, keepdim=True).clamp(min=1)
    log_sd = torch.log(torch.log1p(fractions * TARGET).std(dim=0) + 1e-3)
    return (log_sd - log_sd.mean()) / log_sd.std()
