"""Cells that a classifier learns from or is calibrated with: dense counts and labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from converters.training_cells import Float32, Int64, Part, TrainingCells


@dataclass(frozen=True)
class LabelledCounts:
    """float32 counts [cells, genes] and int64 labels [cells]."""

    counts: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

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
        return cls.of(kept.dense(), kept.label)
