"""Cells as a model meets them in an evaluation: in the order of its vocabulary, with the truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from zoo.block import Float32, Int64
from zoo.slides import Slides

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Placed:
    """Counts in the order of a vocabulary.

    Attributes
    ----------
    counts
        float32 [cells, genes], 0 where the data set lacks the gene.
    present
        float32 [genes]: 1 where the data set has the gene.
    coverage
        Gene coverage, weighted by what each gene contributes to the model.
    total_counts
        float32 [cells, 1]: counts over all genes of the file; None where they are not known.
    slides
        Coordinates and slides of spots; None for cells without a place.
    fold
        int64 [cells]: which of several models has not seen a cell, where each group is left out in
        turn; None where one model is asked.

    """

    counts: Float32
    present: Float32
    coverage: float
    total_counts: Float32 | None = None
    slides: Slides | None = None
    fold: Int64 | None = None

    def __len__(self) -> int:
        return len(self.counts)

    def where(self, keep: Flags) -> Placed:
        """The cells for which `keep` [cells] is true."""
        totals, slides = self.total_counts, self.slides
        return replace(
            self,
            counts=self.counts[keep],
            total_counts=None if totals is None else totals[keep],
            slides=None if slides is None else slides.where(keep),
            fold=None if self.fold is None else self.fold[keep],
        )


@dataclass(frozen=True)
class LabelledCells:
    """Placed cells with what is known about them.

    Attributes
    ----------
    labels
        Names of the labels that `label` points to: a classifier's own, in its order, or whatever
        the data set calls its cells where the model has no classes.
    label
        int64 [cells]: position in `labels`, -1 where a cell has none that counts.
    stranger
        bool [cells]: labelled by the data set with something that the model has no class for.
    stimulated
        int64 [cells]: 1 for stimulated cells, 0 for control cells, -1 for others; None where
        nothing was done to any.
    groups, group
        Names and int64 [cells] codes of batches, donors, patients or slides; empty and None where
        nobody knows.

    """

    placed: Placed
    labels: tuple[str, ...] = ()
    label: Int64 | None = None
    groups: tuple[str, ...] = ()
    group: Int64 | None = None
    stranger: Flags | None = None
    stimulated: Int64 | None = None

    def __len__(self) -> int:
        return len(self.placed)

    def where(self, keep: Flags) -> LabelledCells:
        """The cells for which `keep` [cells] is true."""
        return replace(
            self,
            placed=self.placed.where(keep),
            label=None if self.label is None else self.label[keep],
            group=None if self.group is None else self.group[keep],
            stranger=None if self.stranger is None else self.stranger[keep],
            stimulated=None if self.stimulated is None else self.stimulated[keep],
        )
