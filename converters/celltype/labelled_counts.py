"""Cells that a classifier learns from or is calibrated with: dense counts and labels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from converters.training_cells import Float32, Int64, Part, TrainingCells


@dataclass(frozen=True)
class LabelledCounts:
    """Cells with their labels.

    Attributes
    ----------
    counts
        float32 [cells, genes].
    labels
        int64 [cells].
    totals
        float32 [cells, 1]: counts over all genes of the file; None for models that need none.

    """

    counts: Tensor
    labels: Tensor
    totals: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, chosen: Tensor) -> LabelledCounts:
        """Some of the cells."""
        totals = None if self.totals is None else self.totals[chosen]
        return LabelledCounts(self.counts[chosen], self.labels[chosen], totals)

    @classmethod
    def of(cls, counts: Float32, labels: Int64) -> LabelledCounts:
        """From arrays."""
        return cls(torch.from_numpy(counts), torch.from_numpy(labels.astype(np.int64)))

    @classmethod
    def of_part(cls, cells: TrainingCells, part: Part) -> LabelledCounts:
        """The labelled cells of one part."""
        assert cells.label is not None
        kept = cells.where((cells.part == part) & (cells.label >= 0))
        assert kept.label is not None
        totals = torch.from_numpy(kept.total_counts.astype(np.float32))[:, None]
        return replace(cls.of(kept.dense(), kept.label), totals=totals)
