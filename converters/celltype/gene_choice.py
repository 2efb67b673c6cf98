"""Which genes a classifier reads: markers of each class, then the most variable ones."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse

from converters.training_cells import Int64, Strings
from converters.vocabulary import detected_genes, excluded_genes, marker_genes, variable_genes

MITOCHONDRIAL = ("MT-",)


class GeneSettings(Protocol):
    """How many genes are chosen."""

    @property
    def genes(self) -> int:
        """All in all."""

    @property
    def markers(self) -> int:
        """For each class, at most."""

    @property
    def min_cells(self) -> int:
        """Fewest cells that have a gene; fewest cells of a class that gets markers."""


def choose_genes(
    counts: sparse.csr_matrix, symbols: Strings, labels: Int64, settings: GeneSettings
) -> Int64:
    """Columns of the genes that mark a class or vary most among training cells, in file order.

    Genes that tell a cell's state, handling or donor are left out by their human symbols, those of
    mouse by the same ones in capitals. In a file that is named by Ensembl ids none is recognised.

    Parameters
    ----------
    counts
        float32 CSR [cells, genes] of training cells.
    symbols
        str [genes].
    labels
        int64 [cells].
    settings
        Numbers of genes.

    """
    capitals = np.char.upper(symbols.astype(np.str_))
    excluded = excluded_genes(capitals, np.char.upper(state_genes()).tolist(), MITOCHONDRIAL)
    candidates = detected_genes(counts, settings.min_cells) & ~excluded
    common = np.flatnonzero(np.bincount(labels) >= settings.min_cells)
    # Every class gets its share, also where there are very many of them.
    per_class = min(settings.markers, settings.genes // max(len(common), 1))
    markers = marker_genes(
        counts, labels, per_class=per_class, candidates=candidates, classes=common
    )
    candidates[markers] = False
    others = variable_genes(counts, genes=settings.genes - len(markers), candidates=candidates)
    return np.sort(np.concatenate([markers, others]))


def state_genes() -> npt.NDArray[np.str_]:
    """Symbols of genes that tell a cell's state or donor rather than its type."""
    with (Path(__file__).parent / "state_genes.tsv").open(encoding="utf-8") as file:
        return np.array([row["symbol"] for row in csv.DictReader(file, delimiter="\t")])
