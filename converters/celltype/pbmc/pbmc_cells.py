"""The cells of pbmc3k: corrected labels, chosen genes, three parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.celltype.gene_choice import choose_genes
from converters.celltype.pbmc.choices import LABELS, Choices
from converters.datasets import NO_COUNTERPART, PBMC3K, Cells, Flags, Strings, read
from converters.vocabulary import Float32, Int64


@dataclass(frozen=True)
class PbmcCells:
    """pbmc3k in the order of the vocabulary.

    Attributes
    ----------
    cells
        Labelled cells with all genes of the file.
    genes
        int64 [vocabulary]: columns of `cells` that the model reads.
    label
        int64 [cells]: corrected label, an index into `LABELS`.
    published
        int64 [cells]: label as published.
    part
        str [cells]: `train`, `calibration` or `test`.

    """

    cells: Cells
    genes: Int64
    label: Int64
    published: Int64
    part: Strings

    def counts(self, part: str) -> Float32:
        """float32 [cells of the part, vocabulary]."""
        return self.cells.counts[self.part == part][:, self.genes].toarray().astype(np.float32)

    def labels(self, part: str) -> Int64:
        """int64 [cells of the part]: corrected labels."""
        return self.label[self.part == part]

    @property
    def symbols(self) -> Strings:
        """str [vocabulary]."""
        return self.cells.symbols[self.genes]

    @property
    def gene_ids(self) -> Strings:
        """str [vocabulary]: Ensembl ids."""
        assert self.cells.gene_ids is not None
        return self.cells.gene_ids[self.genes]


def load(folder: Path, choices: Choices, seed: int) -> PbmcCells:
    """Read pbmc3k, leave out the unassigned cells, correct labels, split and choose the genes."""
    cells = read(PBMC3K, folder)
    cells = cells.where(cells.labels != NO_COUNTERPART)
    published = np.array([LABELS.index(name) for name in cells.labels.tolist()])
    label = np.where(mislabelled_cd8(cells), LABELS.index("CD8 T cells"), published)
    part = split(published, choices, seed)
    return PbmcCells(cells, genes_of(cells, label, part, choices), label, published, part)


def genes_of(cells: Cells, label: Int64, part: Strings, choices: Choices) -> Int64:
    """Columns of the genes that are chosen from the training cells."""
    training = part == "train"
    return choose_genes(cells.counts[training], cells.symbols, label[training], choices.settings)


def mislabelled_cd8(cells: Cells) -> Flags:
    """bool [cells]: published as CD4 T cells, with CD8A or CD8B molecules and none of CD4.

    The published labels are annotated clusters, and naive CD8 T cells cluster with naive CD4 T
    cells: 211 of 1144 "CD4" cells show CD8 RNA and no CD4 RNA. The two are exclusive in blood.
    """
    cd8 = cells.gene("CD8A") + cells.gene("CD8B") > 0
    return (cells.labels == "CD4 T cells") & cd8 & (cells.gene("CD4") == 0)


def split(labels: Int64, choices: Choices, seed: int) -> Strings:
    """str [cells]: the part of each cell, drawn within each class."""
    rng = np.random.default_rng(seed)
    part = np.full(len(labels), "train", dtype="<U11")
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        first = round(len(members) * choices.train_share)
        second = round(len(members) * (choices.train_share + choices.calibration_share))
        part[members[first:second]] = "calibration"
        part[members[second:]] = "test"
    return part
