"""The gene vocabulary of a model: which genes it reads, under which ids, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from zoo.block import Float32
from zoo.card import GeneIdKind
from zoo.errors import InvalidModelFile
from zoo.table import parse_table

Strings = npt.NDArray[np.str_]

# The order in which kinds are tried and ties are broken: ids are unique, symbols need not be.
GENE_ID_KINDS: tuple[GeneIdKind, ...] = ("ensembl_id", "symbol", "marker")


@dataclass(frozen=True)
class GeneVocabulary:
    """The genes of a model, in the order of its `counts` input.

    Attributes
    ----------
    ids
        For each id kind that the model knows, str [genes]; an empty string where a gene has none.
    weight
        float32 [genes]: share of what each gene contributes to the model; sums to 1.

    """

    ids: Mapping[GeneIdKind, Strings]
    weight: Float32

    @classmethod
    def parse(cls, content: bytes, *, model: str) -> GeneVocabulary:
        """Read `genes.tsv`: columns `weight` and `symbol`, `ensembl_id` or `marker`.

        Raises
        ------
        InvalidModelFile

        """
        file = "genes.tsv"
        header = content.partition(b"\n")[0].decode("utf-8", "replace").split("\t")
        kinds = [kind for kind in GENE_ID_KINDS if kind in header]
        if not kinds:
            raise InvalidModelFile(model, file, f"line 1: no column {' or '.join(GENE_ID_KINDS)}")
        table = parse_table(content, [*kinds, "weight"], model=model, file=file)
        try:
            weight = np.array(table["weight"], dtype=np.float32)
        except ValueError as error:
            raise InvalidModelFile(model, file, "a weight is no number") from error
        if not len(weight) or not np.isfinite(weight).all() or weight.min() < 0:
            raise InvalidModelFile(model, file, "weights must be finite and not negative")
        ids = {kind: np.array(table[kind], dtype=np.str_) for kind in kinds}
        for kind, names in ids.items():
            named = names[names != ""]
            if len(np.unique(named)) != len(named):
                raise InvalidModelFile(model, file, f"column {kind!r} names a gene twice")
        return cls(ids, weight / max(weight.sum(), np.float32(1e-12)))

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def positions(self) -> dict[GeneIdKind, dict[str, int]]:
        """For each id kind, the position of each id in the vocabulary."""
        return {
            kind: {str(name): i for i, name in enumerate(names) if name}
            for kind, names in self.ids.items()
        }

    @property
    def names(self) -> Strings:
        """str [genes]: the name that people know best: symbol, marker, else Ensembl id."""
        for kind in ("symbol", "marker", "ensembl_id"):
            if kind in self.ids:
                return self.ids[kind]
        raise AssertionError("parse() accepts no vocabulary without ids")
