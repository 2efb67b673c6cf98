"""Cells to train on, read from a DL-ready file by `zoo.data.Loader`: sparse rows in memory.

The whole file's sparse matrix is held (about 8 bytes for each molecule seen in a cell's gene);
nothing is dense before a recipe has chosen its genes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse

from zoo.slides import Slides

Strings = npt.NDArray[np.str_]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class TrainingCells:
    """Cells of one file.

    Attributes
    ----------
    path
        The file, for messages.
    counts
        float32 CSR [cells, genes]: raw counts, or intensities for a recipe of these.
    symbols, gene_ids
        str [genes]: the file's gene names, and unversioned Ensembl ids where it has them.
    names
        str [cells].
    part
        str [cells]: `train`, `validation`, `test`, or `left out` of all three.
    labels, label
        Names, and int64 [cells] positions among them, -1 for a cell without; None if no column was
        named.
    batches, batch
        The same of donors, samples or patients.
    slides
        Coordinates and slides; None for cells without a place.
    stimulated
        int64 [cells]: 1 for stimulated cells, 0 for control cells, -1 for others; None where
        nothing was done to any.
    total_counts
        float32 [cells]: counts over all genes of the file, whatever genes are left here.
    facts
        What the file says of itself: `uns` entries such as source, license, accession.

    """

    path: str
    counts: sparse.csr_matrix
    symbols: Strings
    gene_ids: Strings | None
    names: Strings
    part: Strings
    total_counts: Float32
    labels: tuple[str, ...] = ()
    label: Int64 | None = None
    batches: tuple[str, ...] = ()
    batch: Int64 | None = None
    slides: Slides | None = None
    stimulated: Int64 | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.counts.shape[0])

    def where(self, keep: Flags) -> TrainingCells:
        """The cells for which `keep` [cells] is true."""
        return replace(
            self,
            counts=self.counts[keep],
            names=self.names[keep],
            part=self.part[keep],
            total_counts=self.total_counts[keep],
            label=None if self.label is None else self.label[keep],
            batch=None if self.batch is None else self.batch[keep],
            slides=None if self.slides is None else self.slides.where(keep),
            stimulated=None if self.stimulated is None else self.stimulated[keep],
        )

    def of(self, part: Part) -> TrainingCells:
        """The cells of one part."""
        return self.where(self.part == part)

    def seen(self) -> TrainingCells:
        """The cells that a fit may see: those of the parts `train` and `validation`."""
        return self.where((self.part == "train") | (self.part == "validation"))

    def with_genes(self, columns: Int64) -> TrainingCells:
        """The same cells with some of the genes, in this order."""
        return replace(
            self,
            counts=sparse.csr_matrix(self.counts[:, columns]),
            symbols=self.symbols[columns],
            gene_ids=None if self.gene_ids is None else self.gene_ids[columns],
        )

    def dense(self) -> Float32:
        """float32 [cells, genes]."""
        return np.asarray(self.counts.toarray(), dtype=np.float32)
