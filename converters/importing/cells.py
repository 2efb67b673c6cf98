"""The sample of an imported model: at most 100 cells of a file, or made-up ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from converters.importing.importer import ImportedModel
from converters.importing.order import ImportOrder
from zoo.block import Block
from zoo.card import ValueKind
from zoo.count_stream import CountStream
from zoo.examination import examine
from zoo.reading import Dataset, open_dataset
from zoo.validation import raise_first

_MADE_UP = 24
_COUNTS_OF_A_CELL = 3000.0
_ID_COLUMNS = ("gene_ids", "gene_id", "ensembl_id", "feature_id")
_AT_ONCE = 1024


@dataclass(frozen=True)
class Sample:
    """Cells for `zoo test` and `zoo example`.

    Attributes
    ----------
    counts
        float32 CSR [cells, genes of the file].
    rows
        int64 [cells]: which cells of the file these are; None for made-up ones.
    columns
        Columns of var beside the index.
    told
        What it is, for card and file.

    """

    counts: sparse.csr_matrix
    names: list[str]
    genes: list[str]
    columns: dict[str, list[str]]
    told: str
    rows: npt.NDArray[np.int64] | None = None
    labels: list[str] | None = None

    @property
    def real(self) -> bool:
        """Whether these are somebody's cells."""
        return self.rows is not None


def sample_of(order: ImportOrder, model: ImportedModel) -> Sample:
    """The cells of the sample.

    Raises
    ------
    DataError
        If the file cannot be read, or its values are not counts.

    """
    path = order.sample_file
    if path is None:
        return _made_up(model)
    with open_dataset(path) as dataset:
        kinds = model.value_kinds
        declared: ValueKind | None = "intensity" if kinds == ("intensity",) else None
        examination = examine(dataset, value_kind=declared, unique_cells=False)
        raise_first([f for f in examination.findings if f.code == "value_kind"], force=False)
        assert examination.evidence is not None, "without a red finding there is evidence"
        rows = _rows(dataset, order)
        stream = CountStream(dataset, examination.source, examination.evidence)
        taken = [
            block.take(here - block.start)
            for block in stream.blocks(_AT_ONCE)
            if len(here := rows[(rows >= block.start) & (rows < block.start + block.cells)])
        ]
        names = dataset.genes(examination.source)
        column = order.plan.sample.label
        columns = {name: names.columns[name] for name in _ID_COLUMNS if name in names.columns}
        kept = _needed(model, [names.index, *columns.values()])
        return Sample(
            counts=_matrix(Block.joined(taken))[:, kept],
            names=dataset.cell_names(0, dataset.cells)[rows].tolist(),
            genes=names.index[kept].tolist(),
            columns={name: values[kept].tolist() for name, values in columns.items()},
            told=f"{len(rows)} cells of {order.plan.sample.accession}"
            if order.plan.sample.accession != "not stated"
            else f"{len(rows)} cells of {path.name}",
            rows=rows,
            labels=_labels(dataset, column, rows),
        )


def _needed(model: ImportedModel, names: list[npt.NDArray[np.str_]]) -> npt.NDArray[np.int64]:
    """int64 [genes kept]: all where whole libraries count, else the model's own: a small sample."""
    taken = {value.name for value in model.graph.model.graph.input}
    if "total_counts" in taken:
        return np.arange(len(names[0]))
    own = [*model.genes.symbols, *model.genes.ensembl_ids]
    kept = np.any([np.isin(column, [name for name in own if name]) for column in names], axis=0)
    found: npt.NDArray[np.int64] = np.flatnonzero(kept)
    return found


def _rows(dataset: Dataset, order: ImportOrder) -> npt.NDArray[np.int64]:
    """int64 [cells taken], ascending: those of the labels that the plan wants, at most so many."""
    plan = order.plan.sample
    rows = np.arange(dataset.cells)
    if plan.only and plan.label is not None:
        rows = rows[np.isin(dataset.obs(plan.label)[rows].astype(np.str_), plan.only)]
    if len(rows) > plan.cells:
        rows = np.sort(np.random.default_rng(0).choice(rows, plan.cells, replace=False))
    return rows


def _labels(dataset: Dataset, column: str | None, rows: npt.NDArray[np.int64]) -> list[str] | None:
    return None if column is None else dataset.obs(column)[rows].astype(np.str_).tolist()


def _matrix(block: Block) -> sparse.csr_matrix:
    shape = (block.cells, block.genes)
    return sparse.csr_matrix(
        (block.data.astype(np.float32), block.indices, block.indptr), shape=shape
    )


def _made_up(model: ImportedModel) -> Sample:
    """Overdispersed counts of genes with unequal means: no real cell is among them."""
    rng = np.random.default_rng(0)
    genes = len(model.genes)
    share = rng.lognormal(0.0, 1.5, size=(_MADE_UP, genes))
    share /= share.sum(axis=1, keepdims=True)
    counts = rng.poisson(share * _COUNTS_OF_A_CELL).astype(np.float32)
    symbols, ids = model.genes.symbols, model.genes.ensembl_ids
    index = [name or f"unnamed-{i}" for i, name in enumerate(symbols or ids)]
    return Sample(
        counts=sparse.csr_matrix(counts),
        names=[f"made-up-{i + 1}" for i in range(_MADE_UP)],
        genes=index,
        columns={"gene_ids": list(ids)} if any(symbols) and any(ids) else {},
        told="made-up counts: none of them is a real cell",
    )


def write_sample(path: Path, sample: Sample, order: ImportOrder) -> None:
    """Write the sample as `.h5ad`, with the terms of its source."""
    import anndata
    import pandas as pd

    terms = order.plan.sample
    obs = pd.DataFrame(index=sample.names)
    if sample.labels is not None:
        obs[order.plan.sample.label] = pd.Categorical(sample.labels)
    uns: dict[str, Any] = {
        "organism": order.plan.inputs.organism,
        "sample": sample.told,
        "license": terms.license if sample.real else "CC0-1.0",
    }
    if sample.real:
        uns |= {name: getattr(terms, name) for name in ("source", "attribution", "accession")}
    if order.plan.inputs.organism == "not stated":
        del uns["organism"]
    var = pd.DataFrame(sample.columns, index=sample.genes)
    table = anndata.AnnData(X=sample.counts, obs=obs, var=var, uns=uns)
    table.write_h5ad(path, compression="gzip", compression_opts=9)
