"""The genes that batches for training have, and where each gene of a file goes among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zoo.alignment import align
from zoo.block import Float32
from zoo.errors import DuplicateGenes, UnmatchedGenes
from zoo.validation import duplicated_names
from zoo.vocabulary import GeneVocabulary

Strings = npt.NDArray[np.str_]


@dataclass(frozen=True)
class GeneAxis:
    """See the module.

    Attributes
    ----------
    names
        str [genes]: the genes to give.
    position
        int32 [genes of the file]: position in `names`, -1 where a gene is not wanted.
    gene_present
        float32 [genes]: 1 where the file has the gene.

    """

    names: Strings
    position: npt.NDArray[np.int32]
    gene_present: Float32

    @classmethod
    def of(
        cls,
        path: str,
        columns: Mapping[str, Strings],
        wanted: GeneVocabulary | Sequence[str] | None,
    ) -> GeneAxis:
        """The axis that is wanted, for a file whose genes have these names.

        Parameters
        ----------
        columns
            Candidate names, each str [genes of the file]; `index` is the file's own.
        wanted
            A vocabulary or ids of any one kind; None for the file's genes as they are.

        Raises
        ------
        DuplicateGenes, UnmatchedGenes

        """
        own = columns["index"]
        if wanted is None:
            _ensure_unique(path, own)
            return cls(own, np.arange(len(own), dtype=np.int32), np.ones(len(own), np.float32))
        vocabulary = wanted if isinstance(wanted, GeneVocabulary) else _vocabulary(wanted)
        alignment = align(columns, vocabulary)
        if not alignment.shared:
            raise UnmatchedGenes(path, own[:3].tolist(), vocabulary.names[:3].tolist())
        return cls(vocabulary.names, alignment.position, alignment.gene_present)


def _vocabulary(names: Sequence[str]) -> GeneVocabulary:
    """Names are matched as they are, whatever their kind."""
    ids = np.array(list(names), dtype=np.str_)
    _ensure_unique("<genes>", ids)
    return GeneVocabulary({"symbol": ids}, np.full(len(ids), 1 / max(len(ids), 1), np.float32))


def _ensure_unique(path: str, names: Strings) -> None:
    if repeated := duplicated_names(names):
        raise DuplicateGenes(path, repeated[:3], len(repeated))
