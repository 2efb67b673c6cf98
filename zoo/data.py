"""`zoo.data.Loader`: batches of a DL-ready file for training, from the disk, in random order.

Blocks of consecutive cells are read in random order into a shuffle buffer of `buffer_cells` cells,
which mixes the cells of at least `MIXED_BLOCKS` blocks. So a batch is a random sample of that many
random places of the file: a file no larger than the buffer is shuffled perfectly; in a larger one,
two neighbours of the file meet in a batch more often than chance has it. Memory: the buffer's cells
as sparse rows, and one dense batch.

A CSR or dense matrix is read at random places. A CSC matrix (and a text matrix) is turned by cell
on the disk anew in every epoch: `zoo prepare` writes CSR.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from zoo.block import Block, Float32, Int64
from zoo.categories import Categories
from zoo.cell_rows import CellRows
from zoo.errors import (
    MissingKey,
    MixedValueKinds,
    NotCounts,
)
from zoo.examination import examine
from zoo.gene_axis import GeneAxis
from zoo.reading import Dataset, open_dataset
from zoo.shuffle_buffer import ShuffleBuffer
from zoo.training_data import SPLIT, categories
from zoo.value_kind import Evidence, ensure_finite, is_consistent
from zoo.vocabulary import GeneVocabulary

if TYPE_CHECKING:
    from anndata import AnnData

Strings = npt.NDArray[np.str_]

BLOCK_CELLS = 256
MIXED_BLOCKS = 16


@dataclass(frozen=True)
class Batch:
    """Some cells.

    Attributes
    ----------
    counts
        float32 [cells, genes]: counts in the order of `Loader.genes`, 0 where the file lacks one.
    gene_present
        float32 [genes]: 1 where the file has the gene.
    label, batch
        int64 [cells]: position in `Loader.labels` and `Loader.batches`, -1 where the cell has no
        value; None where no column was named.
    rows
        int64 [cells]: row of each cell in the file.

    """

    counts: Float32
    gene_present: Float32
    label: Int64 | None
    batch: Int64 | None
    rows: Int64


@dataclass(frozen=True)
class _Facts:
    """What is read once: which cells and genes, and under which codes."""

    source: str
    evidence: Evidence
    genes: GeneAxis
    label: Categories | None
    batch: Categories | None
    chosen: npt.NDArray[np.bool_]


class Loader:
    """Batches of a file's counts; iterate once for each epoch, `set_epoch(n)` before it.

    Nothing is read before the first use. The file is opened for each epoch and closed after it; a
    `Dataset` that was given stays open.

    Parameters
    ----------
    source
        An `.h5ad`, a zarr folder, another file that CellZoo reads, an AnnData or a `Dataset`.
    genes
        The genes to give, in order: a model's vocabulary or ids; None for the file's own.
    label, batch
        Columns of obs whose codes to give.
    split
        The part of obs['split'] to give; None for all cells.
    buffer_cells
        Cells to hold for shuffling.
    value_kind
        What the file must hold: `counts`, or `intensity` (mass cytometry), which is then taken as
        declared where the values alone could be anything.

    Raises
    ------
    MissingKey, NotCounts, DuplicateGenes, UnmatchedGenes
        At first use, if the file lacks a column or part, holds no counts, or does not name its
        genes uniquely or as asked for; besides all that `zoo.reading.open_dataset` raises.
    NotFinite, MixedValueKinds
        While reading, if values turn up that the head of the file did not announce.

    """

    def __init__(
        self,
        source: str | os.PathLike[str] | AnnData | Dataset,
        *,
        genes: GeneVocabulary | Sequence[str] | None = None,
        label: str | None = None,
        batch: str | None = None,
        split: str | None = "train",
        batch_size: int = 128,
        shuffle: bool = True,
        seed: int = 0,
        buffer_cells: int = 8192,
        drop_last: bool = False,
        value_kind: Literal["counts", "intensity"] = "counts",
    ) -> None:
        self.source, self.split, self.value_kind = source, split, value_kind
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.buffer_cells, self.drop_last = buffer_cells, drop_last
        self._wanted, self._columns = genes, (label, batch)
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next iteration: another one for each pair of seed and epoch."""
        self._epoch = epoch

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by their code, over all cells of the file: the same for every split."""
        return self._facts.label.names if self._facts.label else ()

    @property
    def batches(self) -> tuple[str, ...]:
        """The batches by their code, over all cells of the file."""
        return self._facts.batch.names if self._facts.batch else ()

    @property
    def genes(self) -> Strings:
        """Str [genes]: the columns of `counts`."""
        return self._facts.genes.names

    @property
    def cells(self) -> int:
        """Number of cells in an epoch (before `drop_last`)."""
        return int(self._facts.chosen.sum())

    def __len__(self) -> int:
        """Number of batches in an epoch."""
        whole, rest = divmod(self.cells, self.batch_size)
        return whole + int(rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        facts = self._facts
        rng = np.random.default_rng([self.seed, self._epoch]) if self.shuffle else None
        buffer = ShuffleBuffer(self.buffer_cells if self.shuffle else 0, self.batch_size, rng)
        with self._opened() as dataset:
            pieces = self._pieces(dataset, facts, rng)
            for rows in buffer.batches(pieces, drop_last=self.drop_last):
                yield Batch(
                    rows.counts(len(facts.genes.names)),
                    facts.genes.gene_present,
                    facts.label.codes[rows.row] if facts.label else None,
                    facts.batch.codes[rows.row] if facts.batch else None,
                    rows.row,
                )

    def _pieces(
        self, dataset: Dataset, facts: _Facts, rng: np.random.Generator | None
    ) -> Iterator[CellRows]:
        """The chosen cells, block by block; blocks without one are not read."""
        cells = max(1, min(BLOCK_CELLS, self.buffer_cells // MIXED_BLOCKS))
        numbers = np.unique(np.flatnonzero(facts.chosen) // cells)
        if rng is not None:
            numbers = rng.permutation(numbers)
        for block in dataset.blocks(facts.source, cells=cells, order=numbers.tolist()):
            self._watch(dataset, facts, block)
            rows = CellRows.of(block, facts.genes.position)
            yield rows.take(np.flatnonzero(facts.chosen[rows.row]))

    def _watch(self, dataset: Dataset, facts: _Facts, block: Block) -> None:
        ensure_finite(block, dataset.path, facts.source)
        if not is_consistent(block, facts.evidence):
            raise MixedValueKinds(dataset.path, facts.source, block.start, self.value_kind)

    def _opened(self) -> AbstractContextManager[Dataset]:
        source: Any = self.source
        return nullcontext(source) if hasattr(source, "blocks") else open_dataset(source)

    @cached_property
    def _facts(self) -> _Facts:
        with self._opened() as dataset:
            declared = None if self.value_kind == "counts" else self.value_kind
            examination = examine(dataset, value_kind=declared, unique_cells=False)
            source, evidence = examination.source, examination.evidence
            if evidence is None or evidence.value_kind != self.value_kind:
                kind = evidence.value_kind if evidence else None
                why = evidence.sentence() if evidence else "neither integers nor a log of them"
                raise NotCounts(dataset.path, source, str(kind or "other"), why, self.value_kind)
            genes = GeneAxis.of(dataset.path, examination.columns, self._wanted)
            label, batch = (categories(dataset, c) if c else None for c in self._columns)
            chosen = _chosen(dataset, self.split)
            return _Facts(source, evidence, genes, label, batch, chosen)


def _chosen(dataset: Dataset, split: str | None) -> npt.NDArray[np.bool_]:
    """bool [cells]: the cells of a part."""
    if split is None:
        return np.ones(dataset.cells, dtype=bool)
    parts = categories(dataset, SPLIT)
    if split not in parts.names:
        raise MissingKey(dataset.path, f"obs[{SPLIT!r}]", split, parts.names)
    chosen: npt.NDArray[np.bool_] = parts.codes == parts.names.index(split)
    return chosen
