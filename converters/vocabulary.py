"""Choosing a model's genes, writing `genes.tsv`, and placing a data set's counts in its order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from converters.datasets import Cells, Strings
from zoo.alignment import align
from zoo.vocabulary import GeneVocabulary

Float32 = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """Counts in the order of a vocabulary.

    Attributes
    ----------
    counts
        float32 [cells, genes], 0 where the data set lacks the gene.
    present
        float32 [genes]: 1 where the data set has the gene.
    coverage
        Gene coverage, weighted by what each gene contributes to the model.

    """

    counts: Float32
    present: Float32
    coverage: float


def variable_genes(
    counts: sparse.csr_matrix, *, genes: int, min_cells: int, excluded: npt.NDArray[np.bool_]
) -> Int64:
    """Columns of the genes whose log-normalized values vary most, in the file's order.

    Only the cells handed over are looked at; no test set has a say.
    """
    totals = np.asarray(counts.sum(axis=1)).ravel()
    logs = sparse.diags(1e4 / np.maximum(totals, 1)) @ counts
    logs.data = np.log1p(logs.data)
    mean = np.asarray(logs.mean(axis=0)).ravel()
    variance = np.asarray(logs.multiply(logs).mean(axis=0)).ravel() - mean**2
    detected = np.asarray((counts > 0).sum(axis=0)).ravel()
    variance[(detected < min_cells) | excluded] = -1
    chosen = np.argsort(-variance, kind="stable")[:genes]
    return np.sort(chosen[variance[chosen] >= 0])


def excluded_genes(
    symbols: Strings, listed: Collection[str], prefixes: tuple[str, ...]
) -> npt.NDArray[np.bool_]:
    """bool [genes]: genes that are listed or whose symbol starts with one of the prefixes."""
    names = frozenset(listed)
    return np.array([name in names or name.startswith(prefixes) for name in symbols.tolist()])


def genes_table(symbols: Strings, gene_ids: Strings, weight: Float32) -> bytes:
    """Content of `genes.tsv`: symbol, unversioned Ensembl id, share of the model."""
    lines = ["symbol\tensembl_id\tweight"]
    for symbol, gene_id, share in zip(symbols, gene_ids, weight, strict=True):
        lines.append(f"{symbol}\t{str(gene_id).partition('.')[0]}\t{share:.6g}")
    return ("\n".join(lines) + "\n").encode("utf-8")


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
