"""Cells with hidden counts: what an imputation is taught and tested with."""

from __future__ import annotations

import torch
from torch import Tensor

from converters.scgnn.network import LogNormalization


class MaskedCells:
    """Cells whose counts are partly hidden.

    Attributes
    ----------
    shown, target
        Log expression [cells, genes] of the counts that are left (of a thinned cell), and of all.
    hidden
        bool [cells, genes]: nonzero counts that are not shown.

    """

    def __init__(
        self,
        counts: Tensor,
        normalization: LogNormalization,
        hidden: Tensor,
        *,
        thinned: Tensor | None = None,
    ) -> None:
        everything = torch.ones(counts.shape[1])
        self.hidden = hidden
        seen = counts if thinned is None else thinned
        self.shown = normalization(torch.where(hidden, 0.0, seen), everything)
        self.target = normalization(counts, everything)

    def loss(self, imputed: Tensor, weight: float) -> Tensor:
        """Mean squared error over all entries, hidden ones weighing `weight` times as much."""
        share = 1 + (weight - 1) * self.hidden
        return (share * (imputed - self.target) ** 2).sum() / share.sum()


def hide(counts: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """bool [cells, genes]: a random share of the nonzero counts."""
    return (torch.rand(counts.shape, generator=generator) < share) & (counts > 0)


def thin(counts: Tensor, share: float, smallest: float, generator: torch.Generator) -> Tensor:
    """Counts [cells, genes] as if some cells had been sequenced less.

    A share of the cells keeps each molecule with one probability, drawn for the cell from
    `smallest` to 1 evenly on the logarithm.
    """
    kept = smallest ** torch.rand(len(counts), 1, generator=generator)
    chosen = torch.rand(len(counts), 1, generator=generator) < share
    kept = torch.where(chosen, kept, 1.0).expand_as(counts)
    return torch.binomial(counts, kept.contiguous(), generator=generator)
