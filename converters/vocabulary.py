"""Choosing a model's genes, writing `genes.tsv`, and placing a data set's counts in its order.

Genes are chosen from the training cells that are handed over; no test set has a say.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
from scipy import sparse

from converters.datasets import Cells, Strings
from zoo.alignment import align
from zoo.evaluation.cells import Placed
from zoo.vocabulary import GeneVocabulary

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


def variable_genes(
    counts: sparse.csr_matrix, *, genes: int, candidates: npt.NDArray[np.bool_]
) -> Int64:
    """Columns of the candidates whose log-normalized values vary most, most variable first."""
    _, variance = _moments(_log_normalized(counts))
    order = np.argsort(-variance, kind="stable")
    return order[candidates[order]][:genes]


def marker_genes(
    counts: sparse.csr_matrix,
    labels: Int64,
    *,
    per_class: int,
    candidates: npt.NDArray[np.bool_],
    classes: Int64 | None = None,
) -> Int64:
    """Columns of the candidates that stand out in each class, by Welch's t of the log values.

    `classes` are those that get markers: by default, all.

    Variance alone misses the markers of rare classes: FCER1A, CD1C and CLEC10A of dendritic cells
    vary less than thousands of noisy genes.
    """
    logs = _log_normalized(counts)
    chosen: list[Int64] = [np.zeros(0, dtype=np.int64)]
    for label in np.unique(labels) if classes is None else classes:
        inside, outside = labels == label, labels != label
        mean, variance = _moments(logs[inside])
        other_mean, other_variance = _moments(logs[outside])
        error = np.sqrt(variance / inside.sum() + other_variance / outside.sum())
        t = np.where(candidates, (mean - other_mean) / np.maximum(error, 1e-6), -np.inf)
        best = np.argsort(-t, kind="stable")[:per_class]
        chosen.append(best[t[best] > 0])
    return np.unique(np.concatenate(chosen))


def detected_genes(counts: sparse.csr_matrix, min_cells: int) -> npt.NDArray[np.bool_]:
    """bool [genes]: genes seen in at least so many cells."""
    detected: npt.NDArray[np.bool_] = np.asarray((counts > 0).sum(axis=0)).ravel() >= min_cells
    return detected


def _log_normalized(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    totals = np.asarray(counts.sum(axis=1)).ravel()
    logs = sparse.csr_matrix(sparse.diags(1e4 / np.maximum(totals, 1)) @ counts)
    logs.data = np.log1p(logs.data)
    return logs


def _moments(values: sparse.csr_matrix) -> tuple[Float32, Float32]:
    """Mean and variance of each column."""
    mean = np.asarray(values.mean(axis=0)).ravel()
    return mean, np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2


def excluded_genes(
    symbols: Strings, listed: Collection[str], prefixes: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """bool [genes]: genes that are listed or whose symbol starts with one of the prefixes."""
    names = frozenset(listed)
    return np.array([name in names or name.startswith(prefixes) for name in symbols.tolist()])


def genes_table(
    symbols: Strings, gene_ids: Strings | None, weight: Float32, *, kind: str = "symbol"
) -> bytes:
    """Content of `genes.tsv`: name (of one id kind), unversioned Ensembl id, share of the model."""
    header = [kind, "weight"] if gene_ids is None else [kind, "ensembl_id", "weight"]
    lines = ["\t".join(header)]
    ids = [[]] * len(symbols) if gene_ids is None else [[unversioned(g)] for g in gene_ids]
    for symbol, listed, share in zip(symbols, ids, weight, strict=True):
        lines.append("\t".join([str(symbol), *listed, f"{share:.6g}"]))
    return ("\n".join(lines) + "\n").encode("utf-8")


def unversioned(gene_id: str) -> str:
    """An Ensembl id without what follows its dot."""
    return str(gene_id).partition(".")[0]


def place(cells: Cells, vocabulary: GeneVocabulary) -> Placed:
    """Put the counts of a data set in the order of a vocabulary."""
    columns: Mapping[str, Strings] = {"index": cells.symbols}
    if cells.gene_ids is not None:
        columns = {**columns, "gene_ids": cells.gene_ids}
    alignment = align(columns, vocabulary)
    counts = np.zeros((len(cells), len(vocabulary)), dtype=np.float32)
    known = alignment.position >= 0
    counts[:, alignment.position[known]] = cells.counts[:, known].toarray()
    return Placed(counts, alignment.gene_present, alignment.gene_coverage)
