"""Top genes: which genes speak most for a label, of one cell and over a group of cells.

A gene speaks for a label by being there or by being silent, and the two are kept apart: *present*
genes have counts in the cell, *absent* ones have none (but are in the file; genes that the file
lacks say nothing and are never listed).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Int32 = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

STATES = ("present", "absent")


@dataclass(frozen=True)
class TopGenes:
    """The top genes of each cell.

    Attributes
    ----------
    genes
        int32 [cells, 2, top]: positions in the vocabulary, present genes first, each from the
        highest attribution down; -1 where fewer genes speak for the label.
    attribution
        float32 [cells, 2, top]: 0 where there is none.

    """

    genes: Int32
    attribution: Float32

    @classmethod
    def of(cls, attribution: Float32, expressed: Flags, top: int) -> TopGenes:
        """Find the genes with the highest positive attribution, [cells, genes]."""
        top = min(top, attribution.shape[1])
        found = [_highest(np.where(there, attribution, 0), top) for there in
                 (expressed, ~expressed)]  # fmt: skip
        genes, values = (np.stack(parts, axis=1) for parts in zip(*found, strict=True))
        return cls(genes, values)

    def names(self, vocabulary: npt.NDArray[np.str_]) -> dict[str, npt.NDArray[np.object_]]:
        """Str [cells] by state: names from the first down, with spaces between."""
        padded = np.append(vocabulary, "")
        found = {}
        for number, state in enumerate(STATES):
            lists = [" ".join(padded[row[row >= 0]]) for row in self.genes[:, number]]
            found[state] = np.array(lists, dtype=object)
        return found


def _highest(values: Float32, top: int) -> tuple[Int32, Float32]:
    """Places and values of the highest positive numbers of each row, first of equals first."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :top].astype(np.int32)
    chosen = np.take_along_axis(values, order, axis=1)
    speaks = chosen > 0
    return np.where(speaks, order, np.int32(-1)), np.where(speaks, chosen, np.float32(0))


@dataclass(frozen=True)
class GroupGene:
    """One line of what a group's labels rest on.

    Attributes
    ----------
    group, state, rank, gene
        The group, `present` or `absent`, from 1, and the gene's name.
    attribution
        Mean over all cells of the group of what the gene brings while it is in this state.
    share
        Share of the group's cells in which it is in this state.

    """

    group: str
    state: str
    rank: int
    gene: str
    attribution: float
    share: float


@dataclass
class GroupTotals:
    """Attributions added up by group, portion by portion.

    Memory: groups × genes, whatever the number of cells.
    """

    groups: int
    genes: int
    _sum: Float64 = field(init=False)
    _expressed: Float64 = field(init=False)
    _cells: Float64 = field(init=False)
    _positive: Float64 = field(init=False)

    def __post_init__(self) -> None:
        self._sum = np.zeros((2, self.groups, self.genes))
        self._expressed = np.zeros((self.groups, self.genes))
        self._cells = np.zeros(self.groups)
        self._positive = np.zeros((2, self.groups))

    def add(self, group: npt.NDArray[np.integer], attribution: Float32, expressed: Flags) -> None:
        """Add cells: group [cells] (-1 for none), attribution and expressed [cells, genes]."""
        for code in np.unique(group[group >= 0]).tolist():
            mine = group == code
            values, there = attribution[mine].astype(np.float64), expressed[mine]
            for number, state in enumerate((there, ~there)):
                kept = np.where(state, values, 0)
                self._sum[number, code] += kept.sum(axis=0)
                self._positive[number, code] += np.maximum(kept, 0).sum()
            self._expressed[code] += there.sum(axis=0)
            self._cells[code] += len(values)

    @property
    def absent_share(self) -> float:
        """Share of all positive attribution that absent genes bring."""
        present, absent = self._positive.sum(axis=1)
        return float(absent / (present + absent)) if present + absent else 0.0

    def absent_share_of(self, group: int) -> float:
        """The same of one group; NaN without cells."""
        present, absent = self._positive[:, group]
        return float(absent / (present + absent)) if present + absent else float("nan")

    def top(
        self, names: list[str], vocabulary: npt.NDArray[np.str_], number: int
    ) -> list[GroupGene]:
        """The top genes of every group that has cells, present ones first."""
        return [
            GroupGene(
                names[group],
                state,
                rank,
                str(vocabulary[gene]),
                float(mean[gene]),
                float(share[gene]),
            )
            for group in np.flatnonzero(self._cells).tolist()
            for state, mean, share in self._of(group)
            for rank, gene in enumerate(_first(mean, number), start=1)
        ]

    def means(self, group: int) -> tuple[Float64, Float64]:
        """Mean attributions [genes] of a group while a gene is present, and while it is absent."""
        cells = max(self._cells[group], 1)
        return self._sum[0, group] / cells, self._sum[1, group] / cells

    def _of(self, group: int) -> list[tuple[str, Float64, Float64]]:
        present, absent = self.means(group)
        share = self._expressed[group] / max(self._cells[group], 1)
        return [(STATES[0], present, share), (STATES[1], absent, 1 - share)]


def _first(mean: Float64, number: int) -> list[int]:
    order = np.argsort(-mean, kind="stable")[:number]
    return [int(gene) for gene in order if mean[gene] > 0]
