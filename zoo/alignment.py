"""Alignment: from the genes of a file to the vocabulary of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Float32
from zoo.card import GeneIdKind
from zoo.vocabulary import GeneVocabulary

Strings = npt.NDArray[np.str_]

_ALMOST_ALL = 0.9


@dataclass(frozen=True)
class Alignment:
    """Where each gene of a file goes in a model's input.

    Attributes
    ----------
    column
        Which of the file's gene columns was matched (`index` or the name of a `var` column).
    gene_id_kind
        Which of the vocabulary's ids it was matched by.
    position
        int32 [genes of the file]: position in the vocabulary, -1 where the model does not read it.
    gene_present
        float32 [genes of the vocabulary]: 1 where the file has the gene.
    gene_coverage
        Share of the model that the present genes carry (weights of `genes.tsv`).

    """

    column: str
    gene_id_kind: GeneIdKind
    position: npt.NDArray[np.int32]
    gene_present: Float32
    gene_coverage: float

    @property
    def shared(self) -> int:
        """Number of vocabulary genes that the file has."""
        return int(self.gene_present.sum())

    def counts(self, block: Block) -> Float32:
        """float32 [cells, genes of the vocabulary]: a block in the order of the vocabulary.

        Entries of one gene that occur twice in a row (a sparse matrix may hold them) are summed.
        """
        genes = len(self.gene_present)
        position = self.position[block.indices]
        known = np.flatnonzero(position >= 0)
        flat = position[known].astype(np.int64)
        # Entries of row i among the known ones lie between these bounds.
        bounds = np.searchsorted(known, block.indptr)
        flat += np.repeat(np.arange(block.cells) * genes, np.diff(bounds))
        counts = np.zeros(block.cells * genes, dtype=np.float32)
        # Assignment would keep the last of repeated entries.
        np.add.at(counts, flat, block.data[known].astype(np.float32, copy=False))
        return counts.reshape(block.cells, genes)


def align(columns: Mapping[str, Strings], vocabulary: GeneVocabulary) -> Alignment:
    """Match a file's genes with a vocabulary.

    The column and id kind that share most genes win, the first of equals. A column that names each
    gene once is preferred to one with duplicates as long as it shares almost as many.

    Parameters
    ----------
    columns
        Candidate names of the file's genes, each str [genes of the file].
    vocabulary
        The model's genes.

    """
    found = [
        _match(column, names, kind, vocabulary)
        for column, names in columns.items()
        for kind in vocabulary.ids
    ]
    most = max(alignment.shared for alignment in found)
    good = [alignment for alignment in found if alignment.shared >= _ALMOST_ALL * most]
    unique = [
        alignment
        for alignment in good
        if len(np.unique(columns[alignment.column])) == len(columns[alignment.column])
    ]
    return max(unique or good, key=lambda alignment: alignment.shared)


def _match(column: str, names: Strings, kind: GeneIdKind, vocabulary: GeneVocabulary) -> Alignment:
    known = vocabulary.positions[kind]
    position = np.fromiter((known.get(name, -1) for name in names.tolist()), np.int32, len(names))
    present = np.zeros(len(vocabulary), dtype=np.float32)
    present[position[position >= 0]] = 1
    return Alignment(column, kind, position, present, float(vocabulary.weight @ present))
